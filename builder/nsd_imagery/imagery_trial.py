"""The Guide's `ImageryTrial`: one row of an index as a frozen value, for code that wants a trial and not a table."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from nsd_imagery.experiment import Condition


@dataclass(frozen=True)
class ImageryTrial:
    """One beta and what it is the response to; the fields and the order of the Guide.

    Attributes:
        trial_id: Unique over all subjects and experiments.
        subject: "subj01" to "subj08".
        session: Number of the scan session, 1-based.
        trial_in_session: From 0.
        condition: "imagery", "vision" or "attention" (NSD-Imagery), or "perception" (NSD core).
        nsd_id: 0-based id of the NSD picture; None for bars, crosses, words and the artwork.
        coco_id: Its COCO id, where that is known.
        beta_path: The beta file, relative to the root.
        beta_index: The volume in it, from 0.
        roi_mask_path: The mask that the trial's manifest names, relative to the root.
        repeat_index: From 0, in order of presentation.
        caption: First COCO caption of the picture.
        run_number: Number of the run in the session, 1-based.
        is_valid: The beta is there and not all zero in the brain.
        snr_estimate: Signal-to-noise ratio that the trial's manifest names.
    """

    trial_id: int
    subject: str
    session: int
    trial_in_session: int
    condition: Condition
    nsd_id: int | None
    coco_id: int | None
    beta_path: str
    beta_index: int
    roi_mask_path: str | None = None
    repeat_index: int = 0
    caption: str | None = None
    run_number: int | None = None
    is_valid: bool = True
    snr_estimate: float | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "ImageryTrial":
        """The trial of an index row, for example one of `index.to_pylist()`; columns that it does not have are ignored.

        Raises:
            KeyError: The row lacks a field without a default.
        """
        return cls(
            **{f.name: row[f.name] for f in fields(cls) if f.name in row or f.default is MISSING},
        )

    def to_row(self) -> dict[str, Any]:
        """The Guide's columns of an index row."""
        return asdict(self)
