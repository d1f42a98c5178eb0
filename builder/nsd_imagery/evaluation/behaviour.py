"""What was answered in the runs of a subject, and how many of their trials are valid."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from nsd_imagery.evaluation.runs import Run, Runs

BUTTONS: Final = {
    "imagery": ("vivid", "not vivid"),
    "vision": ("letter and target match", "letter and target do not match"),
}
"""What the first and the second button say; see `schema`."""

_COUNTS: Final = ("n_trials", "first", "second", "none")


def trials_of(runs: Runs) -> list[dict[str, Any]]:
    """A row a run: its trials, the valid ones, and the valid ones of each target."""
    return [
        {
            "run": run.name,
            "condition": run.condition,
            "stimulus_set": run.stimulus_set,
            "n_trials": len(run.order),
            "n_valid": run.n_valid,
            "targets": list(run.targets),
            "n_valid_by_target": np.bincount(run.order[run.is_valid], minlength=len(run.targets)).tolist(),
        }
        for run in runs
    ]


def responses_of(runs: Runs) -> list[dict[str, Any]]:
    """A row a run and target: how often each button was pressed and how fast, over all trials, valid or not."""
    return [_row(run, number) for run in runs if run.response is not None for number, _ in enumerate(run.targets)]


def summed_responses(of_subjects: Iterable[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of several subjects together: sums of counts, mean of their median times."""
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in (row for rows_of_one in of_subjects for row in rows_of_one):
        rows.setdefault((row["run"], row["target"]), []).append(row)
    found = []
    for mine in rows.values():
        times = [row["median_time"] for row in mine if row["median_time"] is not None]
        right = [row["correct"] for row in mine if row["correct"] is not None]
        found.append(
            {
                **mine[0],
                **{name: sum(row[name] for row in mine) for name in (*_COUNTS, "n_subjects")},
                "correct": sum(right) if right else None,
                "median_time": float(np.mean(times)) if times else None,
            }
        )
    return found


def _row(run: Run, number: int) -> dict[str, Any]:
    mine = run.order == number
    pressed = np.full(len(mine), -1) if run.response is None else run.response
    times = np.full(len(mine), np.nan) if run.response_time is None else run.response_time.astype(np.float64)
    known = mine & np.isfinite(times)
    right = mine & np.where(run.matched, pressed == 1, pressed == 2)
    return {
        "run": run.name,
        "condition": run.condition,
        "stimulus_set": run.stimulus_set,
        "target": run.targets[number],
        "n_trials": int(mine.sum()),
        "first": int((mine & (pressed == 1)).sum()),
        "second": int((mine & (pressed == 2)).sum()),
        "none": int((mine & ~np.isin(pressed, (1, 2))).sum()),
        "correct": int(right.sum()) if run.condition == "vision" else None,
        "median_time": float(np.median(times[known])) if known.any() else None,
        "n_subjects": 1,
    }
