"""The facts of the two experiments, as frozen tables.

Source: the NSD Data Manual (NSD-Imagery: "nsdimagery") and Allen et al. (2022). Ids and indices are 0-based;
numbers that people say (subject, session, run) are 1-based, as in the names of the release's files.
"""

from dataclasses import dataclass
from typing import Final, Literal

Condition = Literal["imagery", "vision", "attention", "perception"]
Experiment = Literal["nsdimagery", "nsd"]

EXPERIMENTS: Final[tuple[Experiment, ...]] = ("nsdimagery", "nsd")
SUBJECTS: Final = tuple(f"subj{number:02d}" for number in range(1, 9))
CONDITIONS: Final[tuple[Condition, ...]] = ("imagery", "vision", "attention", "perception")
NSDIMAGERY_CONDITIONS: Final[tuple[Condition, ...]] = ("imagery", "vision", "attention")
STIMULUS_SETS: Final = ("A", "B", "C")
BETA_VERSIONS: Final = ("fithrf_GLMdenoise_RR", "fithrf")
"""The two versions that NSD-Imagery was released in, "b3" and "b2"; the first is the default."""

PERCENT_SIGNAL_SCALE: Final = 300
"""Volume betas are int16 = percent signal change x 300."""

TRIALS_PER_RUN: Final = 48
BLANKS_PER_RUN: Final = 12
TARGETS_PER_SET: Final = 6
N_BETAS: Final = 720
N_DESIGN_COLUMNS: Final = 36
N_NSD_PICTURES: Final = 73_000

CORE_SESSIONS: Final = dict(zip(SUBJECTS, (40, 40, 32, 30, 40, 32, 40, 30), strict=True))
CORE_TRIALS_PER_SESSION: Final = 750
CORE_RUNS: Final = 12
"""Of one session of NSD core."""

CORE_RUN_TRIALS: Final = (62, 63)
"""What a run of NSD core can have; its odd runs have the one, its even runs the other."""

CORE_REPEATS: Final = 3
"""How often NSD core shows a picture to a subject, at most."""

GRIDS: Final = dict(
    zip(
        SUBJECTS,
        (
            (81, 104, 83),
            (82, 106, 84),
            (81, 106, 82),
            (85, 99, 80),
            (79, 97, 78),
            (85, 113, 83),
            (78, 95, 81),
            (80, 103, 78),
        ),
        strict=True,
    )
)
"""Voxels along x, y, z of the func1pt8mm preparation."""

NSDGENERAL_VOXELS: Final = dict(zip(SUBJECTS, (15724, 14278, 15226, 13153, 13039, 17907, 12682, 14386), strict=True))
"""Voxels of nsdgeneral (value 1) on those grids."""


@dataclass(frozen=True)
class Run:
    """One run of NSD-Imagery.

    Attributes:
        number: The RUN column of the behaviour files, 1 to 12.
        name: As in the file names, for example "imgA_1".
        condition: What the subject did.
        stimulus_set: "A", "B" or "C".
        design_columns: The columns of designmatrixGLMsingle that are active in this run.
    """

    number: int
    name: str
    condition: Condition
    stimulus_set: str
    design_columns: range

    @property
    def epochs(self) -> tuple[str, ...]:
        """Betas of one trial, in order; an attention trial has two."""
        return ("cue", "detection") if self.condition == "attention" else ("",)

    @property
    def n_betas(self) -> int:
        """Volumes of the beta file that belong to this run."""
        return TRIALS_PER_RUN * len(self.epochs)


def _run(number: int, name: str) -> Run:
    condition: Condition = {"vis": "vision", "att": "attention", "img": "imagery"}[name[:3]]  # type: ignore[assignment]
    stimulus_set = name[3]
    imagery_start = 18 + TARGETS_PER_SET * STIMULUS_SETS.index(stimulus_set)
    columns = {
        "vision": range(6),
        "attention": range(6, 18),
        "imagery": range(imagery_start, imagery_start + TARGETS_PER_SET),
    }
    return Run(number, name, condition, stimulus_set, columns[condition])


RUNS: Final = tuple(
    _run(number, name)
    for number, name in enumerate(
        "visA attA imgA_1 visB attB imgB_1 visC attC imgC_1 imgA_2 imgB_2 imgC_2".split(), start=1
    )
)
"""The runs in the order of the scan session. To be read from the RUN column and proved, not assumed."""

REPEATS: Final[dict[Condition, int]] = {"vision": 8, "imagery": 16, "attention": 8}
"""Trials a target, over all runs of a condition."""

SYNTHETIC_MARKER = "synthetic.json"
"""Lies in the root of a tree that `synth` wrote, and in no other."""
