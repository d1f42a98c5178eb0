"""From perception to vision and imagery: what ridge regression learns from NSD core, tested on what it never saw.

Decoding goes from betas to embeddings, encoding from embeddings to betas. Beside each score stand chance, the constant
predictor, and what the same rows allow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.evaluation.comparisons import POOLED_SETS
from nsd_imagery.evaluation.group import over_sets
from nsd_imagery.evaluation.runs import Runs, digest, load_runs
from nsd_imagery.evaluation.score import Measured, Score
from nsd_imagery.evaluation.spread import together
from nsd_imagery.evaluation.transfer.beside import Beside
from nsd_imagery.evaluation.transfer.compared import Side
from nsd_imagery.evaluation.transfer.decoder import Decoder, Linear
from nsd_imagery.evaluation.transfer.known import known_stimuli, voxels_digest
from nsd_imagery.evaluation.transfer.repeats import repeat_retrieval
from nsd_imagery.evaluation.transfer.scoring import (
    About,
    chance_rows,
    decoding_measures,
    decoding_names,
    encoding_measures,
    missing,
    reference_row,
    scored,
)
from nsd_imagery.evaluation.transfer.space import Space
from nsd_imagery.evaluation.transfer.tested import PERMUTATIONS, TESTS, Tested, absent, of_perception, of_runs
from nsd_imagery.evaluation.transfer.training import Training, training_rows
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.roi import DEFAULT_ROI

TEST_SETS: Final = ("perception", *TESTS)
DECODE: Final = "decode"
ENCODE: Final = "encode"
CONSTANT: Final = "constant"
"""What `train` says of the constant predictor, which is the mean training embedding whatever the betas are."""

_CONSTANT_IS: Final = "the constant predictor, the mean training embedding: raw cosine is high for any input"


@dataclass(frozen=True, eq=False)
class Transfer:
    """What transfer gives.

    Attributes:
        scores: With their draws; references among them, told by `train`.
        training: What was learnt from, with the count of the leak guard.
        decoder: That was fitted, or given; None where there was too little.
    """

    scores: list[Measured]
    training: Training
    decoder: Decoder | None


@dataclass(frozen=True, eq=False)
class _Place:
    """What is tested of a folder."""

    folder: Path
    manifest: Manifest
    subject: str
    roi: str
    runs: Runs | None
    test_sets: Sequence[str]
    draws: int
    permutations: int

    def tests(self, columns: NDArray[np.integer]) -> list[Tested]:
        """All that is to be scored, of these voxels."""
        found: list[Tested] = []
        known = known_stimuli(self.folder, self.manifest, self.subject, self.roi)
        for condition in self.test_sets:
            name = config_name(self.subject, condition, self.roi)
            config = self.manifest.configs.get(name)
            if config is None or "test" not in config.splits:
                found += absent(condition, f"the folder has no test split of {name}")
            elif condition == "perception":
                found += of_perception(self.folder, self.subject, self.roi, columns, self.permutations)
            elif self.runs is not None:
                found += of_runs(self.runs, known.stimulus_of, columns, self.draws, [condition])
        return found


def transfer(
    folder: Path | str,
    subject: str,
    roi: str = DEFAULT_ROI,
    embeddings: Space | None = None,
    *,
    beside: Iterable[Score] = (),
    test_sets: Sequence[str] = TEST_SETS,
    draws: int = N_DRAWS,
) -> list[Score]:
    """The scores of `measured_transfer`."""
    found = measured_transfer(folder, subject, roi, embeddings, beside=beside, test_sets=test_sets, draws=draws)
    return [one.score for one in found.scores]


def measured_transfer(
    folder: Path | str,
    subject: str,
    roi: str = DEFAULT_ROI,
    embeddings: Space | None = None,
    *,
    training: Training | None = None,
    runs: Runs | None = None,
    decoder: Decoder | None = None,
    beside: Iterable[Score] = (),
    test_sets: Sequence[str] = TEST_SETS,
    draws: int = N_DRAWS,
    permutations: int = PERMUTATIONS,
) -> Transfer:
    """Decoding and encoding of a subject and ROI, of each test set, by set and over sets.

    Args:
        folder: A built folder.
        subject: "subj01" to "subj08".
        roi: A ROI that the folder has configs of.
        embeddings: Vectors of pictures, and of words for set C.
        training: What to learn from, where it is there already.
        runs: Of the subject and ROI, where they are there already.
        decoder: Fitted before, on these voxels and embeddings; encoding is fitted anew.
        beside: Scores of the same subject and ROI that stand beside these: `ncsnr`, by which correlations are
            normalised, and `identification` within a run.
        test_sets: Some of `TEST_SETS`.
        draws: Drawn orders of the tested runs.
        permutations: Of the shared pictures.

    Raises:
        UsageError: An unknown test set, no embeddings, or no such subject or ROI in the folder.
        DataError: The decoder is of other voxels or embeddings.
        MissingEmbeddingError: A training picture has no vector.
    """
    for name in test_sets:
        one_of("test set", name, TEST_SETS)
    folder = Path(folder).expanduser().resolve()
    manifest = open_manifest(folder)
    one_of("subject", subject, manifest.subjects)
    one_of("ROI", roi, sorted({config.roi for config in manifest.trials.values() if config.subject == subject}))
    if runs is None and any(config_name(subject, name, roi) in manifest.configs for name in TESTS):
        runs = load_runs(folder, subject, roi)
    place = _Place(folder, manifest, subject, roi, runs, test_sets, draws, permutations)
    training = training_rows(folder, subject, roi, embeddings, runs=runs) if training is None else training
    space = embeddings if embeddings is not None else Space({}, {}, "")
    if decoder is not None:
        _refuse_other(decoder, place, space)
    elif not training.reason:
        decoder = training.decoder()
    return Transfer(_scores(place, training, decoder, space, beside), training, decoder)


def _refuse_other(decoder: Decoder, place: _Place, space: Space) -> None:
    trials = (config for config in place.manifest.trials.values() if config.ground == (place.subject, place.roi))
    n_voxels = next((config.n_voxels for config in trials), 0)
    where = (place.subject, place.roi)
    if (decoder.columns >= n_voxels).any():
        decoder.refuse_other(*where, f"those of a ROI of {n_voxels}", space.maker)
    decoder.refuse_other(*where, voxels_digest(place.folder, place.manifest, *where, decoder.columns), space.maker)


def _scores(
    place: _Place, training: Training, decoder: Decoder | None, space: Space, beside: Iterable[Score]
) -> list[Measured]:
    known = Beside(beside, place.subject, place.roi)
    recipe = place.manifest.recipe
    columns = training.columns if decoder is None else decoder.columns
    dataset = digest(place.manifest)
    about = About(place.subject, place.roi, recipe.beta_version, dataset, len(columns), "perception")
    tests = place.tests(columns)
    encoder = None if training.reason else training.encoder()
    others = tests if np.array_equal(columns, training.columns) else place.tests(training.columns)
    found = [one for tested in tests for one in _decoded(about, tested, decoder, space, training.reason, known)]
    of_encoder = replace(about, n_voxels=len(training.columns))
    found += [one for tested in others for one in _encoded(of_encoder, tested, encoder, space, training.reason, known)]
    found += pooled(found)
    for tested in tests:
        if tested.condition == "perception" and tested.unit == "trial" and not tested.reason:
            found += repeat_retrieval(about, tested)
    return [*found, *chance_rows([one for one in found if one.score.train != CONSTANT])]


def _decoded(
    about: About, tested: Tested, decoder: Decoder | None, space: Space, no_training: str, beside: Beside
) -> list[Measured]:
    """Vectors from betas, among the vectors of the candidates."""
    reason = tested.reason or _no_candidates(tested, space) or ("" if decoder else no_training)
    if reason or decoder is None:
        return missing(about, tested, decoding_names(tested), reason, DECODE)
    about = replace(about, notes=(decoder.note,) if decoder.note else ())
    candidates = space.stack(tested.stimuli, tested.kind)
    found = scored_vectors(about, tested, decoder.predict(tested.betas), candidates, decoder.center, DECODE)
    return [beside.with_within(one) for one in found]


def scored_vectors(
    about: About,
    tested: Tested,
    vectors: NDArray[np.float64],
    candidates: NDArray[np.float64],
    center: NDArray[np.float64],
    how: str,
    *,
    near: NDArray[np.float64] | None = None,
) -> list[Measured]:
    """Vectors, whoever predicted them, among the vectors of the candidates, with the constant predictor beside them.

    Words lie elsewhere than pictures in the space of a model, so candidates that are words are centred by their own
    mean.

    Args:
        about: What stands beside each score.
        tested: Rows with their candidates.
        vectors: (n, d) of the rows.
        candidates: (k, d) in the order of `tested.stimuli`.
        center: (d,) what the vectors of pictures lie near: what the constant predictor says.
        how: "decode", or what a caller calls it.
        near: (d,) what the vectors of the rows lie near; default `center`.
    """
    middle = candidates.mean(axis=0) if tested.kind == "text" else center
    ranking = Side(vectors - (center if near is None else near), candidates - middle)
    found = scored(about, tested, decoding_measures(tested), Side(vectors, candidates), ranking, how)
    result: list[Measured] = []
    for one in found:
        if one.score.measure != "cosine":
            result.append(one)
            continue
        value = _constant(tested, candidates, center, one.score.unit)
        beside = replace(one.score, reference=value, reference_method=_CONSTANT_IS)
        result += [replace(one, score=beside), reference_row(one, CONSTANT, value, _CONSTANT_IS)]
    return result


def _constant(tested: Tested, candidates: NDArray[np.float64], center: NDArray[np.float64], unit: str) -> float:
    """Mean cosine of the center with the own candidate of each test."""
    length = np.linalg.norm(candidates, axis=1) * np.linalg.norm(center)
    cosines = np.divide(candidates @ center, length, out=np.zeros(len(candidates)), where=length > 0)
    return float(cosines[tested.own if unit == "trial" else np.unique(tested.own)].mean())


def _encoded(
    about: About, tested: Tested, encoder: Linear | None, space: Space, no_training: str, beside: Beside
) -> list[Measured]:
    """Patterns that are predicted of the candidates, against those of the rows."""
    reason = tested.reason or _no_candidates(tested, space) or ("" if encoder else no_training)
    if reason or encoder is None:
        return missing(about, tested, ["brain_correlation", "encoding_identification"], reason, ENCODE)
    about = replace(about, notes=(encoder.note,) if encoder.note else ())
    predicted = encoder.predict(space.stack(tested.stimuli, tested.kind))
    rows = np.asarray(tested.betas, np.float64)
    side = Side(*(values - values.mean(axis=1, keepdims=True) for values in (rows, predicted)))
    found = scored(about, tested, encoding_measures(tested), side, side, ENCODE)
    is_correlation = [one.score.measure == "brain_correlation" for one in found]
    parts = [
        beside.with_reachable(one, tested) if is_one else [one]
        for one, is_one in zip(found, is_correlation, strict=True)
    ]
    return [one for part in parts for one in part]


def _no_candidates(tested: Tested, space: Space) -> str:
    return space.lacking(tested.stimuli, tested.kind)


def pooled(found: Sequence[Measured]) -> list[Measured]:
    """The mean over `POOLED_SETS` of each measure within sets."""
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for one in found:
        score = one.score
        if score.stimulus_set in POOLED_SETS:
            groups.setdefault((score.measure, score.train, score.test, score.unit, score.how), []).append(one)
    return [_over_sets(parts) for parts in groups.values()]


def _over_sets(parts: Sequence[Measured]) -> Measured:
    """The mean over sets, with an interval over the stimuli of them all where each set has one over its own."""
    found = over_sets(parts)
    spreads = [one.spread for one in parts if one.score.value is not None and one.spread is not None]
    if found.score.value is None or len(spreads) < sum(one.score.value is not None for one in parts):
        return replace(found, spread=None)
    spread = together(spreads)
    ends = spread.around(found.score.value)
    score = replace(found.score, low=ends.low, high=ends.high, interval=f"{spread.how}, by set")
    return replace(found, score=score, spread=spread)
