"""`evaluate`: every number of a built folder, with its chance, ceiling, p, interval and n."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from nsd_imagery import markup
from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.dataset.arguments import explained
from nsd_imagery.dataset.main_guard import refuse_unguarded_main
from nsd_imagery.dataset.waiting import error_of, finished_next, refuse_cut_off
from nsd_imagery.errors import NSDImageryError, printable
from nsd_imagery.evaluation.asked import Asked, asked
from nsd_imagery.evaluation.headline import Line, headline
from nsd_imagery.evaluation.output import forget_others, held, is_finished, record_path, seal, write_record
from nsd_imagery.evaluation.over_subjects import group_scores
from nsd_imagery.evaluation.protocol import about
from nsd_imagery.evaluation.record import Record
from nsd_imagery.evaluation.score import Score
from nsd_imagery.evaluation.subject import Task, evaluate_subject
from nsd_imagery.evaluation.table import table_of
from nsd_imagery.notebooks import barred
from nsd_imagery.progress import CountProgress, counted
from nsd_imagery.spelling import Subjects

_FAULTS = (NSDImageryError, OSError)
"""Of a subject; anything else is a bug of ours and ends the evaluation."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What was found.

    Attributes:
        scores: Of each subject, then of all together; see `evaluation.score.Score`.
        headline: The numbers that a paper quotes, in words.
        left_out: By subject and ROI, why a run is in no score, by its name.
        path: The folder with `scores.parquet`, `evaluation.json` and maps.
    """

    scores: tuple[Score, ...]
    headline: tuple[Line, ...]
    left_out: Mapping[str, Mapping[str, Mapping[str, str]]]
    path: Path

    def __repr__(self) -> str:
        return f"<Evaluation: {len(self.scores):,} scores in {printable(str(self.path))}>"

    def _repr_html_(self) -> str:
        return markup.table(repr(self)[1:-1], [(one.name, one.roi, one.text) for one in self.headline])

    def table(self) -> str:
        """The scores of the headline as a text of eight columns that fits a screen of 100 letters."""
        return table_of(self.headline)


@explained
@barred("count")
def evaluate(
    dataset: Path | str,
    out: Path | str = "evaluation",
    *,
    subjects: Subjects | None = None,
    roi: str | Sequence[str] | None = None,
    across: Path | str | None = None,
    draws: int = N_DRAWS,
    executor: Executor | None = None,
    progress: CountProgress | None = None,
) -> Evaluation:
    """Estimate reliability, identification and geometry of a built folder, each calibrated, and write them.

    Subjects that an earlier call finished on the same folder by the same options are kept.

    Args:
        dataset: A built folder; it is only read.
        out: Where `scores.parquet`, `evaluation.json` and `voxels-subjAA.parquet` go.
        subjects: Names or numbers; default: all of the folder.
        roi: One or more of its ROIs, 12 at most; p is corrected over them. Default: all.
        across: A folder of the same subjects and ROIs, built with betas="fithrf", for imagery across runs, the
            noise-corrected pattern correlation and RDMs of imagery. Not needed where `dataset` is of fithrf.
        draws: Drawn orders behind each p, 9,999 at most.
        executor: Takes a subject as a task: a process pool, or that of a Dask client; default: here.
        progress: Called with how many subjects are done, how many there are, and what is begun now or, by an executor,
            was finished last.

    Returns:
        The scores, `.table()`, and where they were written.

    Raises:
        UsageError: A subject, ROI or number that cannot be meant; too many ROIs; or `across` is of other betas.
        MissingDataError: No built folder, or a shard is gone.
        DataError: A shard is damaged.
        FolderError: `out` holds something else, or lies in the dataset folder.
        BusyError: Another evaluation is writing there.
        BrokenExecutor: A worker of `executor` died; call again with a new one, and what is finished is kept.
    """
    refuse_unguarded_main(executor)
    what = asked(dataset, subjects, roi, across, draws)
    place = Path(out).expanduser().absolute()
    with held(place, what):
        paths = {subject: record_path(place, what, subject, version("nsd-imagery")) for subject in what.rois}
        _compute(what, paths, executor, progress or (lambda *_: None))
        with ExitStack() as stack:
            records = {subject: stack.enter_context(Record(path)) for subject, path in paths.items()}
            found = _found(place, what, records)
            seal(place, records, found.scores, about(what, found.left_out, found.headline))
        forget_others(place, list(paths.values()))
    return found


def _found(place: Path, what: Asked, records: Mapping[str, Record]) -> Evaluation:
    own = [score for record in records.values() for roi in record.rois for score in record.scores(roi)]
    scores = (*own, *group_scores(records, what.all_rois))
    left_out = {subject: {roi: record.left_out(roi) for roi in record.rois} for subject, record in records.items()}
    return Evaluation(scores, tuple(headline(scores, what.all_rois)), left_out, place)


def _compute(what: Asked, paths: Mapping[str, Path], executor: Executor | None, progress: CountProgress) -> None:
    """Make the records that are not there; where one fails, after the others.

    Raises:
        BrokenExecutor: A worker died; what is finished is kept.
        NSDImageryError, OSError: What the first subject that failed raised, with notes on the other ones.
    """
    tasks = {
        subject: Task(what.folder, what.across, subject, rois, what.draws)
        for subject, rois in what.rois.items()
        if not is_finished(paths[subject])
    }
    if not tasks:
        return
    n_done = len(what.rois) - len(tasks)
    failures: dict[str, BaseException] = {}
    outcomes = _here(tasks, n_done, len(what.rois), progress) if executor is None else _spread(tasks, executor)
    progress(n_done, len(what.rois), next(iter(tasks)))
    for subject, outcome in outcomes:
        if isinstance(outcome, BaseException):
            failures[subject] = outcome
            continue
        write_record(paths[subject], outcome)
        n_done += 1
        progress(n_done, len(what.rois), subject)
    if failures:
        raise _failed(tasks, failures)


_Outcome = tuple[str, bytes | BaseException]


def _here(tasks: Mapping[str, Task], n_done: int, n_all: int, progress: CountProgress) -> Iterator[_Outcome]:
    for number, (subject, task) in enumerate(tasks.items(), n_done):
        try:
            say = counted(len(task.rois), partial(_say, progress, number, n_all, subject))
            yield subject, evaluate_subject(task, say)
        except _FAULTS as error:
            yield subject, error


def _say(progress: CountProgress, n_done: int, n_all: int, subject: str, begun: float, n_rois: int, roi: str) -> None:
    progress(n_done + begun / n_rois, n_all, f"{subject} {roi}")


def _spread(tasks: Mapping[str, Task], executor: Executor) -> Iterator[_Outcome]:
    refuse_cut_off(executor)
    running = {executor.submit(evaluate_subject, task): subject for subject, task in tasks.items()}
    while running:
        for future in finished_next(running, executor):
            subject = running.pop(future)
            error = error_of(future)
            if error is not None and not isinstance(error, _FAULTS):
                raise error
            yield subject, future.result() if error is None else error


def _failed(tasks: Mapping[str, Task], failures: Mapping[str, BaseException]) -> BaseException:
    (first, error), *others = sorted(failures.items())
    for subject, other in others:
        error.add_note(f"{subject} failed too: {other}")
    if len(tasks) > 1:
        error.add_note(f"{first} failed; what is finished of others is kept")
    return error
