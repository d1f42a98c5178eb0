"""What a synthetic tree is asked to be: the arguments of `synth`, checked before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import CORE_SESSIONS
from nsd_imagery.progress import StepProgress
from nsd_imagery.synthetic.effects import Preset, Signal, signal_of

BetaFormat = Literal["hdf5", "nii.gz", "both"]
Layout = Literal["release", "cache"]

FORMATS: Final[dict[BetaFormat, tuple[str, ...]]] = {
    "hdf5": ("hdf5",),
    "nii.gz": ("nii.gz",),
    "both": ("hdf5", "nii.gz"),
}
"""Endings of the beta files that each format stands for."""

LAYOUTS: Final[tuple[Layout, ...]] = ("release", "cache")


@dataclass(frozen=True)
class Request:
    """The arguments of `synth`, but for the root; see there."""

    subjects: Sequence[str]
    seed: int
    full_size: bool
    format: BetaFormat
    layout: Layout
    perception_sessions: int
    signal: Preset | Signal
    progress: StepProgress


def check(request: Request) -> None:
    """Refuse arguments that cannot be meant.

    Raises:
        UsageError: Says which argument, and what it may be.
    """
    seed = request.seed
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        msg = f"seed must be a whole number that is not negative, not {seed!r}"
        raise UsageError(msg)
    signal_of(request.signal)
    _check_sessions(request.subjects, request.perception_sessions)
    if request.layout == "cache" and request.perception_sessions:
        msg = "NSD core is written in the release layout: leave out the perception sessions, or the layout cache"
        raise UsageError(msg)


def _check_sessions(subjects: Sequence[str], perception_sessions: int) -> None:
    fewest = min(subjects, key=CORE_SESSIONS.__getitem__)
    most = CORE_SESSIONS[fewest]
    is_number = isinstance(perception_sessions, int) and not isinstance(perception_sessions, bool)
    if not is_number or not 0 <= perception_sessions <= most:
        msg = f"perception_sessions must be a whole number from 0 to {most} for {fewest}, not {perception_sessions!r}"
        raise UsageError(msg)
