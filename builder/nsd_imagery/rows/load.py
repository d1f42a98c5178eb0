"""Rows of a built folder where they lie: memory-mapped, without the second copy that `load_dataset` makes."""

from collections.abc import Iterable
from pathlib import Path
from typing import overload

from datasets import Dataset, DatasetDict

from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.errors import UsageError
from nsd_imagery.rows.average import average_repeats
from nsd_imagery.rows.choice import Choice
from nsd_imagery.rows.choose import choose_rows
from nsd_imagery.rows.config import open_config
from nsd_imagery.spelling import numbers_of, subject_of, words_of
from nsd_imagery.volumes.roi import DEFAULT_ROI

Names = str | int | Iterable[str | int]
"""One or several, in a list or with commas."""


@overload
def load(path: Path | str, config: str, split: None = None, *, cache_dir: Path | str | None = None) -> DatasetDict: ...
@overload
def load(path: Path | str, config: str, split: str, *, cache_dir: Path | str | None = None) -> Dataset: ...
@overload
def load(
    path: Path | str,
    config: None = None,
    split: str | None = None,
    *,
    subject: str | int | None = None,
    condition: str | None = None,
    stimulus_set: Names | None = None,
    run: Names | None = None,
    session: Names | None = None,
    roi: str | None = None,
    average: bool = False,
    cache_dir: Path | str | None = None,
) -> Dataset: ...
def load(
    path: Path | str,
    config: str | None = None,
    split: str | None = None,
    *,
    subject: str | int | None = None,
    condition: str | None = None,
    stimulus_set: Names | None = None,
    run: Names | None = None,
    session: Names | None = None,
    roi: str | None = None,
    average: bool = False,
    cache_dir: Path | str | None = None,
) -> Dataset | DatasetDict:
    """Open a config as `load_dataset` does, or the rows that are asked for, straight from the shards of the manifest.

        load("./nsd_imagery", "subj01-imagery-V1", "test")
        load("./nsd_imagery", subject=1, condition="imagery", roi="V1", stimulus_set="B", average=True)

    Rows, features and order of a config are those of `load_dataset`; without a config, rows of NSD-Imagery come before
    those of NSD core, each as presented. Nothing is copied, so a rebuilt folder is never stale, and the folder may be
    read-only. Sizes of shards are checked, not their contents. `arrays` gives the rows as arrays.

    A pickle of the rows is the paths of their shards, and the numbers of those rows that `filter`, `sort` or `select`
    left. It opens in every process that has the folder at this path, and is refused where that was built anew.

    Args:
        path: A built folder.
        config: For example "subj01-imagery"; "sub-01-imagery-v1" is subj01-imagery-V1. It says the subject, condition
            and ROI; without it the arguments behind it say which rows.
        split: "train" or "test"; default: both, of a config by name.
        subject: "subj01", "sub-01" or 1; may be left out where only one is there.
        condition: "imagery", "vision", "attention" or "perception"; default: all that are there.
        stimulus_set: "A", "B" or "C", or several; default: all.
        run: Names ("imgB_2") or numbers (of the column run_number) of runs; default: all.
        session: Numbers of sessions, 1-based; default: all.
        roi: One that the folder was built with; default: nsdgeneral.
        average: The mean over the repeats of each target or picture among these rows; see `average_repeats`.
        cache_dir: Where `filter` and `map` keep what they make of the rows, to be found again by a later process.
            Default: a temporary folder that goes when the process ends, or if it is killed, when the next one looks.

    Returns:
        The rows; or of a config without a split, those of each split by name.

    Raises:
        UsageError: The folder has no such config, split, subject, set, run or session, or none of these rows; a config
            together with what it says; or the cache cannot be there.
        MissingDataError: No built folder, or a shard is gone.
        DataError: A shard is not what the manifest says.
    """
    choosing = {"subject": subject, "condition": condition, "stimulus_set": stimulus_set, "run": run,
                "session": session, "roi": roi, "average": average or None}  # fmt: skip
    said = [name for name, value in choosing.items() if value is not None]
    if config is not None:
        if said:
            msg = f"load takes a config, or what its rows are to be ({', '.join(said)}): leave {config!r} out, or these"
            raise UsageError(msg)
        return open_config(path, config, split, cache_dir)
    open_manifest(Path(path).expanduser())
    choice = Choice(
        subject=None if subject is None else subject_of(subject),
        condition=condition,
        sessions=None if session is None else numbers_of("session", session),
        split=split,
        roi=DEFAULT_ROI if roi is None else roi,
        stimulus_sets=None if stimulus_set is None else _names("stimulus_set", stimulus_set),
        runs=None if run is None else _names("run", run),
    )
    rows = choose_rows(path, None, choice, cache_dir)
    return average_repeats(rows) if average else rows


def _names(what: str, said: Names) -> tuple[str, ...]:
    return tuple(map(str, [said] if isinstance(said, int) else words_of(what, said)))
