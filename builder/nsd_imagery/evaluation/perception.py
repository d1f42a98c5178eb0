"""How reliable perception is: the sums-first estimator of `chance.pairs`, over repeated pictures of the test split.

Repeats of a picture lie far apart, most in different sessions, so it is sessions that are matched here where distances
are in a run of NSD-Imagery: a pair of one picture is held against the other pairs of the same two sessions. Each voxel
is z-scored within each session over the test rows, whatever the folder has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.pairs import N_BLOCKS, Variances
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.evaluation.cells import Cell, of_cell
from nsd_imagery.evaluation.gram import Matrix
from nsd_imagery.evaluation.runs import Runs, digest
from nsd_imagery.evaluation.score import Measured
from nsd_imagery.evaluation.sums import Part
from nsd_imagery.evaluation.transfer.tested import shared_rows
from nsd_imagery.evaluation.transfer.training import zscored_by
from nsd_imagery.rows.load import load
from nsd_imagery.rows.vectors import row_vectors
from nsd_imagery.volumes.roi import DEFAULT_ROI

_VOXELS_AT_ONCE: Final = 512
_Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Perception:
    """What the repeats of perception say.

    Attributes:
        scores: `signal_variance`, `ncsnr` and `noise_ceiling`, as of the conditions of NSD-Imagery, without p.
        variances: (n_voxels,) each, unclipped; None where nothing can be estimated.
    """

    scores: list[Measured]
    variances: Variances | None


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows that show one picture.

    Attributes:
        first: (n_pairs,) the earlier row.
        second: (n_pairs,) the later row.
        picture: (n_pairs,) number of the picture, from 0, in order of its first presentation.
        weight: (n_pairs,) what a product of the pair is multiplied by, before division by the number of pairs.
        own: (n_rows,) what a row's square is multiplied by, for what centring a session takes off its pairs.
    """

    first: _Rows
    second: _Rows
    picture: _Rows
    weight: Matrix
    own: Matrix


def perception(
    folder: Path | str, subject: str, roi: str = DEFAULT_ROI, voxels: NDArray[np.integer] | None = None
) -> Perception:
    """Signal variance, ncsnr and noise ceilings of the shared pictures of NSD core that a folder holds.

    Beside ncsnr stands the root mean square over voxels of the release's own map.

    Args:
        folder: A built folder.
        subject: "subj01" to "subj08".
        roi: A ROI.
        voxels: Columns that count; the others are as those without variance. Default all.

    Raises:
        MissingDataError: No built folder, or a shard is gone.
        DataError: A shard is damaged.
    """
    place = Path(folder).expanduser().resolve()
    manifest = open_manifest(place)
    name = config_name(subject, "perception", roi)
    about = Runs(subject, roi, manifest.recipe.beta_version, digest(manifest), 0, (), {})
    if "test" not in (manifest.configs[name].splits if name in manifest.configs else ()):
        return Perception(_scores(about, None, f"the folder has no test split of {name}"), None)
    shared = shared_rows(place, subject, roi)
    session, stimulus = shared.session, shared.stimulus
    pairs = pairs_of(session, stimulus)
    if (n_pictures := len(np.unique(pairs.picture))) < N_BLOCKS:
        return Perception(
            _scores(about, None, f"{n_pictures} of its pictures have repeats, fewer than {N_BLOCKS}"), None
        )
    views = row_vectors(shared.rows, "betas")
    kept = np.ones(len(views[0]), bool) if voxels is None else np.isin(np.arange(len(views[0])), voxels)
    found, part, n_voxels = _summed([views[row] for row in shared.chosen], session, pairs, kept)
    repeats = np.bincount(np.unique(stimulus, return_inverse=True)[1])
    scores = _scores(replace(about, n_voxels=n_voxels), part, "", int(repeats.max()), n_pictures)
    return Perception(_beside(scores, _release_map(place, subject, roi, kept)), found)


def pairs_of(session: NDArray[Any], stimulus: NDArray[np.str_]) -> Pairs:
    """The pairs of rows of one picture, and what makes their weighted sum one of signal alone.

    S: pairs of one picture; O: other pairs; both by the two sessions a and b that a pair lies in. With z-scores, whose
    sums over a session are 0,

        ŝ = (1/|S|) Σ_ab [ Σ_S yᵢyⱼ - nₛ(ab)/nₒ(ab) Σ_O yᵢyⱼ ],   Σ_O = -Σ_S, less Σ yᵢ²/2 where a is b

    Args:
        session: (n_rows,).
        stimulus: (n_rows,) in order of time.
    """
    _, sessions = np.unique(session, return_inverse=True)
    _, start, pictures = np.unique(stimulus, return_index=True, return_inverse=True)
    groups = [np.flatnonzero(pictures == picture) for picture in np.argsort(start)]
    groups = [group for group in groups if len(group) > 1]
    at = [np.column_stack([group[np.array(np.triu_indices(len(group), 1))].T]) for group in groups]
    first, second = (np.concatenate(at).T if at else np.zeros((2, 0), np.int64)).astype(np.int64)
    picture = np.repeat(np.arange(len(groups)), [len(pairs) for pairs in at])
    n_rows = np.bincount(sessions)
    n_same = np.zeros((len(n_rows), len(n_rows)))
    low, high = np.sort([sessions[first], sessions[second]], axis=0)
    np.add.at(n_same, (low, high), 1)
    n_all = np.triu(np.outer(n_rows, n_rows), 1) + np.diag(n_rows * (n_rows - 1) / 2)
    share = np.divide(n_same, n_all - n_same, out=np.zeros_like(n_same), where=n_all > n_same)
    return Pairs(first, second, picture, 1 + share[low, high], np.diagonal(share)[sessions] / 2)


def repeat_variances(scores: Matrix, pairs: Pairs) -> Variances:
    """Signal and noise variance of each voxel over repeats.

    Args:
        scores: (n_rows, n_voxels) z-scored within sessions.
        pairs: Of these rows.
    """
    first, second = scores[pairs.first], scores[pairs.second]
    n_pairs = max(len(pairs.first), 1)
    signal = (pairs.weight @ (first * second) + pairs.own @ np.square(scores)) / n_pairs
    return Variances(signal, np.square(first - second).sum(axis=0) / (2 * n_pairs))


def _summed(
    rows: Sequence[NDArray[Any]], session: NDArray[Any], pairs: Pairs, kept: NDArray[np.bool_]
) -> tuple[Variances, Part, int]:
    """Variances of each voxel, their sums with jackknife, and how many voxels vary; a block of voxels at a time."""
    n_voxels, varying = len(rows[0]), 0
    found = Variances(np.empty(n_voxels), np.empty(n_voxels))
    products, squares = np.zeros(len(pairs.first)), np.zeros(len(rows))
    for start in range(0, n_voxels, _VOXELS_AT_ONCE):
        part = slice(start, start + _VOXELS_AT_ONCE)
        scores = _zscored(np.stack([row[part] for row in rows]).astype(np.float64), session) * kept[part]
        found.signal[part], found.noise[part] = repeat_variances(scores, pairs)
        products += np.einsum("pv,pv->p", scores[pairs.first], scores[pairs.second])
        squares += np.square(scores).sum(axis=1)
        varying += int(scores.any(axis=0).sum())

    def both(keep: NDArray[np.bool_]) -> list[float]:
        n_pairs = max(int(keep.sum()), 1)
        apart = (squares[pairs.first] + squares[pairs.second])[keep] / 2 - products[keep]
        # Centring takes from the pairs of one picture in proportion to how many there are.
        own = float(pairs.own @ squares) * n_pairs / len(keep)
        return [(float(pairs.weight[keep] @ products[keep]) + own) / n_pairs, float(apart.sum()) / n_pairs]

    block = pairs.picture * N_BLOCKS // (pairs.picture[-1] + 1)
    left_out = np.array([[both(block != number) for number in range(N_BLOCKS)]])
    signal, noise = both(np.ones(len(block), bool))
    n_trials = len(np.union1d(pairs.first, pairs.second))
    return found, Part(signal, noise, left_out, np.zeros(0), n_trials), varying


def _zscored(values: Matrix, session: NDArray[Any]) -> Matrix:
    for number in np.unique(session):
        mine = session == number
        values[mine] = zscored_by(values[mine])[0]
    return values


def _scores(about: Runs, part: Part | None, why: str, n_own: int = 0, n_pictures: int = 0) -> list[Measured]:
    rows = ("perception", "perception")
    parts, notes = ([part], ()) if part else ([], (why,))
    cell = Cell(about, "perception", "", "", rows, n_own, parts, notes)
    interval = f"jackknife over {N_BLOCKS} blocks of pictures, t"
    said = {"n_candidates": n_pictures or None, "candidates": "pictures of shared1000 with repeats"}
    said |= {"interval": interval} if part else {}
    return [replace(one, score=replace(one.score, **said)) for one in of_cell(cell)]


def _release_map(folder: Path, subject: str, roi: str, kept: NDArray[np.bool_]) -> float | None:
    """Root mean square over voxels of the release's ncsnr map of NSD core; None where the folder has none."""
    name = config_name(subject, "voxels", roi)
    if name not in open_manifest(folder).configs:
        return None
    values = np.array(load(folder, name, "train").data.column("ncsnr_nsd").to_pylist(), np.float64)[kept]
    return float(np.sqrt(np.nanmean(np.square(values)))) if np.isfinite(values).any() else None


def _beside(scores: list[Measured], of_release: float | None) -> list[Measured]:
    if of_release is None:
        return scores
    said = {
        "reference": of_release,
        "reference_method": "the release's ncsnr, root mean square over voxels",
    }
    return [replace(one, score=replace(one.score, **said)) if one.score.measure == "ncsnr" else one for one in scores]
