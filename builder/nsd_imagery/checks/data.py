"""Checks of the numbers: are they there, of a sound scale, and do they agree with the labels?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.checks.agreement.measure import check_session
from nsd_imagery.checks.agreement.session import SessionBetas
from nsd_imagery.checks.agreement.verdicts import Answer, Judgement, pool
from nsd_imagery.checks.catalogue import DATA_MEAN_MAP, DATA_QUESTIONS, DATA_SCALE
from nsd_imagery.checks.finding import Finding, Outcome
from nsd_imagery.checks.rows import Row
from nsd_imagery.volumes.betas import Betas
from nsd_imagery.volumes.meanbeta import MeanMap, Verdict
from nsd_imagery.volumes.roi import Roi
from nsd_imagery.volumes.scale import scale_fault

AREAS: Final = ("early", "higher", "V1", "V2", "V3")
"""ROIs that the questions need beside nsdgeneral."""

_SATURATED = 0.001
_FEW = 5
"""Rows without data that the evidence names; it counts them all."""


def check_values(path: Path, betas: Betas, valid: NDArray[np.bool_] | None, scope: str) -> Finding:
    """Scale, rows without data, voxels without variance, saturated values.

    Args:
        path: The beta file.
        betas: Of nsdgeneral.
        valid: (n_voxels,) valid_nsdimagery at the same voxels, where there is one.
        scope: Of whom.
    """
    stored = betas.stored[betas.is_valid]
    if not stored.size:
        return DATA_SCALE.judged(scope, ["every row is 0 or NaN in the whole brain"], "")
    size = float(np.abs(betas.header.scaling.percent(stored)).mean())
    flat = (stored == stored[0]).all(axis=0)
    fault = scale_fault(path, stored, betas.header)
    faults = [] if fault is None else [f"{path}: {fault}"]
    if stored.dtype.kind == "i" and stored.dtype.itemsize == 2:
        share = float((np.abs(stored.astype(np.int32)) >= np.iinfo(np.int16).max).mean())
        if share > _SATURATED:
            faults.append(f"{share:.1%} of the values are saturated")
    if valid is not None:
        if (dead := int((valid & flat).sum())) > 0.01 * valid.size:
            faults.append(f"{dead} of {int(valid.sum())} voxels that valid_nsdimagery names do not vary: other axes?")
        if (alive := int((~valid & ~flat).sum())) > 0:
            faults.append(f"{alive} voxels vary that valid_nsdimagery excludes: other axes?")
    evidence = (
        f"mean |beta| {size:.2f} percent signal change; {_without_data(betas.is_valid)}; "
        f"{int(flat.sum())} of {flat.size:,} voxels without variance"
    )
    return DATA_SCALE.judged(scope, faults, evidence)


_OUTCOMES: Final[dict[Verdict, Outcome]] = {
    "fits": "pass",
    "wrong": "fail",
    "undecided": "not decidable",
    "unusable": "fail",
    "not asked": "skipped",
}


def check_mean_map(mean_map: MeanMap | None, scope: str) -> Finding:
    """What the map of means says of the voxels that were read; None where there is no map."""
    if mean_map is None:
        return DATA_MEAN_MAP.skipped(scope, "there is no map of means beside the betas")
    outcome = _OUTCOMES[mean_map.verdict]
    if outcome == "fail":
        return DATA_MEAN_MAP.judged(scope, [mean_map.said], "")
    return DATA_MEAN_MAP.found(scope, outcome, mean_map.said)


def _without_data(is_valid: NDArray[np.bool_]) -> str:
    empty = np.flatnonzero(~is_valid).tolist()
    shown = ", ".join(map(str, empty[:_FEW])) + (", ..." if len(empty) > _FEW else "")
    which = f" (volumes, from 0: {shown})" if empty else ""
    return f"{len(empty)} of {len(is_valid)} rows without data{which}"


def labelled_betas(rows: Sequence[Row], percent: NDArray[Any], is_valid: NDArray[np.bool_],
                   areas: Mapping[str, NDArray[np.bool_]]) -> SessionBetas:  # fmt: skip
    """Rows and their betas as the questions take them.

    Args:
        rows: Rows of one NSD-Imagery session; see `rows.plain_rows`.
        percent: (n_rows, n_voxels) percent signal change of nsdgeneral.
        is_valid: (n_rows,).
        areas: (n_voxels,) of each of `AREAS`, inside nsdgeneral.
    """
    own = {(row["stimulus_set"], row["cue"]): row["target"] for row in rows if row["cue_matches"] == 1}

    def column(name: str) -> NDArray[Any]:
        return np.array([row[name] if row[name] is not None else "" for row in rows])

    return SessionBetas(
        betas=percent,
        condition=column("condition"),
        stimulus_set=column("stimulus_set"),
        run=column("run_number"),
        position=np.array([row["beta_index"] for row in rows]),
        target=column("target"),
        cued_target=np.array([own.get((r["stimulus_set"], r["cue"]), r["target"]) or "" for r in rows]),
        is_valid=is_valid,
        early=areas["early"],
        v1_v3=areas["V1"] | areas["V2"] | areas["V3"],
        higher=areas["higher"],
        nsdgeneral=np.ones(percent.shape[1], np.bool_),
    )


def areas_of(nsdgeneral: Roi, rois: Mapping[str, Roi]) -> dict[str, NDArray[np.bool_]]:
    """(n_voxels,) which voxels of nsdgeneral are in each of `AREAS`."""
    return {name: np.isin(nsdgeneral.flat, rois[name].flat) for name in AREAS}


def check_agreement(session: SessionBetas, scope: str) -> tuple[list[Finding], Judgement]:
    """The questions about one subject."""
    judgement = check_session(session)
    return _reported(judgement, scope), judgement


def check_pooled(judgements: Sequence[Judgement]) -> list[Finding]:
    """The same questions about all subjects together."""
    return _reported(pool(judgements), f"{len(judgements)} subjects pooled")


def no_agreement(scope: str, reason: str) -> list[Finding]:
    """The questions, not asked."""
    return [check.skipped(scope, reason) for check in DATA_QUESTIONS]


def _reported(judgement: Judgement, scope: str) -> list[Finding]:
    return [_finding(answer, scope, judgement.best) for answer in judgement.answers]


def _finding(answer: Answer, scope: str, best: str | None) -> Finding:
    outcome: Outcome = "pass" if answer.verdict == "information" else answer.verdict
    shown = ", ".join(f"{name} {value:.2g}" for name, value in answer.numbers.items())
    reason = answer.reason
    if answer.verdict == "fail" and best is not None:
        reason += f" (what explains the data best: {best})"
    check = next(check for check in DATA_QUESTIONS if check.id == f"data.{answer.question}")
    return check.found(scope, outcome, reason, (shown,) if outcome == "fail" else ())
