"""Where an evaluation is written, and what of it is kept for the next one.

OUT/scores.parquet           the long table, a score a row
OUT/items.parquet            scores of models and of identification by stimulus
OUT/voxels-subjAA.parquet    maps
OUT/evaluation.json          protocol, what was evaluated, headline, and hashes of the others; written last
OUT/.evaluate/               a record a subject, by which a rerun has nothing to compute
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from nsd_imagery.atomic import remove_partial, replacing
from nsd_imagery.dataset.folder import MANIFEST
from nsd_imagery.errors import DataError, FolderError
from nsd_imagery.evaluation.asked import Asked
from nsd_imagery.evaluation.items import ITEMS, has_items, write_items
from nsd_imagery.evaluation.protocol import FORMAT_NAME
from nsd_imagery.evaluation.record import FORMAT, Record
from nsd_imagery.evaluation.runs import digest
from nsd_imagery.evaluation.score import Score, write_scores
from nsd_imagery.evaluation.transfer.saved_decoders import has_saved
from nsd_imagery.links import refuse_without_content
from nsd_imagery.locks import holding

SCORES: Final = "scores.parquet"
EVALUATION: Final = "evaluation.json"
RECORDS: Final = ".evaluate"

_NUMBERS: Final = re.compile(r"\[\n[\s\d.,e+\-nul]+\]")
"""Lists of numbers, which stand on one line; no word in quotes has a line end in it."""


@contextmanager
def held(out: Path, asked: Asked) -> Iterator[None]:
    """Hold an output folder, made if it is not there.

    Raises:
        FolderError: It is a file, or holds a dataset, or files of these names that no evaluation wrote; or it lies in
            a folder that is read.
        BusyError: Another evaluation is writing there.
    """
    _refuse_foreign(out, [folder for folder in (asked.folder, asked.across) if folder])

    def busy(holder: str) -> str:
        return f"{out}: another evaluation is writing here ({holder}); wait for it, or use another --out"

    with holding(out / RECORDS / "lock", busy):
        remove_partial(out / RECORDS, unknown=True)
        remove_partial(out, unknown=True)
        yield


def _refuse_foreign(out: Path, read: Sequence[Path]) -> None:
    refuse_without_content(out)
    if out.exists() and not out.is_dir():
        msg = f"{out}: is a file, not a folder for an evaluation; use another --out"
        raise FolderError(msg)
    if (out / MANIFEST).exists() or any(out.resolve().is_relative_to(folder.resolve()) for folder in read):
        msg = f"{out}: is in a dataset folder, and those are only read; use another --out"
        raise FolderError(msg)
    foreign = [name for name in (SCORES, EVALUATION) if (out / name).exists()]
    if foreign and not (out / RECORDS).is_dir() and _said_before(out).get("format") != FORMAT_NAME:
        msg = f"{out}: holds a {foreign[0]} that no evaluation wrote; use another --out"
        raise FolderError(msg)


def record_path(out: Path, asked: Asked, subject: str, version: str) -> Path:
    """Where the record of a subject is: named by all that decides what is in it."""
    decides = {
        "format": FORMAT,
        "version": version,
        "dataset": digest(asked.manifest),
        "across": None if asked.across_manifest is None else digest(asked.across_manifest),
        "rois": asked.rois[subject],
        "draws": asked.draws,
        **asked.inputs.decides(subject),
    }
    key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    return out / RECORDS / f"{subject}-{key}.npz"


def is_finished(path: Path, subject: str, save_decoder: Path | None = None) -> bool:
    """Whether a record is there and sound, and its decoders are where they are to go; else it is made again."""
    if not path.is_file():
        return False
    try:
        with Record(path) as record:
            learnt = {roi: record.transfer(roi).get("decoder") for roi in record.rois}
    except DataError:
        return False
    fitted = {roi: said["training"] for roi, said in learnt.items() if said}
    return save_decoder is None or has_saved(save_decoder, subject, fitted)


def write_record(path: Path, contents: bytes) -> None:
    """Write a record beside its place and rename it."""
    with replacing(path) as file:
        file.write(contents)


def seal(out: Path, records: Mapping[str, Record], scores: Sequence[Score], about: Mapping[str, Any]) -> None:
    """Write what was found, `evaluation.json` last, and remove what the one before wrote and this one has not.

    Args:
        out: The output folder, held.
        records: By subject.
        scores: In order.
        about: What `evaluation.json` says, beside the hashes of the other files.
    """
    before = _files_before(out)
    maps = {f"voxels-{subject}.parquet": record.voxels for subject, record in records.items()}
    for name, contents in maps.items():
        with replacing(out / name) as file:
            file.write(contents)
    write_scores(out / SCORES, scores)
    items = [ITEMS] if has_items(records.values()) else []
    if items:
        write_items(out / ITEMS, records.values())
    names = (SCORES, *items, *maps)
    files = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names}
    text = json.dumps({**about, "files": files}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)
    with replacing(out / EVALUATION) as file:
        file.write(text.encode())
    for name in before - set(files):
        (out / name).unlink(missing_ok=True)


def forget_others(out: Path, kept: Sequence[Path]) -> None:
    """Remove the records of the same subjects by other options or of other data."""
    for subject in {path.name.partition("-")[0] for path in kept}:
        for path in (out / RECORDS).glob(f"{subject}-*.npz"):
            if path not in kept:
                path.unlink(missing_ok=True)


def _files_before(out: Path) -> set[str]:
    """Maps and items that the evaluation which is there says that it wrote."""
    files = _said_before(out).get("files")
    names = map(str, files if isinstance(files, dict) else ())
    return {name for name in names if name == ITEMS or (name.startswith("voxels-subj") and "/" not in name)}


def _said_before(out: Path) -> dict[str, Any]:
    """What the `evaluation.json` that is there says; nothing where there is none, or it is something else."""
    try:
        said = json.loads((out / EVALUATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
