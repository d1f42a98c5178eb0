"""The recipe: the options that decide the numbers in a dataset."""

import math
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import BETA_VERSIONS
from nsd_imagery.suggest import one_of

ZSCORES = ("auto", "run", "session", "none")
DTYPES = ("float32", "float16")

FORMAT_VERSION = 3
"""Of the dataset folder; goes up when the same input gives other rows or files."""

OLDEST_FORMAT = 2
"""Of folders that are still read. Format 2 kept the epochs of attention apart by run, and no shard had a recipe."""


class RecipeOptions(TypedDict, total=False):
    """The options of a recipe as users write them."""

    betas: str
    zscore: str
    dtype: str
    smoothing_fwhm: float | None


@dataclass(frozen=True)
class Recipe:
    """The options that decide the numbers in a dataset.

    Attributes:
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        zscore: "run", "session", "none", or "auto": by run and epoch in nsdimagery, by session in NSD core.
        dtype: Of `betas`.
        smoothing_fwhm: Full width at half maximum, mm, of the Gaussian that betas are smoothed with; None for none.

    Raises:
        UsageError: One that cannot be meant.
    """

    beta_version: str
    zscore: str = "auto"
    dtype: str = "float32"
    smoothing_fwhm: float | None = None

    def __post_init__(self) -> None:
        one_of("zscore", self.zscore, ZSCORES)
        one_of("dtype", self.dtype, DTYPES)
        refuse_unsound_fwhm(self.smoothing_fwhm)
        if self.smoothing_fwhm is not None:
            object.__setattr__(self, "smoothing_fwhm", float(self.smoothing_fwhm))
        one_of("betas", self.beta_version, BETA_VERSIONS)

    @classmethod
    def of(cls, *, betas: str = BETA_VERSIONS[0], **options: Any) -> "Recipe":
        """The recipe of `RecipeOptions`."""
        return cls(betas, **options)

    @property
    def options(self) -> dict[str, Any]:
        """The options by name, as a manifest and a journal hold them; smoothing only where there is any."""
        options = asdict(self)
        fwhm = options.pop("smoothing_fwhm")
        return options if fwhm is None else {**options, "smoothing_fwhm": fwhm}


def refuse_unsound_fwhm(fwhm: float | None) -> None:
    """Raise UsageError unless it is a width in mm, or None."""
    if fwhm is not None and not 0 < fwhm < math.inf:
        msg = f"smoothing_fwhm is a width in mm, above 0, not {fwhm:g}; leave it out for betas that are not smoothed"
        raise UsageError(msg)
