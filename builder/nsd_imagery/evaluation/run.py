"""`evaluate`: every number of a built folder, with its chance, ceiling, p, interval and n."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nsd_imagery import markup
from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.dataset.arguments import explained
from nsd_imagery.dataset.main_guard import refuse_unguarded_main
from nsd_imagery.dataset.waiting import error_of, finished_next, refuse_cut_off
from nsd_imagery.errors import MissingExtraError, NSDImageryError, printable
from nsd_imagery.evaluation.asked import Asked, asked
from nsd_imagery.evaluation.exhibited import exhibited
from nsd_imagery.evaluation.headline import Line, headline
from nsd_imagery.evaluation.output import RECORDS, forget_others, held, is_finished, record_path, seal, write_record
from nsd_imagery.evaluation.over_subjects import group_scores
from nsd_imagery.evaluation.protocol import about
from nsd_imagery.evaluation.record import Record
from nsd_imagery.evaluation.report.write import forget_stale
from nsd_imagery.evaluation.report.write import write as write_report
from nsd_imagery.evaluation.score import Score
from nsd_imagery.evaluation.subject import Task, evaluate_subject
from nsd_imagery.evaluation.table import table_of
from nsd_imagery.evaluation.transfer.options import Given, Options, inputs_of
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
        transfer: By subject and ROI, what transfer was learnt from: pictures removed because they are tested, training
            pictures, voxels, the decoder's penalty; empty without embeddings.
        path: The folder with `scores.parquet`, `evaluation.json` and maps.
        report: The page to look at; None where none was asked for, or matplotlib is not installed.
    """

    scores: tuple[Score, ...]
    headline: tuple[Line, ...]
    left_out: Mapping[str, Mapping[str, Mapping[str, str]]]
    transfer: Mapping[str, Mapping[str, Mapping[str, Any]]]
    path: Path
    report: Path | None

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
    out: Path | str | None = None,
    *,
    subjects: Subjects | None = None,
    roi: str | Sequence[str] | None = None,
    across: Path | str | None = None,
    test_sets: str | Sequence[str] | None = None,
    embeddings: Given | None = None,
    model: Path | str | None = None,
    kind: str = "image",
    predictions: Path | str | None = None,
    targets: Path | str | None = None,
    partial: bool = False,
    decoder: Path | str | None = None,
    save_decoder: Path | str | None = None,
    preprocessor: Path | str | None = None,
    draws: int = N_DRAWS,
    report: bool = True,
    executor: Executor | None = None,
    progress: CountProgress | None = None,
) -> Evaluation:
    """Estimate reliability, identification and geometry of a built folder, each calibrated, and write them.

    With embeddings also transfer: ridge regression from perception's training pictures, tested on shared1000, vision
    and imagery; with predictions the same scores of anybody's model. Subjects that an earlier call finished on the same
    folder by the same options are kept.

    Args:
        dataset: A built folder; it is only read.
        out: Where `scores.parquet`, `evaluation.json` and `voxels-subjAA.parquet` go; default: ./evaluation.
        subjects: Names or numbers; default: all of the folder.
        roi: One or more of its ROIs, 12 at most; p is corrected over them. Default: all.
        across: A folder of the same subjects and ROIs, built with betas="fithrf", for imagery across runs, the
            noise-corrected pattern correlation and RDMs of imagery. Not needed where `dataset` is of fithrf.
        test_sets: What transfer and predictions are tested on: some of "perception" (its test split, shared1000),
            "vision" and "imagery". Default: all.
        embeddings: A root, or a folder or file of embeddings in it, that `embed` was run on; a `ClipCache`; or what
            `space_of` gives. Words of set C are candidates where it has texts of them.
        model: Which of a root's models.
        kind: "image", or "text" to decode to embeddings of captions and prompts.
        predictions: A .parquet or .csv file of vectors a trial or a stimulus, see
            `evaluation.predictions.read_predictions`. They are of no ROI, and are scored once, beside the main one.
        targets: A file of the candidates' vectors, where they are not of `embeddings`.
        partial: Whether a test set, or a subject, may lack predictions; n says how many there are.
        decoder: A folder that `save_decoder` named, or a single decoder: what is tested instead of one that is fitted.
        save_decoder: A folder that takes the decoder of each subject and ROI, `subj01-nsdgeneral`.
        preprocessor: A folder that `NSDPreprocessor.save` wrote; of several subjects or ROIs, one that holds such
            folders by these names. Evaluation z-scores rows itself, so what it takes of a preprocessor is which voxels
            are selected: no others are in any number. Components are no voxels and are refused, as is one whose voxels
            were chosen by rows that are tested.
        draws: Drawn orders behind each p, 9,999 at most.
        report: Also write `report.html` and figures/, by `nsd_imagery.report`, where matplotlib is installed.
        executor: Takes a subject as a task: a process pool, or that of a Dask client; default: here.
        progress: Called with how many subjects are done, how many there are, and what is begun now or, by an executor,
            was finished last.

    Returns:
        The scores, `.table()`, where they were written, and the page.

    Raises:
        UsageError: A subject, ROI or number that cannot be meant; too many ROIs; `across` is of other betas; an option
            of transfer without embeddings or predictions; or a preprocessor that is no selection by other rows.
        MissingDataError: No built folder, or a shard is gone; no embeddings, predictions, decoder or preprocessor.
        DataError: A shard is damaged; predictions lack a test set or are of nothing that is tested; or a decoder is of
            other voxels or embeddings.
        MissingEmbeddingError: A training picture has no vector.
        FolderError: `out` holds something else, or lies in the dataset folder.
        BusyError: Another evaluation is writing there.
        BrokenExecutor: A worker of `executor` died; call again with a new one, and what is finished is kept.
    """
    refuse_unguarded_main(executor)
    what = asked(dataset, subjects, roi, across, draws)
    said = Options(
        test_sets, embeddings, model, kind, predictions, targets, partial, decoder, save_decoder, preprocessor
    )
    what = replace(what, inputs=inputs_of(what, said))
    place = Path("evaluation" if out is None else out).expanduser().absolute()
    with held(place, what), what.inputs.written(place / RECORDS) as inputs:
        paths = {subject: record_path(place, what, subject, version("nsd-imagery")) for subject in what.rois}
        _compute(replace(what, inputs=inputs), paths, executor, progress or (lambda *_: None))
        with ExitStack() as stack:
            records = {subject: stack.enter_context(Record(path)) for subject, path in paths.items()}
            found = _found(place, what, records)
            said = about(what, found.left_out, found.headline, found.transfer)
            seal(place, records, found.scores, said | {"exhibits": exhibited(records, what.all_rois)})
        forget_others(place, list(paths.values()))
        return replace(found, report=_reported(place, asked_for=report))


def _found(place: Path, what: Asked, records: Mapping[str, Record]) -> Evaluation:
    own = [score for record in records.values() for roi in record.rois for score in record.scores(roi)]
    scores = (*own, *group_scores(records, what.all_rois))
    left_out = {subject: {roi: record.left_out(roi) for roi in record.rois} for subject, record in records.items()}
    learnt = {subject: {roi: record.transfer(roi) for roi in record.rois} for subject, record in records.items()}
    return Evaluation(scores, tuple(headline(scores, what.all_rois, learnt)), left_out, learnt, place, None)


def _reported(place: Path, *, asked_for: bool) -> Path | None:
    """Write the page; where there is to be none, none of an earlier evaluation stays."""
    if asked_for:
        try:
            return write_report(place)
        except MissingExtraError:  # scores do not wait for what draws; the command says how to get it
            pass
    forget_stale(place)
    return None


def _compute(what: Asked, paths: Mapping[str, Path], executor: Executor | None, progress: CountProgress) -> None:
    """Make the records that are not there; where one fails, after the others.

    Raises:
        BrokenExecutor: A worker died; what is finished is kept.
        NSDImageryError, OSError: What the first subject that failed raised, with notes on the other ones.
    """
    tasks = {
        subject: Task(what.folder, what.across, subject, rois, what.draws, what.inputs.of(subject))
        for subject, rois in what.rois.items()
        if not is_finished(paths[subject], subject, what.inputs.save_decoder)
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
