"""Every command line and every code block of the Guide, in the form that the site's table gives it.

What the Guide has as it stands is run as it stands; where the data make a difference, the line beside it says which.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nsd_imagery
from clip import save_tiny_clip
from nsd_imagery.evaluation.score import read_scores

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parents[1]
PAGE = HERE / "docs" / "coming-from.md"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def place(core_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as the Guide's: cache/, scripts/, and, where the model's name would be looked up, the model itself."""
    place = tmp_path_factory.mktemp("project")
    shutil.copytree(core_release, place / "cache", copy_function=os.link)
    (place / "scripts").symlink_to(HERE / "scripts")
    save_tiny_clip(place / "openai" / "clip-vit-large-patch14")
    return place


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    """Runs a line of the Guide's in a shell."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def run(line: str, *, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-euc", line],
            cwd=place,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode == 0) == succeeds, done.stderr
        return done

    return run


def said_first(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.splitlines()[0]


@pytest.fixture(scope="module")
def indexed(place: Path, run: Run) -> Path:
    assert said_first(run("python scripts/build_nsd_imagery_index.py")) == "$ nsd-imagery index cache"
    return place


@pytest.fixture(scope="module")
def built(place: Path, run: Run) -> Path:
    """With the dataset, and embeddings of its pictures by a small model."""
    run("nsd-imagery build cache")
    done = run("python scripts/build_clip_cache.py --mode both  # Handles perception + imagery")
    assert said_first(done) == "$ nsd-imagery embed cache --model openai/clip-vit-large-patch14 --mode both"
    return place


# --- its command lines


def test_step_1_makes_the_folders_of_its_tree(run: Run, place: Path) -> None:
    run("mkdir -p cache/nsd_imagery/{betas,stimuli,metadata}")
    assert sorted(path.name for path in (place / "cache" / "nsd_imagery").iterdir()) == ["betas", "metadata", "stimuli"]
    shutil.rmtree(place / "cache" / "nsd_imagery")


def test_step_4_verifies_the_data(run: Run, place: Path) -> None:
    done = run("python scripts/verify_nsd_imagery_data.py --cache-root cache/")
    assert said_first(done) == "$ nsd-imagery verify cache/"
    assert "pass" in done.stdout
    lacking = run("python scripts/verify_nsd_imagery_data.py --cache-root nowhere", succeeds=False)
    assert lacking.stderr.count("\n") == 2
    assert "nowhere" in lacking.stderr


def test_the_root_is_also_that_of_the_environment_and_further_options_go_on(run: Run, place: Path) -> None:
    line = "NSD_CACHE_ROOT={root} python scripts/verify_nsd_imagery_data.py --subjects subj01 --json --output report.md"
    done = run(line.format(root=shlex.quote(str(place / "cache"))))
    assert said_first(done).endswith("cache --subjects subj01 --json --output report.md")
    assert done.stdout.startswith("{")
    assert (place / "report.md").is_file()


def test_the_clip_cache_has_every_stimulus_of_both(built: Path, indexed: Path) -> None:
    pictures, texts = (nsd_imagery.ClipCache(built / "cache", kind=kind) for kind in ("image", "text"))
    for condition in ("perception", "imagery"):
        index = pd.read_parquet(indexed / "cache" / "indices" / condition / "subj01.parquet")
        assert {f"nsd{nsd_id}" for nsd_id in index["nsd_id"].dropna()} <= set(pictures)
    assert "banana" in texts


PERFECT = "checkpoints/two_stage/subj01/best.parquet"


@pytest.fixture(scope="module")
def checkpoint(built: Path) -> Path:
    """What a model that knows every answer would predict of perception and imagery."""
    vectors = {kind: nsd_imagery.ClipCache(built / "cache", kind=kind) for kind in ("image", "text")}
    rows = []
    for condition in ("perception", "imagery"):
        trials = nsd_imagery.load(built / "nsd_imagery", f"subj01-{condition}", "test")
        for trial_id, stimulus, in_set in zip(
            trials["trial_id"], trials["stimulus"], trials["stimulus_set"], strict=True
        ):
            rows.append(("subj01", trial_id, vectors["text" if in_set == "C" else "image"][stimulus].tolist()))
    path = built / PERFECT
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(dict(zip(("subject", "trial_id", "vector"), zip(*rows, strict=True), strict=True))), path)
    return path


EVALUATE = """python scripts/eval_shared1000_full.py \\
  --subject subj01 \\
  --checkpoint checkpoints/two_stage/subj01/best.pt \\
  --test-sets perception,imagery \\
  --output outputs/eval/cross_domain/"""


@pytest.mark.parametrize("sign", [" ", "="])
def test_a_checkpoint_that_is_a_pickle_is_one_line_that_says_what_to_export(run: Run, built: Path, sign: str) -> None:
    done = run(EVALUATE.replace("--checkpoint ", f"--checkpoint{sign}"), succeeds=False)
    assert done.returncode == 2
    assert done.stderr.startswith("checkpoints/two_stage/subj01/best.pt: a checkpoint of torch is a pickle")
    assert "examples/score_my_model.py" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_table_of_what_a_model_predicts_is_scored_on_perception_and_imagery(
    run: Run, built: Path, checkpoint: Path
) -> None:
    done = run(EVALUATE.replace("best.pt", "best.parquet") + " --draws 19")
    assert said_first(done) == (
        f"$ nsd-imagery evaluate nsd_imagery --embeddings cache --subjects subj01 --predictions {PERFECT} "
        "--test-sets perception,imagery --out outputs/eval/cross_domain/ --draws 19"
    )
    scores = read_scores(built / "outputs" / "eval" / "cross_domain" / "scores.parquet")
    (perfect,) = [
        score.value
        for score in scores
        if (score.measure, score.train, score.test, score.unit) == ("two_way", "predictions", "imgX", "trial")
        and (score.subject, score.stimulus_set, score.n_candidates) == ("subj01", "", 6)
    ]
    assert perfect
    assert perfect > 0.95  # two pictures of the synthetic release are alike
    assert {score.test for score in scores if score.train == "perception"} == {"perception", "imgX_1", "imgX_2", "imgX"}


def test_baselines_from_perception_to_imagery_are_established(run: Run, built: Path) -> None:
    done = run("python scripts/eval_perception_to_imagery_transfer.py --draws 19")
    assert said_first(done) == "$ nsd-imagery evaluate nsd_imagery --embeddings cache --draws 19"
    assert re.search(r"^transfer +perception → vision .*, → imagery .*training pictures", done.stdout, re.MULTILINE)
    scores = read_scores(built / "evaluation" / "scores.parquet")
    assert {"visX", "imgX"} <= {score.test for score in scores if score.measure == "brain_correlation"}


# --- its code blocks


@pytest.fixture
def names(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the blocks before have left: the indices, read as the Guide reads them."""
    monkeypatch.chdir(indexed)
    names: dict[str, Any] = {"pd": pd}
    exec(USAGE, names)
    names["imagery_index"] = names["index"]
    names["perception_index"] = pd.read_parquet("cache/indices/perception/subj01.parquet")
    return names


TRIAL = '''
from typing import Optional, Literal
from dataclasses import dataclass

@dataclass
class ImageryTrial:
    """Canonical representation of an NSD-Imagery trial."""

    # Unique identifiers
    trial_id: int                          # Global unique trial ID
    subject: str                           # e.g., "subj01"
    session: int                           # Session number
    trial_in_session: int                  # Trial index within session

    # Condition and stimulus
    condition: Literal["perception", "imagery"]  # Data source
    nsd_id: int                            # NSD stimulus ID (shared with perception)
    coco_id: Optional[int]                 # COCO dataset ID (if applicable)

    # fMRI data
    beta_path: str                         # Path to NIfTI file (relative to cache root)
    beta_index: int                        # Volume index within NIfTI file
    roi_mask_path: Optional[str]           # Path to ROI mask if using specific regions

    # Optional metadata
    repeat_index: int = 0                  # 0 for first presentation, 1+ for repeats
    caption: Optional[str] = None          # Image caption (if available)
    run_number: Optional[int] = None       # Run number within session

    # Quality control
    is_valid: bool = True                  # Flag for excluding corrupted trials
    snr_estimate: Optional[float] = None   # Signal-to-noise ratio if available
'''

USAGE = """
import pandas as pd

# Load imagery index
index = pd.read_parquet("cache/indices/imagery/subj01.parquet")

# Filter to imagery trials only
imagery_trials = index[index["condition"] == "imagery"]

# Get first 100 trials
subset = imagery_trials.head(100)
"""


def test_the_trial_has_its_fields_with_their_defaults_and_the_index_their_columns(names: dict[str, Any]) -> None:
    exec(TRIAL, names)
    theirs, ours = names["ImageryTrial"], nsd_imagery.ImageryTrial
    of_ours = {one.name: one.default for one in fields(ours)}
    defaults = {one.name: one.default for one in fields(theirs) if one.default is not MISSING}
    assert {one.name for one in fields(theirs)} <= set(of_ours)
    assert {name: of_ours[name] for name in defaults} == defaults
    columns = set(names["index"].columns)
    assert {one.name for one in fields(theirs)} <= columns
    row = names["imagery_trials"].iloc[0]
    trial = ours(**{one.name: row[one.name] for one in fields(ours)})
    assert trial.condition == "imagery"


def test_the_index_has_its_columns_with_their_types(names: dict[str, Any]) -> None:
    types = {
        "trial_id": "int64", "subject": "string", "session": "int32", "trial_in_session": "int32",
        "condition": "string", "nsd_id": "int32", "coco_id": "int32", "beta_path": "string", "beta_index": "int32",
        "repeat_index": "int32", "is_valid": "bool",
    }  # fmt: skip
    for path in ("imagery/subj01", "imagery/full_index", "perception/subj01"):
        schema = pq.read_schema(f"cache/indices/{path}.parquet")
        assert {name: str(schema.field(name).type) for name in types} == types
    assert len(names["subset"]) == 100
    assert set(names["subset"]["condition"]) == {"imagery"}


def test_trials_are_matched_by_nsd_id_and_a_trial_id_is_never_on_both_sides(names: dict[str, Any]) -> None:
    exec(
        """
# ❌ WRONG: Assuming same trial_id means same stimulus
perception_trial = perception_index[perception_index["trial_id"] == 1000]
imagery_trial = imagery_index[imagery_index["trial_id"] == 1000]
wrong = perception_trial, imagery_trial

# ✅ CORRECT: Match on nsd_id
nsd_id_of_interest = 5234
perception_trial = perception_index[perception_index["nsd_id"] == nsd_id_of_interest]
imagery_trial = imagery_index[imagery_index["nsd_id"] == nsd_id_of_interest]
""".replace("5234", "28751"),  # 5234 is none of the five that are imagined
        names,
    )
    assert not set(names["perception_index"]["trial_id"]) & set(names["imagery_index"]["trial_id"])
    assert set(names["imagery_trial"]["target"]) == {"shared0385_nsd28752"}
    assert set(names["perception_trial"]["nsd_id"]) <= {28751}


def test_subjects_with_both_are_found(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    exec(
        """
# Check available subjects in imagery
imagery_subjects = set(imagery_index["subject"].unique())
perception_subjects = set(perception_index["subject"].unique())

common_subjects = imagery_subjects & perception_subjects
print(f"Subjects with both perception and imagery: {common_subjects}")
""",
        names,
    )
    assert capsys.readouterr().out == "Subjects with both perception and imagery: {'subj01'}\n"


def test_repeats_are_counted_by_stimulus_with_the_first_one(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    exec(
        """
# Count repeats per condition
perception_repeats = perception_index[perception_index["repeat_index"] > 0].groupby("nsd_id").size()
imagery_repeats = imagery_index[imagery_index["repeat_index"] > 0].groupby("nsd_id").size()

print(f"Avg perception repeats: {perception_repeats.mean():.1f}")
print(f"Avg imagery repeats: {imagery_repeats.mean():.1f}")
""",
        names,
    )
    assert "Avg imagery repeats: " in capsys.readouterr().out
    imagery = names["imagery_index"][names["imagery_index"]["condition"] == "imagery"]
    one_too_few = imagery[imagery["repeat_index"] > 0].groupby("nsd_id").size()
    assert set(one_too_few) == {15}
    assert set(imagery.groupby("stimulus").size()) == {16}


def test_preprocessors_smooth_as_they_say(indexed: Path) -> None:
    made: dict[str, Any] = {"NSDPreprocessor": nsd_imagery.NSDPreprocessor}
    exec(
        """
# Example: Apply stronger preprocessing for imagery
preprocessor_perception = NSDPreprocessor(smoothing_fwhm=3.0)
preprocessor_imagery = NSDPreprocessor(smoothing_fwhm=5.0)  # Stronger smoothing
""",
        made,
    )
    assert made["preprocessor_imagery"].row_options().smoothing_fwhm == 5


def test_shared_stimuli_are_found_by_nsd_id_where_there_is_one(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    exec(
        """
# Get valid imagery stimulus IDs
valid_imagery_nsd_ids = set(imagery_index["nsd_id"].dropna())

# Filter perception data to shared stimuli
shared_perception = perception_index[
    perception_index["nsd_id"].isin(valid_imagery_nsd_ids)
]

print(f"Shared stimuli: {len(valid_imagery_nsd_ids)}")
print(f"Perception-only stimuli: {len(perception_index['nsd_id'].unique()) - len(valid_imagery_nsd_ids)}")
""",
        names,
    )
    assert capsys.readouterr().out.startswith("Shared stimuli: ")
    imagined = names["perception_index"][names["perception_index"]["is_shared"]]
    assert set(imagined["nsd_id"]) <= names["valid_imagery_nsd_ids"]
    assert len(imagined) <= len(names["shared_perception"])


DATASET = """
from fmri2img.data.nsd_imagery import NSDImageryDataset

# Load imagery data using same interface as perception
imagery_dataset = NSDImageryDataset(
    index_path="cache/indices/imagery/subj01.parquet",
    subject="subj01",
    condition="imagery",  # New parameter
    preprocessor=preprocessor,
    clip_cache=clip_cache
)

# Use with PyTorch DataLoader as usual
from torch.utils.data import DataLoader
loader = DataLoader(imagery_dataset, batch_size=32, num_workers=4)
"""


@pytest.mark.filterwarnings("ignore:.*pin_memory.*", "ignore:.*fork.*:DeprecationWarning", "ignore:This DataLoader")
def test_the_dataset_is_opened_by_its_arguments_and_batched(
    built: Path, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set C's words have no picture, so `stimuli=clip_cache` leaves them out."""
    monkeypatch.chdir(built)
    preprocessor, clip_cache = nsd_imagery.NSDPreprocessor(smoothing_fwhm=3.0), nsd_imagery.ClipCache("cache")
    made: dict[str, Any] = {"preprocessor": preprocessor, "clip_cache": clip_cache}
    ours = DATASET.replace("fmri2img.data.nsd_imagery", "nsd_imagery").replace(
        "=clip_cache", "=clip_cache, stimuli=clip_cache"
    )
    exec(ours, made)
    preprocessor.fit(made["imagery_dataset"].trials, made["imagery_dataset"].voxels)
    batch = next(iter(made["loader"]))
    assert batch["betas"].shape[0] == batch["clip_embedding"].shape[0] == 32
    assert np.isfinite(batch["betas"].numpy()).all()


# --- and the site's table of them


def test_the_page_for_those_who_come_from_it_names_every_script_and_every_difference() -> None:
    (table,) = re.findall(r"^\| the Guide says .*?\n\n", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for path in sorted((HERE / "scripts").glob("*.py")):
        if "import guide" in path.read_text():
            assert f"scripts/{path.name}" in table
    for words in ("from fmri2img", "best.pt", "dropna()", 'groupby("stimulus")', "smoothing_fwhm=3.0", "--mode both"):
        assert words in table
