"""How strong the signal and the noise of a synthetic release are: what `synth` takes as `signal`."""

import math
from dataclasses import dataclass, fields
from typing import Final, Literal

from nsd_imagery.errors import UsageError
from nsd_imagery.suggest import did_you_mean

Preset = Literal["real", "strong", "none"]
BySet = tuple[float, float, float]


@dataclass(frozen=True)
class Signal:
    """Sizes of the effects, in units of `noise`.

    A stimulus evokes its pattern, which is the same in vision, imagery, attention and NSD core but for its size; sizes
    for each set are those of A, B, C. NSD core has those of vision, set B. All are 0 or more.

    Attributes:
        vision_early: Of the pattern seen, in early visual cortex (V1 to hV4), by set.
        vision_higher: The same in the rest of the visual areas.
        imagery_early: Of the pattern imagined, in early visual cortex, by set.
        imagery_higher: The same in the rest.
        attention_early: Of the pattern attended, in early visual cortex.
        attention_higher: The same in the rest.
        letter: Of the pattern of the letter on the screen, in early visual cortex; half as much in the rest.
        level: Of the response to anything at all, relative to the real one, whatever `noise` is.
        noise: About the standard deviation of what is not shared, percent signal change.
        common: Of noise that all voxels of early visual cortex share, and of another that those of the rest do: it
            hides what differs between trials where both are taken together, and not within either.
        drift: Of each run's slow drift, from its first beta to its last.
        offset: Of each run's error of its baseline.
        lag_one: Correlation of the noise of neighbouring betas, below 1.
    """

    vision_early: BySet
    vision_higher: BySet
    imagery_early: BySet
    imagery_higher: BySet
    attention_early: float
    attention_higher: float
    letter: float
    level: float = 1.0
    noise: float = 1.0
    common: float = 0.0
    drift: float = 0.1
    offset: float = 0.2
    lag_one: float = 0.34


SIGNALS: Final[dict[str, Signal]] = {
    "real": Signal(
        vision_early=(0.43, 0.38, 0.38),
        vision_higher=(0.06, 0.28, 0.24),
        imagery_early=(0.13, 0.1, 0.1),
        imagery_higher=(0.22, 0.3, 0.28),
        attention_early=0.25,
        attention_higher=0.2,
        letter=0.1,
        noise=0.7,
        common=1.3,
    ),
    "strong": Signal(
        vision_early=(0.5, 0.5, 0.5),
        vision_higher=(0.2, 0.2, 0.2),
        imagery_early=(0.19, 0.19, 0.19),
        imagery_higher=(0.16, 0.16, 0.16),
        attention_early=0.28,
        attention_higher=0.15,
        letter=0.1,
    ),
    "none": Signal(
        vision_early=(0, 0, 0),
        vision_higher=(0, 0, 0),
        imagery_early=(0, 0, 0),
        imagery_higher=(0, 0, 0),
        attention_early=0,
        attention_higher=0,
        letter=0,
        level=0,
        noise=0.7,
        common=1.3,
    ),
}
"""`real` lets trials be identified about as often as the real data do, on a small brain; `strong` is for tests and
first steps; `none` is noise, drift and order alone."""

DEFAULT_SIGNAL: Final[Preset] = "strong"


def signal_of(signal: Preset | Signal) -> Signal:
    """The effects that an argument means.

    Raises:
        UsageError: No such preset, or an effect that cannot be.
    """
    if isinstance(signal, Signal):
        _check(signal)
        return signal
    if not isinstance(signal, str) or signal not in SIGNALS:
        hint = did_you_mean(signal, SIGNALS) if isinstance(signal, str) else ""
        msg = f"signal must be one of {', '.join(SIGNALS)}, or a Signal, not {signal!r}{hint}"
        raise UsageError(msg)
    return SIGNALS[signal]


def _check(signal: Signal) -> None:
    for field in fields(signal):
        value = getattr(signal, field.name)
        by_set = isinstance(value, tuple)
        sizes = value if by_set else (value,)
        if by_set != (field.type == BySet) or len(sizes) != (3 if by_set else 1) or not all(map(_is_size, sizes)):
            what = "three sizes, of sets A, B and C," if field.type == BySet else "a size"
            msg = f"signal: {field.name} must be {what} of 0 or more, not {value!r}"
            raise UsageError(msg)
    if signal.lag_one >= 1:
        msg = f"signal: lag_one is a correlation below 1, not {signal.lag_one!r}"
        raise UsageError(msg)


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
