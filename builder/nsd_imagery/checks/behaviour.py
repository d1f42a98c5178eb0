"""Checks of the files that label NSD-Imagery: what a build proves, listed in full, and what only a report needs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from nsd_imagery.checks.catalogue import (
    LABELS_ATTENTION_EPOCHS,
    LABELS_BUTTONS,
    LABELS_CHRONOLOGICAL,
    LABELS_ID_BASE,
    LABELS_IMAGERY_ORDER,
    LABELS_MATCHED_HALF,
    LABELS_NO_TARGET_TWICE,
    LABELS_ONSET_TIMES,
    LABELS_PROOFS,
    LABELS_VISION_DESIGN,
)
from nsd_imagery.checks.finding import Finding
from nsd_imagery.experiment import TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.sources.design import nsd_id_of_name
from nsd_imagery.sources.proof import PROOFS, Contradiction, SessionFiles, design_follows
from nsd_imagery.sources.stim_info import StimInfo

_TOLERANCE = 1.5
"""s between an onset of the design, whose rows are whole seconds, and TRIALONSET: about 1 s, and a margin."""

_DETECTION = (2, 4)
"""s from the cue epoch of an attention trial to its detection epoch: about 3."""


def onset_times(files: SessionFiles) -> Iterator[Contradiction]:
    """Trials that began at another time than the design's, and attention trials whose epochs are not 3 s apart."""
    for behaviour, design in files.with_design():
        n_epochs = len(behaviour.run.epochs)
        if len(design.seconds) != behaviour.run.n_betas:
            continue
        starts = design.seconds[::n_epochs]
        for trial, second in zip(behaviour.trials, starts.tolist(), strict=True):
            if trial.onset is not None and abs(trial.onset - second) > _TOLERANCE:
                what = f"TRIALONSET is {trial.onset:g} s, but its onset in {files.design_path} is {second} s"
                yield Contradiction(behaviour.path, what, trial.number)
        if n_epochs == 2:
            apart = design.seconds[1::2] - starts
            for at in np.flatnonzero((apart < _DETECTION[0]) | (apart > _DETECTION[1])).tolist():
                what = f"its two epochs are {apart[at]} s apart in {files.design_path}, not about 3 s"
                yield Contradiction(behaviour.path, what, behaviour.trials[at].number)


def attention_epochs(files: SessionFiles) -> Iterator[Contradiction]:
    """Attention runs whose cue and detection epochs share design columns."""
    for behaviour, design in files.with_design():
        if behaviour.run.condition == "attention":
            cue, detection = set(design.columns[::2].tolist()), set(design.columns[1::2].tolist())
            if cue & detection or len(cue) != TARGETS_PER_SET or len(detection) != TARGETS_PER_SET:
                what = f"cue epochs are in design columns {sorted(cue)}, detection epochs in {sorted(detection)}"
                yield Contradiction(behaviour.path, what)


def chronological(files: SessionFiles) -> Iterator[Contradiction]:
    """Trials that began no later than the one before."""
    for behaviour in files.behaviours:
        for before, trial in pairwise(behaviour.trials):
            if before.onset is not None and trial.onset is not None and trial.onset <= before.onset:
                what = f"TRIALONSET is {trial.onset:g} s, but the trial before began at {before.onset:g} s"
                yield Contradiction(behaviour.path, what, trial.number)


def matched_half(files: SessionFiles) -> Iterator[Contradiction]:
    """Vision runs whose letters are not those of half of their targets, or not shown equally often."""
    for behaviour in files.behaviours:
        if behaviour.run.condition == "vision":
            matched = sum(trial.condition == trial.cue for trial in behaviour.trials)
            shown = Counter(trial.cue for trial in behaviour.trials)
            if 2 * matched != TRIALS_PER_RUN or set(shown.values()) != {TRIALS_PER_RUN // TARGETS_PER_SET}:
                what = f"{matched} trials show the target's own letter; letters shown: {dict(sorted(shown.items()))}"
                yield Contradiction(behaviour.path, what)


def buttons(files: SessionFiles) -> Iterator[Contradiction]:
    """Trials of another button."""
    for behaviour in files.behaviours:
        for trial in behaviour.trials:
            if trial.button not in (None, 1, 2):
                yield Contradiction(behaviour.path, f"BUTTON is {trial.button}, not 1, 2 or blank", trial.number)


def no_target_twice_in_a_row(files: SessionFiles) -> Iterator[Contradiction]:
    """Trials of the same target as the one before."""
    for behaviour in files.behaviours:
        for before, trial in pairwise(behaviour.trials):
            if before.condition == trial.condition:
                what = f"CONDITION is {trial.condition!r}, as in the trial before"
                yield Contradiction(behaviour.path, what, trial.number)


_FURTHER = (
    (LABELS_ONSET_TIMES, onset_times),
    (LABELS_ATTENTION_EPOCHS, attention_epochs),
    (LABELS_CHRONOLOGICAL, chronological),
    (LABELS_MATCHED_HALF, matched_half),
    (LABELS_BUTTONS, buttons),
    (LABELS_NO_TARGET_TWICE, no_target_twice_in_a_row),
)


def check_behaviour(files: SessionFiles, scope: str) -> list[Finding]:
    """All proofs of a session's labelling files, each with everything that contradicts it."""
    evidence = f"{sum(len(behaviour.trials) for behaviour in files.behaviours)} trials of {len(files.behaviours)} runs"
    proofs = zip(LABELS_PROOFS, (proof.find for proof in PROOFS), strict=True)
    judged = [check.judged(scope, find(files), evidence) for check, find in (*proofs, *_FURTHER)]
    return [*judged, _design_of_vision(files, scope), _imagery_order(files, scope)]


def check_picture_ids(files: SessionFiles, info: StimInfo | None, n_pictures: int, scope: str) -> Finding:
    """The numbers in file names are 1-based: each minus 1 is one of NSD's shared 1,000, of the rank it names."""
    if info is None:
        return LABELS_ID_BASE.skipped(scope, "nsd_stim_info_merged.csv is not in the root")
    names = [target.name for targets in files.targets.values() for target in targets.values()]
    names += [trial.picture for behaviour, trial in files.runs("vision") if behaviour.run.stimulus_set == "C"]
    ids = {name: nsd_id for name in names if (nsd_id := nsd_id_of_name(name)) is not None}
    wrong = [
        f"{info.path}: {name} is nsdId {nsd_id}, which is not of the shared 1,000"
        for name, nsd_id in ids.items()
        if nsd_id >= n_pictures or not info.shared1000[nsd_id]
    ]
    rank = np.cumsum(info.shared1000)
    ranked = sum(int(name[6:10]) == rank[nsd_id] for name, nsd_id in ids.items())
    rivals = sum(bool(info.shared1000[min(nsd_id + 1, n_pictures - 1)]) for nsd_id in ids.values())
    evidence = (
        f"{len(ids)} pictures: all are of the shared 1,000, {ranked} of the rank in them that their name says; "
        f"read as 0-based, {rivals} would be"
    )
    return LABELS_ID_BASE.judged(scope, wrong, evidence)


def _design_of_vision(files: SessionFiles, scope: str) -> Finding:
    follows = {
        behaviour.run.name: design_follows(behaviour, design)
        for behaviour, design in files.with_design()
        if behaviour.run.condition == "vision"
    }
    wrong = [f"{name}: its design columns go with neither" for name, to in follows.items() if to == "neither"]
    said = ", ".join(f"{name} {to}" for name, to in follows.items())
    return LABELS_VISION_DESIGN.judged(scope, wrong, f"they follow: {said}")


def _imagery_order(files: SessionFiles, scope: str) -> Finding:
    """For information: order-locked drift can look like transfer where imagery repeats the order of vision."""
    orders = {b.run.name: [trial.condition for trial in b.trials] for b in files.behaviours}
    same = [name for name in orders if _seen_order(name, orders) == orders[name]]
    evidence = f"runs in the order of their set's vision run: {', '.join(same) or 'none'}"
    return LABELS_IMAGERY_ORDER.found(scope, "pass", evidence)


def _seen_order(name: str, orders: dict[str, list[str]]) -> Sequence[str] | None:
    return orders.get(f"vis{name[3]}") if name.startswith("img") else None
