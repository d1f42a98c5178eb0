"""The behaviour files, nsdimagery_subjAA_<run>.tsv: columns and quirks as in the NSD Data Manual.

Whole numbers are written 1 and what does not apply NaN; a press is missing now and then. Times are in s from the start
of the run, RT in ms.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import TRIALS_PER_RUN
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.schedule import EPOCH_SECONDS, RunSchedule, trial_seconds
from nsd_imagery.synthetic.stimuli import shared_ids

COLUMNS: Final = (
    "SUBJECT SESSION RUN TRIAL CONDITION CUE FRAMEFILE IMAGEFILE GROUNDTRUTH ISCORRECT CHANGEMIND TOTAL1 TOTAL2 "
    "BUTTON TRIALONSET TRIALEND IMAGEONSET IMAGESERIESENDS FINALDECISIONTIME RT"
).split()

ABSENT: Final = "NaN"

_MISSED = 0.02
_UNANSWERED: Final = {("subj06", "attA"): 0.95}
"""Runs in which nearly all presses are missing."""

_CHANGED_MIND = 0.03
_CORRECT = 0.93
_VIVID = 0.7
_BLANK_FRAME = "blank00000_00000000"

_RUN_DELAY, _TRIAL_DELAY = 0.25, 0.1
"""s, at most, between an onset and the whole second that the design has for it: of the run, and of each trial."""

_SERIES_SECONDS = 4
"""Of the images among which an attention trial's target is, or is not."""

_LAST_IMAGE = 3.5
"""s from the start of the series to the last image that can be the target."""

Field = float | str | None


def behaviour_text(seed: int, subject: str, schedule: RunSchedule) -> str:
    """One run's behaviour file: a header and 48 lines, in the order of the trials."""
    rng = generator(seed, "behaviour", subject, schedule.run.name)
    delay = rng.uniform(-_RUN_DELAY, _RUN_DELAY)
    missed = _UNANSWERED.get((subject, schedule.run.name), _MISSED)
    lines = ["\t".join(COLUMNS)]
    for trial in range(TRIALS_PER_RUN):
        onset = schedule.onsets[trial] + delay + rng.uniform(-_TRIAL_DELAY, _TRIAL_DELAY)
        times = _times(rng, schedule, trial, round(onset, 4))
        fields: dict[str, Field] = {
            "SUBJECT": int(subject[-2:]),
            "SESSION": 1,
            "RUN": schedule.run.number,
            "TRIAL": trial + 1,
            **_shown(seed, schedule, trial),
            **times,
            **_answer(rng, schedule, trial, times, missed),
        }
        lines.append("\t".join(written(fields.get(column)) for column in COLUMNS))
    return "\n".join([*lines, ""])


def written(field: Field) -> str:
    """As the release writes it: whole numbers as 1, what is absent as NaN."""
    if field is None:
        return ABSENT
    return field if isinstance(field, str) else str(field).removesuffix(".0")


def _shown(seed: int, schedule: RunSchedule, trial: int) -> dict[str, Field]:
    target = schedule.targets[schedule.conditions[trial]]
    cue = schedule.targets[schedule.cues[trial]].cue
    frame = _BLANK_FRAME
    truth: Field = None
    image: Field = None
    if schedule.run.condition == "vision":
        frame = _stem(seed, target.name, schedule.photographs, trial)
        truth = int(target.cue == cue)
    elif schedule.run.condition == "attention":
        truth = int(schedule.present[trial])
        if truth:
            image = f"{_stem(seed, target.name, schedule.frames, trial)}_cue{cue}.png"
    return {
        "CONDITION": target.cue,
        "CUE": cue,
        "FRAMEFILE": f"{frame}_cue{cue}.png",
        "IMAGEFILE": image,
        "GROUNDTRUTH": truth,
    }


def _stem(seed: int, name: str, photographs: NDArray[np.int64], trial: int) -> str:
    """Stem of the target's file, or of the photograph that stands for its concept."""
    if not len(photographs):
        return name
    nsd_id = int(photographs[trial])
    rank = int(np.searchsorted(shared_ids(seed), nsd_id)) + 1
    return f"shared{rank:04d}_nsd{nsd_id + 1:05d}"


def _times(rng: np.random.Generator, schedule: RunSchedule, trial: int, onset: float) -> dict[str, float]:
    """Times in s from the start of the run; an image that is not there has none."""
    if schedule.run.condition != "attention":
        return {"TRIALONSET": onset, "TRIALEND": round(onset + trial_seconds(schedule.run), 4)}
    start = onset + EPOCH_SECONDS + rng.uniform(0, 0.01)
    times = {
        "TRIALONSET": onset,
        "TRIALEND": round(onset + trial_seconds(schedule.run) - rng.uniform(0.01, 0.02), 4),
        "IMAGESERIESENDS": round(start + _SERIES_SECONDS, 4),
    }
    if schedule.present[trial]:
        times["IMAGEONSET"] = round(start + rng.uniform(0, _LAST_IMAGE), 4)
    return times


def _answer(
    rng: np.random.Generator, schedule: RunSchedule, trial: int, times: dict[str, float], missed: float
) -> dict[str, Field]:
    """What was pressed: 1 for match, present or vivid, 2 for the opposite; nothing on a missed trial.

    RT counts from where there is something to answer: the trial's onset, in attention the target's, or the end of a
    series without it.
    """
    if rng.random() < missed:
        return {"TOTAL1": 0, "TOTAL2": 0}
    condition = schedule.run.condition
    is_correct: Field = None
    if condition == "imagery":
        button = 1 if rng.random() < _VIVID else 2
    else:
        is_match = schedule.conditions[trial] == schedule.cues[trial]
        truth = schedule.present[trial] if condition == "attention" else is_match
        is_correct = int(rng.random() < _CORRECT)
        button = 1 if bool(truth) == bool(is_correct) else 2
    changed = int(rng.random() < _CHANGED_MIND)
    totals = {button: 1, 3 - button: changed}
    start = times["TRIALONSET"] if condition != "attention" else times.get("IMAGEONSET", times["IMAGESERIESENDS"])
    seconds = rng.uniform(0.45, 2.6)
    return {
        "ISCORRECT": is_correct,
        "CHANGEMIND": changed,
        "TOTAL1": totals[1],
        "TOTAL2": totals[2],
        "BUTTON": button,
        "FINALDECISIONTIME": round(start + seconds, 4),
        "RT": round(1000 * seconds, 2),
    }
