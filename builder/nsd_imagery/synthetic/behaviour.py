"""The behaviour files, nsdimagery_subjAA_<run>.tsv: columns and quirks as in the NSD Data Manual.

Numbers are floats, what does not apply is blank, and a press is missing now and then.
"""

from typing import Final

import numpy as np

from nsd_imagery.experiment import TRIALS_PER_RUN
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.schedule import EPOCH_SECONDS, RunSchedule, trial_seconds
from nsd_imagery.synthetic.stimuli import shared_ids

COLUMNS: Final = (
    "SUBJECT SESSION RUN TRIAL CONDITION CUE FRAMEFILE IMAGEFILE GROUNDTRUTH ISCORRECT CHANGEMIND TOTAL1 TOTAL2 "
    "BUTTON TRIALONSET TRIALEND IMAGEONSET IMAGESERIESENDS FINALDECISIONTIME RT"
).split()

_MISSED = 0.02
_CHANGED_MIND = 0.03
_CORRECT = 0.93
_VIVID = 0.7
_BLANK_FRAME = "blank00000_00000000"


def behaviour_text(seed: int, subject: str, schedule: RunSchedule) -> str:
    """One run's behaviour file: a header and 48 lines, in the order of the trials."""
    rng = generator(seed, "behaviour", subject, schedule.run.name)
    scanner_delay = rng.uniform(0, 0.1)
    lines = ["\t".join(COLUMNS)]
    for trial in range(TRIALS_PER_RUN):
        onset = schedule.onsets[trial] + scanner_delay + rng.uniform(0, 0.08)
        fields: dict[str, float | str] = {
            "SUBJECT": float(subject[-2:]),
            "SESSION": 1.0,
            "RUN": float(schedule.run.number),
            "TRIAL": float(trial + 1),
            **_shown(seed, schedule, trial),
            **_times(rng, schedule, onset),
            **_answer(rng, schedule, trial, onset),
        }
        lines.append("\t".join(str(fields.get(column, "")) for column in COLUMNS))
    return "\n".join([*lines, ""])


def picture_name(seed: int, schedule: RunSchedule, trial: int) -> str:
    """Stem of what is on the screen while the target is seen: its file, or a photograph of the concept."""
    if len(schedule.photographs):
        nsd_id = int(schedule.photographs[trial])
        rank = int(np.searchsorted(shared_ids(seed), nsd_id)) + 1
        return f"shared{rank:04d}_nsd{nsd_id + 1:05d}"
    return schedule.targets[schedule.conditions[trial]].name


def _shown(seed: int, schedule: RunSchedule, trial: int) -> dict[str, float | str]:
    target = schedule.targets[schedule.conditions[trial]]
    cue = schedule.targets[schedule.cues[trial]].cue
    image = ""
    frame = _BLANK_FRAME
    truth: float | str = ""
    if schedule.run.condition == "vision":
        frame = picture_name(seed, schedule, trial)
        truth = float(target.cue == cue)
    elif schedule.run.condition == "attention":
        truth = float(schedule.present[trial])
        image = target.listed_name if truth else ""
    return {
        "CONDITION": target.cue,
        "CUE": cue,
        "FRAMEFILE": f"{frame}_cue{cue}.png",
        "IMAGEFILE": image,
        "GROUNDTRUTH": truth,
    }


def _times(rng: np.random.Generator, schedule: RunSchedule, onset: float) -> dict[str, float | str]:
    if schedule.run.condition != "attention":
        return {"TRIALONSET": round(onset, 4), "TRIALEND": round(onset + 3 + rng.uniform(0, 0.01), 4)}
    start = onset + EPOCH_SECONDS + rng.uniform(0, 0.01)
    return {
        "TRIALONSET": round(onset, 4),
        "TRIALEND": round(onset + trial_seconds(schedule.run) - rng.uniform(0.01, 0.02), 4),
        "IMAGEONSET": round(start, 4),
        "IMAGESERIESENDS": round(start + 4 + rng.uniform(0, 0.01), 4),
    }


def _answer(rng: np.random.Generator, schedule: RunSchedule, trial: int, onset: float) -> dict[str, float | str]:
    """What was pressed: 1 for match, present or vivid, 2 for the opposite; nothing on a missed trial."""
    if rng.random() < _MISSED:
        return {"TOTAL1": 0.0, "TOTAL2": 0.0}
    condition = schedule.run.condition
    is_correct: float | str = ""
    if condition == "imagery":
        button = 1 if rng.random() < _VIVID else 2
    else:
        is_match = schedule.conditions[trial] == schedule.cues[trial]
        truth = schedule.present[trial] if condition == "attention" else is_match
        is_correct = float(rng.random() < _CORRECT)
        button = 1 if bool(truth) == bool(is_correct) else 2
    changed = rng.random() < _CHANGED_MIND
    totals = {button: 1.0, 3 - button: float(changed)}
    earliest = EPOCH_SECONDS if condition == "attention" else 0
    seconds = earliest + rng.uniform(0.45, 2.6)
    return {
        "ISCORRECT": is_correct,
        "CHANGEMIND": float(changed),
        "TOTAL1": totals[1],
        "TOTAL2": totals[2],
        "BUTTON": float(button),
        "FINALDECISIONTIME": round(onset + seconds, 4),
        "RT": round(1000 * seconds, 2),
    }
