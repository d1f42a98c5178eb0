"""The planted truth recovered from the files of a synthetic release, by least squares and by counting."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy.io import loadmat

import nsd_imagery
from nsd_imagery.synthetic import SIGNALS, Signal
from truth import latents, truth, weights

pytestmark = pytest.mark.slow

RUNS = "visA attA imgA_1 visB attB imgB_1 visC attC imgC_1 imgA_2 imgB_2 imgC_2".split()
SIZES = [96 if run.startswith("att") else 48 for run in RUNS]
ROWS = {run: slice(sum(SIZES[:number]), sum(SIZES[: number + 1])) for number, run in enumerate(RUNS)}
SUBJECTS = tuple(f"subj{number:02d}" for number in range(1, 9))
CHANCE = 1 / 6

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Releases by their arguments, each made once."""

    @cache
    def made(signal: str | Signal, seed: int = 0, subjects: tuple[str, ...] = ("subj01",), sessions: int = 0) -> Path:
        root = tmp_path_factory.mktemp("planted") / "release"
        return nsd_imagery.synth(
            root, signal=signal, seed=seed, subjects=subjects, format="hdf5", perception_sessions=sessions
        )

    return made


def volume(path: Path) -> NDArray[np.generic]:
    return np.asarray(Nifti1Image.from_filename(path).dataobj)


def mask(root: Path, name: str, subject: str = "subj01") -> NDArray[np.generic]:
    return volume(root / f"nsddata/ppdata/{subject}/func1pt8mm/{name}.nii.gz")


def nsdgeneral(root: Path, subject: str = "subj01", sessions: int = 0) -> Mask:
    """Where there is data in all sessions."""
    names = ["valid_nsdimagery", *(f"valid_session{number:02d}" for number in range(1, sessions + 1))]
    return np.logical_and.reduce([mask(root, name, subject) == 1 for name in ("roi/nsdgeneral", *names)])


def in_early(root: Path, where: Mask, subject: str = "subj01") -> Mask:
    return (mask(root, "roi/prf-visualrois", subject) > 0)[where]


def betas(root: Path, where: Mask, subject: str = "subj01", name: str = "nsdimagery") -> Array:
    """(n_betas, n_voxels) percent signal change."""
    stem = "nsdimagerybetas" if name == "nsdimagery" else "betas"
    folder = root / f"nsddata_betas/ppdata/{subject}/func1pt8mm/{stem}_fithrf_GLMdenoise_RR"
    with h5py.File(folder / f"betas_{name}.hdf5") as file:
        return file["betas"][:].transpose(3, 2, 1, 0)[where].T / 300


def lines(path: Path) -> list[dict[str, str]]:
    header, *rows = path.read_text().splitlines()
    return [dict(zip(header.split("\t"), row.split("\t"), strict=True)) for row in rows]


def letters(root: Path, run: str, column: str = "CONDITION", subject: str = "subj01") -> NDArray[np.str_]:
    path = root / f"nsddata/bdata/nsdimagery/nsdimagery_{subject}_{run}.tsv"
    return np.array([line[column] for line in lines(path)])


def shown_in_core(root: Path, session: int) -> list[str]:
    table = lines(root / "nsddata/ppdata/subj01/behav/responses.tsv")
    return [f"nsd{int(line['73KID']) - 1}" for line in table if line["SESSION"] == str(session)]


def targets(root: Path, stimulus_set: str) -> dict[str, str]:
    """The stimulus of each letter."""
    cells = loadmat(root / f"nsddata/experiments/nsdimagery/{stimulus_set}_pair_list.mat")["pair_list"]
    names = {cue.item(): name.item().removesuffix(".png") for _, name, cue in cells}
    is_nsd = {cue: name.startswith("shared") and not name.endswith("nsd00000") for cue, name in names.items()}
    return {cue: f"nsd{int(name[-5:]) - 1}" if is_nsd[cue] else name for cue, name in names.items()}


def zscore(values: Array) -> Array:
    return (values - values.mean(axis=0)) / values.std(axis=0)


def correlations(one: Array, other: Array) -> Array:
    """(n, m) of each row of one with each row of the other."""
    one, other = (rows - rows.mean(axis=1, keepdims=True) for rows in (one, other))
    return one @ other.T / np.outer(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))


def share_right(tested: Array, labels: NDArray[np.str_], templates: Array, of: NDArray[np.str_]) -> float:
    """How often a trial is most like the mean of its own target's templates."""
    names = np.unique(of)
    means = np.stack([templates[of == name].mean(axis=0) for name in names])
    return float(np.mean(names[correlations(tested, means).argmax(axis=1)] == labels))


@dataclass(frozen=True, eq=False)
class Read:
    """What a subject's files say: nsdgeneral, z-scored by run, and the letter of each trial's target."""

    scores: dict[str, Array]
    letters: dict[str, NDArray[np.str_]]
    early: Mask


@cache
def read(root: Path, subject: str) -> Read:
    where = nsdgeneral(root, subject)
    numbers = betas(root, where, subject)
    scores = {run: zscore(numbers[ROWS[run]]) for run in RUNS}
    return Read(scores, {run: letters(root, run, subject=subject) for run in RUNS}, in_early(root, where, subject))


def within_vision(subject: Read, name: str) -> float:
    """Of single trials against the mean of the other half of the repeats."""
    seen, labels = subject.scores[f"vis{name}"], subject.letters[f"vis{name}"]
    repeat = np.array([np.sum(labels[:trial] == label) for trial, label in enumerate(labels)])
    halves = [(repeat < 4, repeat >= 4), (repeat >= 4, repeat < 4)]
    return float(np.mean([share_right(seen[one], labels[one], seen[other], labels[other]) for one, other in halves]))


def across_imagery(subject: Read, name: str) -> float:
    """Of single trials of one imagery run against the means of the other."""
    runs = [(subject.scores[run], subject.letters[run]) for run in (f"img{name}_1", f"img{name}_2")]
    return float(np.mean([share_right(*one, *other) for one, other in (runs, runs[::-1])]))


def from_vision(subject: Read, name: str) -> float:
    """Of single imagery trials against the means of vision."""
    seen = subject.scores[f"vis{name}"], subject.letters[f"vis{name}"]
    runs = f"img{name}_1", f"img{name}_2"
    return float(np.mean([share_right(subject.scores[run], subject.letters[run], *seen) for run in runs]))


def early_vision(subject: Read, name: str) -> float:
    early = {run: scores[:, subject.early] for run, scores in subject.scores.items()}
    return within_vision(replace(subject, scores=early), name)


Measure = Callable[[Read, str], float]


def rate(roots: list[Path], name: str, measure: Measure, subjects: tuple[str, ...]) -> float:
    return float(np.mean([measure(read(root, subject), name) for root in roots for subject in subjects]))


MEASURES = [early_vision, within_vision, across_imagery, from_vision]


@pytest.mark.parametrize(("measure", "in_a", "in_b"), [
    (early_vision, 0.53, 0.47),
    (within_vision, 0.27, 0.33),
    (across_imagery, 0.25, 0.23),
    (from_vision, 0.25, 0.25),
])  # fmt: skip
def test_a_real_signal_lets_trials_be_identified_as_often_as_the_real_data(
    make: Make, measure: Measure, in_a: float, in_b: float
) -> None:
    roots = [make("real", seed, SUBJECTS) for seed in range(2)]
    found = [rate(roots, name, measure, SUBJECTS) for name in "AB"]
    assert found == pytest.approx([in_a, in_b], abs=0.07)


def test_a_real_signal_has_the_scale_of_the_real_data(make: Make) -> None:
    root = make("real", 0, SUBJECTS)
    found = [betas(root, nsdgeneral(root, subject), subject) for subject in SUBJECTS]
    assert np.mean([one.mean() for one in found]) == pytest.approx(0.68, abs=0.2)
    assert np.mean([one.std() for one in found]) == pytest.approx(1.9, abs=0.4)
    for runs, size in ((["visA"], 1.05), (["visB"], 1.33), (["visC"], 1.51), (["attA", "attB", "attC"], 1.45),
                       ([run for run in RUNS if run.startswith("img")], 1.05)):  # fmt: skip
        sizes = [np.abs(one[ROWS[run]]).mean() for one in found for run in runs]
        assert np.mean(sizes) == pytest.approx(size, abs=0.25), runs


def test_what_is_seen_in_all_of_nsdgeneral_is_clearer_with_a_strong_signal(make: Make, release: Path) -> None:
    strong, real = (
        np.mean([rate([root], name, within_vision, ("subj01", "subj02")) for name in "AB"])
        for root in (release, make("real", 0, SUBJECTS))
    )
    assert strong > real + 0.05


@pytest.mark.parametrize("measure", MEASURES)
def test_without_a_signal_trials_are_identified_by_chance(make: Make, measure: Measure) -> None:
    subjects = ("subj01", "subj02")
    roots = [make("none", seed, subjects) for seed in range(5)]
    found = np.mean([rate(roots, name, measure, subjects) for name in "AB"])
    assert found == pytest.approx(CHANCE, abs=0.035)


def fitted(scores: Array, vectors: Array, ridge: float = 0.0) -> Array:
    """(n_columns, n_targets) by least squares."""
    return np.linalg.solve(scores.T @ scores + ridge * np.eye(scores.shape[1]), scores.T @ vectors)


def core(root: Path, where: Mask, session: int) -> tuple[Array, Array]:
    """Scores and latents of the trials of a session."""
    known = latents(root)
    vectors = np.stack([known[stimulus] for stimulus in shown_in_core(root, session)])
    return zscore(betas(root, where, name=f"session{session:02d}")), vectors


def test_least_squares_on_the_latents_gives_the_weights_and_foretells_another_session(core_release: Path) -> None:
    where = nsdgeneral(core_release, sessions=3)
    early = in_early(core_release, where)
    (scores, vectors), (held_out, of_those) = (
        tuple(map(np.concatenate, zip(*(core(core_release, where, session) for session in sessions), strict=True)))
        for sessions in ((1, 2), (3,))
    )
    found, planted = fitted(vectors, scores).T, weights(core_release, where)
    alike = np.diag(correlations(found, planted))
    assert np.mean(alike[early]) > 0.85
    assert np.mean(alike) > 0.75
    foretold = np.diag(correlations((of_those @ found.T).T, held_out.T))
    assert np.mean(foretold[early]) > 0.25
    assert abs(np.mean(np.diag(correlations((of_those[::-1] @ found.T).T, held_out.T)))) < 0.03
    halves = [np.square(found[:, part]).sum(axis=1) for part in (slice(16), slice(16, 32))]
    assert np.mean(halves[0][early]) > 3 * np.mean(halves[1][early])
    assert np.mean(halves[1][~early]) > 1.5 * np.mean(halves[0][~early])


def decoded(root: Path, run: str, trials: Array, learnt: Array) -> float:
    """Share of the trials of a run whose latent, read from the betas, is most like that of the own target among 12."""
    candidates = {**targets(root, "A"), **targets(root, "B")}
    known = latents(root)
    vectors = np.stack([known[stimulus] for stimulus in candidates.values()])
    found = correlations(zscore(trials[ROWS[run]]) @ learnt, vectors).argmax(axis=1)
    return float(np.mean(np.array([*candidates])[found] == letters(root, run)))


@pytest.mark.parametrize(("signal", "least_seen", "least_imagined"), [("strong", 0.3, 0.14), ("real", 0.2, 0.1)])
def test_what_is_learnt_from_core_reads_pictures_that_core_did_not_show(
    make: Make, signal: str, least_seen: float, least_imagined: float
) -> None:
    """Of 12 candidates, so chance is 0.083; the pictures of set B are left out of what is learnt from."""
    seen, imagined = [], []
    for seed in range(2):
        root = make(signal, seed, ("subj01",), 3)
        where = nsdgeneral(root, sessions=3)
        held_out = set(targets(root, "B").values())
        scores, vectors = [], []
        for session in (1, 2, 3):
            keep = [stimulus not in held_out for stimulus in shown_in_core(root, session)]
            for one, all_of in zip((scores, vectors), core(root, where, session), strict=True):
                one.append(all_of[keep])
        learnt = fitted(np.concatenate(scores), np.concatenate(vectors), ridge=1000)
        trials = betas(root, where)
        seen += [decoded(root, run, trials, learnt) for run in ("visA", "visB")]
        imagined += [decoded(root, run, trials, learnt) for run in RUNS if run[:4] in ("imgA", "imgB")]
    assert np.mean(seen) > least_seen
    assert np.mean(imagined) > least_imagined


@pytest.mark.parametrize("lag", [0.0, 0.34, 0.6])
def test_noise_of_neighbouring_betas_is_correlated_as_said(make: Make, lag: float) -> None:
    """Where nothing is planted; what taking out the mean and the trend of a run of n betas costs is put back."""
    root = make(replace(SIGNALS["strong"], lag_one=lag))
    assert truth(root)["signal"]["lag_one"] == lag
    where = (mask(root, "roi/nsdgeneral") == -1) & (mask(root, "brainmask") == 1)
    noise, found = betas(root, where), []
    for run in RUNS:
        n = ROWS[run].stop - ROWS[run].start
        time = np.stack([np.ones(n), np.arange(n)], axis=1)
        left = noise[ROWS[run]] - time @ fitted(time, noise[ROWS[run]])
        found.append(np.sum(left[1:] * left[:-1]) / np.sum(left**2) + (2 + 4 * lag) / n)
    assert np.mean(found) == pytest.approx(lag, abs=0.05)


def test_each_run_drifts_by_a_line_of_its_own(make: Make, release: Path) -> None:
    steady = make(replace(SIGNALS["strong"], drift=0.0))
    where = nsdgeneral(steady)
    drift = betas(release, where) - betas(steady, where)
    slopes = []
    for run in RUNS:
        steps = np.diff(drift[ROWS[run]], axis=0)
        assert np.abs(steps - steps.mean(axis=0)).max() < 3 / 300  # of rounding
        slopes.append(steps.mean(axis=0))
        assert np.abs(drift[ROWS[run]].mean(axis=0)).max() < 1 / 300
    size = np.mean([drift[ROWS[run]].std(axis=0) for run in RUNS]) / betas(steady, where).std()
    assert 0.04 < size < 0.2
    assert np.abs(correlations(np.array(slopes), np.array(slopes))[~np.eye(12, dtype=bool)]).max() < 0.9


def test_the_letter_on_the_screen_has_a_response_of_its_own(make: Make, release: Path) -> None:
    silent = make(replace(SIGNALS["strong"], letter=0.0))
    where = nsdgeneral(silent)
    response = betas(release, where) - betas(silent, where)
    early = in_early(silent, where)
    assert 1.5 < np.abs(response[:, early]).mean() / np.abs(response[:, ~early]).mean() < 4
    for name in "ABC":
        cued = letters(release, f"vis{name}", "CUE")
        of_letter = {letter: response[ROWS[f"vis{name}"]][cued == letter] for letter in np.unique(cued)}
        for letter, rows in of_letter.items():
            assert np.abs(rows - rows.mean(axis=0)).max() < 2 / 300  # whatever was seen
            imagined = response[ROWS[f"img{name}_2"]][letters(release, f"img{name}_2") == letter]
            assert np.abs(imagined - rows.mean(axis=0)).max() < 2 / 300
            attended = response[ROWS[f"att{name}"]]
            assert np.abs(attended[::2][letters(release, f"att{name}") == letter] - rows.mean(axis=0)).max() < 2 / 300
            assert not attended[1::2].any()
        means = np.stack([rows.mean(axis=0) for rows in of_letter.values()])
        assert np.abs(correlations(means, means)[~np.eye(6, dtype=bool)]).max() < 0.8
    assert np.square(response[:, early]).mean() < 0.05 * np.square(betas(silent, where)[:, early]).mean()


def test_a_signal_of_ones_own_is_written_down_and_kept_to(make: Make, tmp_path: Path) -> None:
    own = replace(SIGNALS["real"], letter=0.25, vision_early=(0.1, 0.2, 0.3))
    root = nsd_imagery.synth(tmp_path / "own", format="hdf5", signal=own)
    said = truth(root)["signal"]
    assert said["letter"] == 0.25
    assert said["vision_early"] == [0.1, 0.2, 0.3]
    nsd_imagery.synth(root, format="hdf5", signal=own)
    with pytest.raises(nsd_imagery.errors.FolderError, match=r"a synthetic release of signal .*, not signal real"):
        nsd_imagery.synth(root, format="hdf5", signal="real")
    named = nsd_imagery.synth(tmp_path / "named", format="hdf5", signal="real")
    nsd_imagery.synth(named, format="hdf5", signal=SIGNALS["real"])


def test_latents_are_read_as_embeddings_of_what_the_root_holds(core_release: Path) -> None:
    cache = nsd_imagery.ClipCache(core_release, folder=core_release / "truth")
    vectors = latents(core_release)
    assert set(cache) == set(vectors)
    assert all(np.array_equal(cache[stimulus], vector) for stimulus, vector in vectors.items())
    assert set(vectors) >= {stimulus for session in (1, 2, 3) for stimulus in shown_in_core(core_release, session)}
    words = nsd_imagery.ClipCache(core_release, kind="text", folder=core_release / "truth")
    assert np.array_equal(words["zebra"], vectors["zebra"])


def test_verify_of_a_real_signal_passes_or_says_that_it_cannot_tell(make: Make) -> None:
    report = nsd_imagery.verify(make("real", 0, SUBJECTS), subjects=["subj01", "subj02"])
    assert report.passed
    unsure = {finding.id for finding in report.findings if finding.outcome == "not decidable"}
    assert unsure <= {"data.voxel-order", "data.row-order", "data.vision-against-imagery"}
