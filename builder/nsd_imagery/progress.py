"""What a caller may pass as `progress`, to be told how far a long call is; for builds see `dataset.make.BuildState`."""

from collections.abc import Callable

StepProgress = Callable[[str], None]
"""Called with what is begun now."""

CountProgress = Callable[[int, int, str], None]
"""Called with how many are done, how many there are, and what is begun now."""
