"""Which rows are meant: a choice in the spellings of this package, and which of some rows it is of."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.dataset.names import SPLITS
from nsd_imagery.dataset.recipe import ZSCORES
from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import BETA_VERSIONS, CONDITIONS, RUNS, STIMULUS_SETS
from nsd_imagery.sources.root import SOURCES
from nsd_imagery.spelling import the_choice, the_word
from nsd_imagery.volumes.roi import DEFAULT_ROI


@dataclass(frozen=True)
class Choice:
    """Which rows; None stands for all that are there.

    Attributes:
        subject: One subject, because each has voxels of its own; None where only one is there.
        condition: "imagery", "vision", "attention" or "perception".
        sessions: Numbers of sessions, 1-based.
        split: "train" or "test".
        stimuli: Keys of stimuli.
        roi: A ROI name; see `volumes.roi`.
        zscore: "auto", "run", "session" or "none"; None is as built, else "auto".
        beta_version: fithrf_GLMdenoise_RR or fithrf; None is as built or indexed, else the default one.
        source: "release" or "cache", for a root that holds the subject in both.
        smoothing_fwhm: Of the Gaussian that betas are smoothed with, mm; None is as built, else not smoothed.
        stimulus_sets: "A", "B", "C".
        runs: By name or by number.
    """

    subject: str | None = None
    condition: str | None = None
    sessions: tuple[int, ...] | None = None
    split: str | None = None
    stimuli: Collection[str] | None = None
    roi: str = DEFAULT_ROI
    zscore: str | None = None
    beta_version: str | None = None
    source: str | None = None
    smoothing_fwhm: float | None = None
    stimulus_sets: tuple[str, ...] | None = None
    runs: tuple[str, ...] | None = None

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions to look for."""
        return CONDITIONS if self.condition is None else (self.condition,)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits to look for."""
        return SPLITS if self.split is None else (self.split,)


def meant(choice: Choice) -> Choice:
    """A choice in the spellings of this package.

    Raises:
        UsageError: A word of it cannot be meant.
    """
    said: dict[str, Any] = {"roi": the_word("roi", choice.roi)}
    for what, name, choices in (
        ("condition", "condition", CONDITIONS),
        ("split", "split", SPLITS),
        ("zscore", "zscore", ZSCORES),
        ("betas", "beta_version", BETA_VERSIONS),
        ("source", "source", SOURCES),
    ):
        if (word := getattr(choice, name)) is not None:
            said[name] = the_choice(what, word, choices)
    if choice.stimulus_sets is not None:
        said["stimulus_sets"] = tuple(the_choice("stimulus_set", word, STIMULUS_SETS) for word in choice.stimulus_sets)
    if choice.runs is not None:
        names = [run.name for run in RUNS]
        said["runs"] = tuple(word if word.isdecimal() else the_choice("run", word, names) for word in choice.runs)
    return replace(choice, **said)


def is_chosen(rows: pa.Table | pa.RecordBatch, choice: Choice) -> NDArray[np.bool_]:
    """(n_rows,) whether session, stimulus, set and run of each row are of the choice."""
    keep = np.ones(rows.num_rows, np.bool_)
    if choice.sessions is not None:
        keep &= np.isin(rows.column("session").to_numpy(), choice.sessions)
    if choice.stimuli is not None:
        stimuli = rows.column("stimulus").to_pylist()
        wanted = {stimulus for stimulus in set(stimuli) if stimulus in choice.stimuli}
        keep &= np.array([stimulus in wanted for stimulus in stimuli], np.bool_)
    if choice.stimulus_sets is not None:
        keep &= np.isin(rows.column("stimulus_set").to_pylist(), choice.stimulus_sets)
    if choice.runs is not None:
        by_number = np.isin(rows.column("run_number").to_numpy(), [int(run) for run in choice.runs if run.isdecimal()])
        keep &= by_number | np.isin(rows.column("run_name").to_pylist(), choice.runs)
    return keep


def refuse_missing(choice: Choice, here: Collection[int]) -> None:
    """Raise UsageError where a session is asked for that is not there."""
    if lacking := sorted(set(choice.sessions or ()) - set(here)):
        msg = f"no session {lacking[0]}; there are: {', '.join(map(str, sorted(here)))}"
        raise UsageError(msg)


def no_rows(choice: Choice) -> UsageError:
    """For where nothing is left."""
    said = {"condition": choice.condition, "session": choice.sessions, "split": choice.split,
            "set": choice.stimulus_sets, "run": choice.runs}  # fmt: skip
    asked = [f"{name} {_words(value)}" for name, value in said.items() if value is not None]
    asked += ["the stimuli asked for"] if choice.stimuli is not None else []
    sets = "NSD-Imagery has the split test, NSD core train and test (shared1000), and no sets"
    return UsageError(f"no row is of {', '.join(asked) or 'this subject and ROI'}; {sets}")


def _words(said: str | tuple[object, ...]) -> str:
    return said if isinstance(said, str) else " or ".join(map(str, said))
