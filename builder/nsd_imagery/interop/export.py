"""A built folder to the files that existing decoders read, so that they run on proven labels as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nsd_imagery.atomic import naming_later, remove_partial, sync_folder
from nsd_imagery.consent import require_terms
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.preview import refuse_full_disk
from nsd_imagery.errors import FolderError
from nsd_imagery.interop.chosen import choose_subjects
from nsd_imagery.interop.mindeye import LABELS, is_by_labels, mindeye_files
from nsd_imagery.interop.note import Entry, digest_of, read_note, write_note
from nsd_imagery.interop.outfile import OutFile, exists, refuse_without_torch
from nsd_imagery.locks import holding
from nsd_imagery.notebooks import barred
from nsd_imagery.progress import CountProgress, counted
from nsd_imagery.spelling import Subjects, the_choice

DECODERS = ("mindeye",)

_LOCK = ".nsd_imagery_export.lock"


@dataclass(frozen=True)
class Exported:
    """What `export` did.

    Attributes:
        out: The data root that was written to.
        subjects: Whose betas.
        beta_version: Of the betas.
        written: Files that are new or have other contents, by their paths in `out`.
        kept: Files of an earlier export that are already what they would be.
        notes: Sentences on what stands where there is no data.
    """

    out: Path
    subjects: tuple[str, ...]
    beta_version: str
    written: tuple[str, ...]
    kept: tuple[str, ...]
    notes: tuple[str, ...]


@barred("count")
def export(
    dataset: Path | str,
    out: Path | str,
    *,
    for_: str,
    subjects: Subjects | None = None,
    replace: bool = False,
    progress: CountProgress | None = None,
) -> Exported:
    """Write a built folder as the files that existing decoders read.

    "mindeye" is MindEye2, MIRAGE and what is built on them; below their data root they read

    * `preprocessed_data/subject1/nsd_imagery.pt`: (720, V) float32 tensor of nsdgeneral in the order of the beta file,
      z-scored by run over all its rows (in attention both epochs);
    * `nsddata_stimuli/stimuli/nsdimagery_stimuli.pkl3`: `exps`, the runs; `cues`, for each row the letter of the target
      that was **seen**, attended or imagined, so that `image_map[cues[row]]` is its label; `image_map`;
    * `nsddata_stimuli/stimuli/imagery_stimuli_18.pt`: (18, 3, 425, 425) float32 tensor, 0 to 1. 12 to 17, the words of
      set C, are NaN: a word has no picture. Pictures of another size are resized;
    * `betas_all_subj01_fp32_renorm.hdf5`, where the folder has perception: `betas`, (trials, V) float32, z-scored by
      session, in the order of the trials.

    Rows without data are 0 and count in no mean or sd. z-scores over other rows are taken again, which needs `-stats`.
    Shards are proven as they are read. A file appears when it is whole; what an earlier export made, and is already
    what it would be, is kept. `nsd_imagery_export.json` in `out` says which files are an export's.

    Args:
        dataset: A built folder with imagery, vision and attention in nsdgeneral.
        out: The data root to write to; other files in it are left alone.
        for_: Whose code: "mindeye".
        subjects: Names or numbers ("subj01", "sub-01", 1), several in a list or with commas; default: all that
            the folder holds.
        replace: Also replace files of these names that no export wrote.
        progress: Called with steps done, steps in all, and what is written next.

    Returns:
        What was written, and notes on it.

    Raises:
        UsageError: No such decoder or subject, or betas that are smoothed or float16.
        MissingDataError: Not a built folder, or it lacks what an export needs; the message says which build has it.
        DataError: A shard is damaged, or rows are not those of the release.
        AccessError: NSD's terms are not accepted; never asked for synthetic data.
        FolderError: `out` holds files of these names that no export wrote, or an export with other labels.
        BusyError: Another export is writing to `out`.
        SpaceError: The disk has too little room.
        MissingExtraError: torch is not installed.
    """
    the_choice("decoder", for_, DECODERS)
    folder, place = Path(dataset).expanduser(), Path(out).expanduser()
    manifest = open_manifest(folder)
    chosen = choose_subjects(folder, manifest, subjects)
    if not manifest.synthetic:
        require_terms("export")
    refuse_without_torch()
    if place.exists() and not place.is_dir():
        msg = f"{place}: is a file, not a folder to export to"
        raise FolderError(msg)
    files, notes = mindeye_files(folder, manifest, chosen)

    def busy(holder: str) -> str:
        return f"{place}: another export is writing here ({holder}); wait for it, or export to another place"

    if manifest.synthetic:
        notes.append("the data are synthetic: synth wrote them")
    with holding(place / _LOCK, busy):
        written, kept = _write(place, files, replace, progress)
    return Exported(
        out=place,
        subjects=tuple(subject.name for subject in chosen),
        beta_version=manifest.recipe.beta_version,
        written=written,
        kept=kept,
        notes=tuple(notes),
    )


def _write(
    out: Path, files: Sequence[OutFile], replace: bool, progress: CountProgress | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Paths that were written, and paths that are kept."""
    known = read_note(out)
    here = {file.path: digest_of(out / file.path) if file.path in known else "" for file in files}
    _refuse_other_labels(out, files, known)
    foreign = [path for path in here if exists(out / path) and not _is_ours(known.get(path), here[path])]
    if foreign and not replace:
        msg = (
            f"{out / foreign[0]}: is there, and no export wrote it; move it away, export to another place, or --replace"
        )
        raise FolderError(msg)
    todo = [file for file in files if not _is_as_made(known.get(file.path), file, here[file.path])]
    refuse_full_disk(out, sum(file.n_bytes for file in todo), "the export", "export fewer subjects (--subjects)")
    begin = counted(sum(file.n_steps for file in todo), progress)
    remove_partial(out)
    for file in todo:
        path = out / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_partial(path.parent)
        with naming_later(path.parent) as (partial, name):
            file.write(partial, begin)
            partial.flush()
            digest = digest_of(Path(partial.name))
            known[file.path] = Entry(file.made_of, tuple(dict.fromkeys((digest, here[file.path] or digest))))
            write_note(out, known)
            name(path)
        sync_folder(path.parent)
    paths = [file.path for file in todo]
    return tuple(paths), tuple(path for path in here if path not in paths)


def _is_ours(entry: Entry | None, digest: str) -> bool:
    return entry is not None and digest in entry.digests


def _is_as_made(entry: Entry | None, file: OutFile, digest: str) -> bool:
    return entry is not None and entry.made_of == file.made_of and digest == entry.digests[0]


def _refuse_other_labels(out: Path, files: Sequence[OutFile], known: dict[str, Entry]) -> None:
    """All subjects of a place share one file of labels, which must not be replaced below those that are not written."""
    new = {file.path: file.made_of for file in files}
    if LABELS not in known or known[LABELS].made_of == new[LABELS]:
        return
    others = sorted(path for path in known.keys() - new.keys() if is_by_labels(path) and (out / path).is_file())
    if others:
        msg = f"{out}: holds {others[0]}, exported with other labels than these; export to another place"
        raise FolderError(msg)
