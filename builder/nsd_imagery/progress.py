"""What a caller may pass as `progress`, to be told how far a long call is; of builds see `dataset.state.BuildState`."""

from collections.abc import Callable

StepProgress = Callable[[str], None]
"""Called with what is begun now."""

CountProgress = Callable[[int, int, str], None]
"""Called with how many are done, how many there are, and what is begun now."""

ShareProgress = Callable[[float], None]
"""Called often, with the share that is done, 0 to 1."""


def unwatched(_share: float) -> None:
    """For a caller that asks for no progress."""
