"""Checks of the files that label NSD-Imagery: what a build proves, listed in full, and what only a report needs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from nsd_imagery.checks.report import Finding, judged, skipped
from nsd_imagery.experiment import TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.sources.design import nsd_id_of_name
from nsd_imagery.sources.proof import PROOFS, Contradiction, Proof, SessionFiles, design_follows
from nsd_imagery.sources.stim_info import StimInfo

_TOLERANCE = 1.5
"""s between an onset of the design, whose rows are whole seconds, and TRIALONSET: about 1 s, and a margin."""

_DETECTION = (2, 4)
"""s from the cue epoch of an attention trial to its detection epoch: about 3."""


def onset_times(files: SessionFiles) -> Iterator[Contradiction]:
    """The k-th onset of a run's design is the k-th TRIALONSET; the detection epoch follows about 3 s later."""
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
    """The cue and the detection epochs of attention trials are in design columns of their own, in turn."""
    for behaviour, design in files.with_design():
        if behaviour.run.condition == "attention":
            cue, detection = set(design.columns[::2].tolist()), set(design.columns[1::2].tolist())
            if cue & detection or len(cue) != TARGETS_PER_SET or len(detection) != TARGETS_PER_SET:
                what = f"cue epochs are in design columns {sorted(cue)}, detection epochs in {sorted(detection)}"
                yield Contradiction(behaviour.path, what)


def chronological(files: SessionFiles) -> Iterator[Contradiction]:
    """TRIALONSET rises from trial to trial."""
    for behaviour in files.behaviours:
        for before, trial in pairwise(behaviour.trials):
            if before.onset is not None and trial.onset is not None and trial.onset <= before.onset:
                what = f"TRIALONSET is {trial.onset:g} s, but the trial before began at {before.onset:g} s"
                yield Contradiction(behaviour.path, what, trial.number)


def matched_half(files: SessionFiles) -> Iterator[Contradiction]:
    """In a vision run 24 trials show the target's own letter and 24 another's, and each letter is shown 8 times."""
    for behaviour in files.behaviours:
        if behaviour.run.condition == "vision":
            matched = sum(trial.condition == trial.cue for trial in behaviour.trials)
            shown = Counter(trial.cue for trial in behaviour.trials)
            if 2 * matched != TRIALS_PER_RUN or set(shown.values()) != {TRIALS_PER_RUN // TARGETS_PER_SET}:
                what = f"{matched} trials show the target's own letter; letters shown: {dict(sorted(shown.items()))}"
                yield Contradiction(behaviour.path, what)


def buttons(files: SessionFiles) -> Iterator[Contradiction]:
    """BUTTON is 1, 2 or blank."""
    for behaviour in files.behaviours:
        for trial in behaviour.trials:
            if trial.button not in (None, 1, 2):
                yield Contradiction(behaviour.path, f"BUTTON is {trial.button}, not 1, 2 or blank", trial.number)


def no_target_twice_in_a_row(files: SessionFiles) -> Iterator[Contradiction]:
    """No target comes twice in a row."""
    for behaviour in files.behaviours:
        for before, trial in pairwise(behaviour.trials):
            if before.condition == trial.condition:
                what = f"CONDITION is {trial.condition!r}, as in the trial before"
                yield Contradiction(behaviour.path, what, trial.number)


_FURTHER = tuple(
    Proof(find.__name__.replace("_", "-"), (find.__doc__ or "").rstrip("."), find)
    for find in (
        onset_times, attention_epochs, chronological, matched_half, buttons, no_target_twice_in_a_row,
    )
)  # fmt: skip


def check_behaviour(files: SessionFiles, scope: str) -> list[Finding]:
    """All proofs of a session's labelling files, each with everything that contradicts it."""
    evidence = f"{sum(len(behaviour.trials) for behaviour in files.behaviours)} trials of {len(files.behaviours)} runs"
    return [
        judged(f"labels.{proof.id}", proof.proves, scope, proof.find(files), evidence) for proof in (*PROOFS, *_FURTHER)
    ] + [_design_of_vision(files, scope), _imagery_order(files, scope)]


def check_picture_ids(files: SessionFiles, info: StimInfo | None, n_pictures: int, scope: str) -> Finding:
    """The numbers in file names are 1-based: each minus 1 is one of NSD's shared 1,000, of the rank it names."""
    check, proves = "labels.id-base", "The number in a picture's file name is its 0-based NSD id plus 1"
    if info is None:
        return skipped(check, proves, scope, "nsd_stim_info_merged.csv is not in the root")
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
    return judged(check, proves, scope, wrong, evidence)


def _design_of_vision(files: SessionFiles, scope: str) -> Finding:
    follows = {
        behaviour.run.name: design_follows(behaviour, design)
        for behaviour, design in files.with_design()
        if behaviour.run.condition == "vision"
    }
    wrong = [f"{name}: its design columns go with neither" for name, to in follows.items() if to == "neither"]
    said = ", ".join(f"{name} {to}" for name, to in follows.items())
    proves = "The design columns of vision runs follow what was seen or what was cued"
    return judged("labels.vision-design", proves, scope, wrong, f"they follow: {said}")


def _imagery_order(files: SessionFiles, scope: str) -> Finding:
    """For information: order-locked drift can look like transfer where imagery repeats the order of vision."""
    orders = {b.run.name: [trial.condition for trial in b.trials] for b in files.behaviours}
    same = [name for name in orders if _seen_order(name, orders) == orders[name]]
    evidence = f"runs in the order of their set's vision run: {', '.join(same) or 'none'}"
    proves = "For information: which imagery runs repeat the order of the vision run of their set"
    return Finding("labels.imagery-order", proves, scope, "pass", evidence)


def _seen_order(name: str, orders: dict[str, list[str]]) -> Sequence[str] | None:
    return orders.get(f"vis{name[3]}") if name.startswith("img") else None
