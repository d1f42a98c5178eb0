"""A preprocessor in a folder: `preprocessor.json` with options and names, `preprocessor.npz` with numbers."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from nsd_imagery.atomic import replace_text, replacing
from nsd_imagery.errors import DataError, MissingDataError, shown
from nsd_imagery.learn.fitting import Fitted, Options
from nsd_imagery.learn.kinds import Kind
from nsd_imagery.learn.labels import Origin
from nsd_imagery.links import without_content
from nsd_imagery.volumes.betas import Scaling
from nsd_imagery.volumes.normalize import Moments

FORMAT, FORMAT_VERSION = "nsd-imagery-preprocessor", 5
"""The version goes up when the same options mean other groups, and when files say what older versions do not know. In
version 1 rows without a run number were groups of their run and epoch, named "nsdimagery/1/-1" and
"nsdimagery/1/-1/cue"; since 2 they are one group of their session. Until 2, zscore "run" kept the epochs of attention
apart; since 3 they are one group of their run. Since 4 zscore may be "training", and files say which kind of rows was
fitted on, and which groups came by `adapt`. Since 5 files say which rows chose what is kept."""

OPTIONS, _ARRAYS = "preprocessor.json", "preprocessor.npz"


def write(folder: Path, options: Options, fitted: Fitted | None) -> None:
    """Write both files, or only the first where nothing is fitted."""
    said: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION, "options": asdict(options)}
    said["fitted"] = None
    if fitted is not None:
        arrays = _to_npz(fitted)
        with replacing(folder / _ARRAYS) as file:
            file.write(arrays)
        said["fitted"] = {
            "origin": asdict(fitted.origin),
            "n_voxels": fitted.n_voxels,
            "groups": fitted.groups,
            "n_fitted": fitted.n_fitted,
            "arrays": xxhash.xxh3_128_hexdigest(arrays),
        }
    replace_text(folder / OPTIONS, json.dumps(said, indent=1) + "\n")


def read(folder: Path) -> tuple[Options, Fitted | None]:
    """What `write` wrote.

    Raises:
        MissingDataError: A file is not there.
        DataError: A file is damaged, the two are not of one `write`, or it is of another version: a newer one, or an
            older one whose groups are others now.
    """
    with _faults_named(folder):
        said = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
        version = _version_of(said)
    if version > FORMAT_VERSION:
        msg = f"{folder}: is a preprocessor of format {version}; {FORMAT_VERSION} is known here: upgrade nsd-imagery"
        raise DataError(msg)
    with _faults_named(folder):
        options, fitted = Options(**said["options"]), said["fitted"]
        if fitted is not None:
            fitted = _from_npz((folder / _ARRAYS).read_bytes(), fitted)
    if fitted is not None:
        _refuse_other_groups(folder, version, options.zscore, fitted.groups)
    return options, fitted


@contextmanager
def _faults_named(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        msg = f"{error.filename}: no such file; write it with NSDPreprocessor.save"
        raise MissingDataError(without_content(Path(error.filename)) or msg) from error
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{folder}: is no preprocessor as NSDPreprocessor.save writes it ({error}): save it again"
        raise DataError(msg) from error


def _version_of(said: dict[str, Any]) -> int:
    version = said["format_version"]
    if said["format"] != FORMAT or type(version) is not int or version < 1:
        raise ValueError(f"it is of format {shown(said['format'])} {shown(version)}")
    return version


def _refuse_other_groups(folder: Path, version: int, zscore: str | None, groups: Sequence[str]) -> None:
    """Groups that an older version made of rows which are in other ones now; all others are what they were."""
    without_run = [name for name in groups if version < 2 and name.split("/")[2:3] == ["-1"]]
    of_epochs = [name for name in groups if version < 3 and zscore == "run" and len(name.split("/")) > 3]
    for old, were, are in (
        (without_run, "trials without a run number were groups of their own", "with those of their session"),
        (of_epochs, "zscore 'run' kept the epochs of attention apart", "together, as 'auto' does not"),
    ):
        if old:
            msg = (
                f"{folder}: was fitted when {were} ({', '.join(old[:4])}); they are z-scored {are} now: fit and save "
                "it again"
            )
            raise DataError(msg)


def _to_npz(fitted: Fitted) -> bytes:
    buffer, by = BytesIO(), fitted.by
    chosen_by: dict[str, Any] = {} if fitted.chosen_by is None else {"chosen_by": fitted.chosen_by}
    np.savez(
        buffer,
        columns=fitted.columns,
        n_trials=by.n_trials,
        mean=by.mean,
        rest=by.rest,
        sd=by.sd,
        center=fitted.center,
        components=fitted.components,
        **chosen_by,
    )
    return buffer.getvalue()


def _from_npz(contents: bytes, said: dict[str, Any]) -> Fitted:
    if xxhash.xxh3_128_hexdigest(contents) != said["arrays"]:
        raise ValueError(f"{_ARRAYS} is not the one that {OPTIONS} was written with")
    with np.load(BytesIO(contents)) as arrays:
        mean = arrays["mean"]
        rest = arrays["rest"] if "rest" in arrays else np.zeros_like(mean)  # older files have none
        by = Moments(arrays["n_trials"], mean, rest, arrays["sd"], Scaling())
        origin, groups = _origin(said["origin"]), tuple(map(str, said["groups"]))
        return Fitted(
            origin,
            said["n_voxels"],
            arrays["columns"],
            groups,
            said.get("n_fitted", len(groups)),  # older files do not tell, and keep all that they know
            by,
            arrays["center"],
            arrays["components"],
            arrays.get("chosen_by"),  # older files do not tell
        )


def _origin(said: dict[str, Any]) -> Origin:
    return Origin(**{**said, "kind": Kind(**said.get("kind", {}))})
