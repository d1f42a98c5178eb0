"""Transfer and predictions of a subject and ROI, as an evaluation is asked for them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nsd_imagery.errors import DataError
from nsd_imagery.evaluation.runs import Runs
from nsd_imagery.evaluation.score import Measured, Score
from nsd_imagery.evaluation.selected import Columns
from nsd_imagery.evaluation.transfer.baseline import Transfer, measured_transfer
from nsd_imagery.evaluation.transfer.decoder import Decoder
from nsd_imagery.evaluation.transfer.inputs import File, Opened
from nsd_imagery.evaluation.transfer.predicted import score_predictions
from nsd_imagery.evaluation.transfer.saved_decoders import folder_of
from nsd_imagery.evaluation.transfer.tested import PERMUTATIONS
from nsd_imagery.evaluation.transfer.training import training_rows


@dataclass(frozen=True, eq=False)
class Transferred:
    """What transfer gave in a ROI.

    Attributes:
        scores: With their draws.
        said: What was learnt from, by name: what `evaluation.json` says; empty without embeddings.
    """

    scores: list[Measured] = field(default_factory=list)
    said: Mapping[str, Any] = field(default_factory=dict)


def predicted(folder: Path, runs: Runs, given: Opened, draws: int) -> list[Measured]:
    """The scores of predictions; none where none were given.

    Raises:
        DataError: A prediction is of nothing that is tested, or a test has none.
    """
    if given.predictions is None or given.targets is None:
        return []
    return score_predictions(
        folder,
        runs.subject,
        given.predictions,
        given.targets,
        runs.roi,
        test_sets=given.inputs.test_sets,
        runs=runs,
        partial=given.inputs.partial,
        draws=draws,
        permutations=min(PERMUTATIONS, draws),
    )


def transferred(
    folder: Path, runs: Runs, given: Opened, beside: Iterable[Score], draws: int, columns: Columns | None
) -> Transferred:
    """Decoding and encoding, and, where it was asked for, the decoder in its folder.

    Decoders are written here and not by the parent, because they are large.

    Args:
        folder: The dataset folder.
        runs: Of the subject and ROI, of the voxels that count.
        given: Embeddings, and a decoder perhaps.
        beside: Scores that stand beside these.
        draws: Drawn orders.
        columns: Voxels that count; None is all.

    Raises:
        DataError: The decoder is of other voxels or embeddings, takes some that do not count, or was changed.
        MissingEmbeddingError: A training picture has no vector.
    """
    if given.space is None:
        return Transferred()
    inputs, key = given.inputs, (runs.subject, runs.roi)
    decoder = _given_decoder(inputs.decoders[key], columns) if key in inputs.decoders else None
    found = measured_transfer(
        folder,
        *key,
        given.space,
        training=training_rows(folder, *key, given.space, runs=runs, voxels=columns),
        runs=runs,
        decoder=decoder,
        beside=beside,
        test_sets=inputs.test_sets,
        draws=draws,
        permutations=min(PERMUTATIONS, draws),
    )
    if inputs.save_decoder and decoder is None and found.decoder is not None:
        found.decoder.save(folder_of(inputs.save_decoder, *key))
    return Transferred(found.scores, _said(found, is_given=decoder is not None))


def _given_decoder(file: File, columns: Columns | None) -> Decoder:
    decoder = Decoder.load(file.path.parent)
    file.refuse_changed()
    if columns is not None and (n_others := int((~np.isin(decoder.columns, columns)).sum())):
        msg = f"{file.path.parent}: takes {n_others} voxels that the preprocessor leaves out: leave one of the two out"
        raise DataError(msg)
    return decoder


def _said(found: Transfer, *, is_given: bool) -> dict[str, Any]:
    training, decoder = found.training, found.decoder
    return {
        "pictures_removed": training.n_removed,
        "training_pictures": len(training.stimuli),
        "voxels": len(training.columns),
        "sessions": list(training.sessions),
        "reason": training.reason,
        "decoder": None
        if decoder is None
        else {
            "given": is_given,
            "training": decoder.origin.training,
            "n_pictures": decoder.origin.n_pictures,
            "penalty": decoder.penalty.tolist(),
            "note": decoder.note,
        },
    }
