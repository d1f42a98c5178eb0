"""The figures of the page, as text that a browser draws, each with what it says in words and its numbers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsd_imagery.evaluation.opened import Opened, Source, opened
from nsd_imagery.evaluation.plot import accuracies, answers, ceilings, curves, distances, histograms, transfers
from nsd_imagery.evaluation.report import numbers
from nsd_imagery.evaluation.report.numbers import Numbers as Numbers
from nsd_imagery.evaluation.report.svg import svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawn:
    """A figure on the page.

    Attributes:
        name: "ceiling", "snr", "identification", "imagery_runs", "drift", "rdm", "transfer", "cosine", "nulls" or
            "responses".
        roi: Of which it is; "" where all ROIs are in it, or none.
        svg: One <svg> element without width and height (it has a viewBox), to stand in HTML. Letters and lines are
            currentColor, text is text; colours are var(--vision, #0072b2), and so --imagery, --perception, --between,
            --grey, --pale and --paper (behind open points), which a page may set for dark.
        label: What it shows, in a sentence with its numbers.
        table: The numbers drawn.
    """

    name: str
    roi: str
    svg: str
    label: str
    table: Numbers


def figures(
    source: Source, subject: str, each: Sequence[str] | None = None, among: Sequence[str] | None = None
) -> list[Drawn]:
    """The figures of a subject, or of a group, in the order of the page; those that need a map or transfer if there is.

    Args:
        source: An evaluation or its folder.
        subject: One of its subjects, or "group".
        each: ROIs that have figures of their own, of distances, drift and null distributions. Default: all.
        among: ROIs that the other figures are of. Default: all.

    Raises:
        UsageError: No such subject, or scores alone were given.
        DataError: The evaluation is damaged, or an earlier version of this package made it.
        MissingExtraError: matplotlib is not installed.
    """
    whole = opened(source)
    subject = whole.subject(subject)
    there = [roi for roi in whole.rois if roi in whole.exhibits(subject)["rois"]]
    rois = [roi for roi in there if among is None or roi in among]
    found = [*_of_signal(whole, subject, rois), *_of_accuracy(whole, subject, rois)]
    found += [one for roi in there if each is None or roi in each for one in _of_roi(whole, subject, roi)]
    return [*found, *_of_transfer(whole, subject, rois), _of_answers(whole, subject)]


def _of_signal(whole: Opened, subject: str, rois: list[str]) -> Iterator[Drawn]:
    dots = ceilings.ceilings_of(whole, subject, rois)
    eight = numbers.said_of_dots(dots, "NC(8)")
    figure = ceilings.ceiling(whole, subject=subject, roi=rois)
    yield _drawn("ceiling", subject, "", figure, f"Noise ceiling of means of 8 trials: {eight}", numbers.of_dots(dots))
    if whole.path is not None and (whole.path / f"voxels-{subject}.parquet").is_file():
        ratios = {roi: histograms.ratios_of(whole, subject, roi) for roi in rois}
        figure = histograms.snr(whole, subject=subject, roi=rois)
        yield _drawn("snr", subject, "", figure, numbers.said_of_voxels(ratios), numbers.of_voxels(ratios))


def _of_accuracy(whole: Opened, subject: str, rois: list[str]) -> Iterator[Drawn]:
    dots = accuracies.identified(whole, subject, rois)
    said = f"6-way accuracy over sets A, B and C: {numbers.said_of_dots(dots)}"
    figure = accuracies.identification(whole, subject=subject, roi=rois)
    yield _drawn("identification", subject, "", figure, said, numbers.of_dots(dots))
    dots = accuracies.both_runs(whole, subject, rois)
    said = f"From vision to imagery, 6-way accuracy over sets A, B and C: {numbers.said_of_dots(dots)}"
    figure = accuracies.imagery_runs(whole, subject=subject, roi=rois)
    yield _drawn("imagery_runs", subject, "", figure, said, numbers.of_dots(dots))


def _of_roi(whole: Opened, subject: str, roi: str) -> Iterator[Drawn]:
    found = curves.drifts_of(whole, subject, roi)
    figure = curves.drift(whole, subject=subject, roi=roi)
    yield _drawn("drift", subject, roi, figure, numbers.said_of_drifts(found), numbers.of_drifts(found))
    if any(one["targets"] for one in whole.exhibits(subject)["rois"][roi]["rdms"]):
        rdms = distances.rdms_of(whole, subject, roi)
        figure = distances.rdm(whole, subject=subject, roi=roi)
        yield _drawn("rdm", subject, roi, figure, numbers.said_of_rdms(rdms), numbers.of_rdms(rdms))
    nulls = histograms.nulls_of(whole, subject, roi)
    figure = histograms.nulls(whole, subject=subject, roi=roi)
    yield _drawn("nulls", subject, roi, figure, numbers.said_of_nulls(nulls), numbers.of_nulls(nulls))


def _of_transfer(whole: Opened, subject: str, rois: list[str]) -> Iterator[Drawn]:
    for name, measure in (("transfer", "two_way"), ("cosine", "cosine")):
        dots = transfers.transfers_of(whole, subject, rois, measure)
        if dots:
            figure = transfers.transfer(whole, measure=measure, subject=subject, roi=rois)
            said = f"From perception, {transfers.MEASURES[measure]} over sets: {numbers.said_of_dots(dots)}"
            yield _drawn(name, subject, "", figure, said, numbers.of_dots(dots))


def _of_answers(whole: Opened, subject: str) -> Drawn:
    rows = answers.answers_of(whole, subject)
    table = numbers.of_answers(rows, whole.exhibits(subject)["buttons"])
    figure = answers.responses(whole, subject=subject)
    return _drawn("responses", subject, "", figure, numbers.said_of_answers(rows), table)


def _drawn(name: str, subject: str, roi: str, figure: "Figure", label: str, table: Numbers) -> Drawn:
    slug = "-".join(filter(None, re.split(r"[^A-Za-z0-9]+", f"{name} {subject} {roi}")))
    return Drawn(name, roi, svg_of(figure, slug), label, table)
