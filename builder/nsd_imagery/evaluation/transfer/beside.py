"""What stands beside scores of transfer: what the same rows allow within a run, and what a perfect model reaches."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from nsd_imagery.chance.pairs import noise_ceiling
from nsd_imagery.evaluation.cells import RELIABLE
from nsd_imagery.evaluation.score import Measured, Score
from nsd_imagery.evaluation.transfer.tested import BOTH, Tested
from nsd_imagery.experiment import TARGETS_PER_SET

BY_CEILING: Final = "by √NC(n)"
"""What `how` of a correlation says that was divided by what a perfect model would reach."""

_WITHIN: Final = "identification within the run: what the same trials allow"
_WITHIN_EACH: Final = "mean of identification within each run: what the same trials allow"
_REACHABLE: Final = "√NC(n): what a perfect model reaches, mean over candidates"


class Beside:
    """Scores of a subject and ROI that were made before.

    Args:
        scores: `ncsnr` and `identification` are taken, "within" a run, and of perception.
        subject: Whose.
        roi: Where.
    """

    def __init__(self, scores: Iterable[Score], subject: str, roi: str) -> None:
        self._identification: dict[tuple[str, str], Score] = {}
        self._ncsnr: dict[tuple[str, str], Score] = {}
        for score in scores:
            if (score.subject, score.roi) != (subject, roi) or score.how not in ("within", ""):
                continue
            if score.measure == "identification" and score.train == score.test and score.unit == "trial":
                self._identification[score.test, score.stimulus_set] = score
            elif score.measure == "ncsnr":
                self._ncsnr[score.condition, score.stimulus_set] = score

    def with_within(self, measured: Measured) -> Measured:
        """An accuracy of single trials among six beside that within the run, or the two runs, where it is known."""
        score = measured.score
        said = (score.measure, score.unit, score.n_candidates)
        if score.value is None or said != ("identification", "trial", TARGETS_PER_SET):
            return measured
        names = [f"{score.test}{end}" for end in ("_1", "_2")] if score.test == "imgX" else [score.test]
        found = [self._identification.get((name, score.stimulus_set)) for name in names]
        values = [one.value for one in found if one is not None and one.value is not None]
        if len(values) < len(names):
            return measured
        method = _WITHIN if len(names) == 1 else _WITHIN_EACH
        return replace(measured, score=replace(score, reference=float(np.mean(values)), reference_method=method))

    def with_reachable(self, measured: Measured, tested: Tested) -> list[Measured]:
        """A correlation beside √NC(n), and divided by it; of two sets together, which have no ncsnr, as it is."""
        score = measured.score
        if tested.stimulus_set == BOTH:
            return [measured]
        best, why = self._reachable(tested, score.unit)
        how = f"{score.how}, {BY_CEILING}"
        if best is None or score.value is None:
            reason = score.reason if score.value is None else why
            none: dict[str, Any] = dict.fromkeys(("value", "low", "high", "chance", "p", "draws"))
            nothing = replace(score, **none, interval="", chance_method="", how=how, reason=reason)
            return [measured, Measured(nothing, np.nan, np.zeros(0))]
        raw = replace(score, reference=best, reference_method=_REACHABLE)
        ends = {name: getattr(score, name) for name in ("low", "high", "chance")}
        ends = {name: None if end is None else end / best for name, end in ends.items()}
        divided = replace(score, value=score.value / best, how=how, reference=1.0, reference_method=_REACHABLE, **ends)
        spread = None if measured.spread is None else measured.spread.by(best)
        items = measured.items and replace(measured.items, values=measured.items.values / best)
        return [
            replace(measured, score=raw),
            Measured(divided, measured.statistic / best, measured.null / best, spread, items),
        ]

    def _reachable(self, tested: Tested, unit: str) -> tuple[float | None, str]:
        """The mean over candidates of √NC(n); or why there is none."""
        found = self._ncsnr.get((tested.condition, tested.stimulus_set))
        if found is None or found.value is None:
            return None, f"no ncsnr of {tested.condition} to normalise by"
        reliable = found.p <= RELIABLE if found.p is not None else (found.low or 0.0) > 0
        if not reliable or found.value <= 0:
            return None, "no reliable signal to normalise by"
        counts = np.ones(1, int) if unit == "trial" else tested.counts[tested.counts > 0]
        return float(np.mean([noise_ceiling(found.value, int(n)) ** 0.5 for n in counts])), ""
