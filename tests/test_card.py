"""The card: valid by the hub's own classes, and true to the manifest it was made from."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from datasets import Features, load_dataset
from huggingface_hub import DatasetCard

import nsd_imagery
from folders import own
from nsd_imagery.dataset.card import card, front_matter
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.schema import BETAS, STATS_COLUMNS, STIMULI_COLUMNS, TRIAL_COLUMNS, VOXEL_COLUMNS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def manifest(dataset: Path) -> Manifest:
    return open_manifest(dataset)


def sections(text: str) -> dict[str, str]:
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in text.split("\n## ")[1:]}


def test_the_hubs_own_classes_read_the_card_and_its_data(dataset: Path) -> None:
    loaded = DatasetCard.load(dataset / "README.md")
    data = loaded.data.to_dict()
    assert data["license"] == "other"
    assert data["license_name"] == "nsd-terms"
    assert data["license_link"] == "https://naturalscenesdataset.org"
    assert data["size_categories"] == ["1K<n<10K"]
    assert {"pretty_name", "task_categories", "tags", "annotations_creators", "extra_gated_prompt"} <= set(data)
    assert set(data["extra_gated_fields"].values()) == {"text", "checkbox"}
    assert DatasetCard(str(loaded)).data.to_dict() == data


def test_the_metadata_survives_a_round_trip_through_the_hubs_yaml(manifest: Manifest) -> None:
    loaded = DatasetCard(card(manifest))
    assert yaml.safe_load(loaded.data.to_yaml()) == front_matter(manifest)


def test_configs_and_sizes_are_those_of_the_manifest(manifest: Manifest) -> None:
    front = front_matter(manifest)
    infos = {info["config_name"]: info for info in front["dataset_info"]}
    assert [config["config_name"] for config in front["configs"]] == list(manifest.configs) == list(infos)
    for name, config in manifest.configs.items():
        shards = config.shards
        assert infos[name]["dataset_size"] == infos[name]["download_size"] == sum(shard.bytes for shard in shards)
        assert sum(split["num_examples"] for split in infos[name]["splits"]) == sum(shard.rows for shard in shards)
        assert len(Features._from_yaml_list(infos[name]["features"])) == len(config.features)


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (5_000_000, "1M<n<10M"),
    ],
)
def test_size_categories_are_the_hubs_words_for_the_number_of_trials_whatever_the_rois(
    manifest: Manifest, rows: int, size: str
) -> None:
    built = manifest.configs["subj01-imagery"]
    imagery = replace(built, splits={"test": (replace(built.shards[0], rows=rows),)})
    configs = {"subj01-imagery": imagery, "subj01-imagery-V1": replace(imagery, roi="V1")}
    configs["subj01-voxels"] = manifest.configs["subj01-voxels"]
    assert front_matter(replace(manifest, configs=configs))["size_categories"] == [size]


def test_every_column_is_explained_with_its_unit(manifest: Manifest) -> None:
    text = card(manifest)
    for column in (*TRIAL_COLUMNS, BETAS, *VOXEL_COLUMNS, *STATS_COLUMNS, *STIMULI_COLUMNS):
        assert f"| `{column.name}` | {column.type} |" in text
        assert f"| {column.unit} | {column.meaning} |" in text


def test_what_is_opened_without_a_name_is_stimuli(dataset: Path, hf_cache: str, manifest: Manifest) -> None:
    rows = load_dataset(str(dataset), split="train", cache_dir=hf_cache)
    assert rows.num_rows == manifest.configs["stimuli"].shards[0].rows
    assert {"image", "stimulus"} <= set(rows.column_names)
    front = front_matter(manifest)
    assert [config["config_name"] for config in front["configs"] if config.get("default")] == ["stimuli"]
    others = {name: config for name, config in manifest.configs.items() if name != "stimuli"}
    assert not any("default" in config for config in front_matter(replace(manifest, configs=others))["configs"])


def test_a_folder_whose_card_names_no_default_config_is_sound(dataset: Path, tmp_path: Path) -> None:
    folder = own(dataset, tmp_path / "older")
    text = (folder / "README.md").read_text()
    assert text.count("  default: true\n") == 1
    (folder / "README.md").unlink()
    (folder / "README.md").write_text(text.replace("  default: true\n", ""))
    report = nsd_imagery.verify(folder)
    assert report.passed
    assert next(one for one in report.findings if one.id == "folder.card").outcome == "pass"


def test_the_card_of_a_repo_loads_it_by_name_and_says_who_sees_the_viewer(manifest: Manifest) -> None:
    text = card(manifest, repo="jane/nsd-imagery")
    assert '\ndataset = "jane/nsd-imagery"\n' in text
    assert "only to PRO accounts and to Team and Enterprise organizations" in text
    assert "nsd-imagery info FOLDER" not in text
    assert "PRO accounts" not in card(manifest)


@pytest.mark.parametrize("conditions", [None, "perception"])
def test_the_examples_of_a_folder_run_as_they_stand(
    core_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conditions: str | None
) -> None:
    dataset = nsd_imagery.build(core_release, tmp_path / "nsd_imagery", conditions=conditions)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    code = (dataset / "README.md").read_text().split("```python\n")[1].split("```")[0]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=dataset.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("torch.Size([8, ")


def test_sources_and_recipe_say_how_it_was_made(manifest: Manifest) -> None:
    made = sections(card(manifest))["How it was made"]
    assert "fithrf_GLMdenoise_RR" in made
    for config in manifest.configs.values():
        for source, digest in config.sources.items():
            of = f"{config.subject} {config.roi}".strip()
            assert f"| {of} | {source} | `{digest}` |" in made
    percent = replace(manifest, recipe=replace(manifest.recipe, zscore="none"))
    assert "z-scored" not in sections(card(percent))["How it was made"]


def test_the_proof_of_the_labels_is_verifys_report_where_there_is_one(manifest: Manifest) -> None:
    assert "FRAMEFILE" in sections(card(manifest))["How the labels were proven"]
    told = sections(card(manifest, proof="All 12 checks passed."))["How the labels were proven"]
    assert told.strip() == "All 12 checks passed."


def test_known_limits_terms_and_citations_are_there(manifest: Manifest) -> None:
    parts = sections(card(manifest))
    limits = parts["Known limits of the data"]
    for word in (
        "repeats",
        "imagery",
        "Five shared pictures",
        "cue",
        "imgX_2",
        "fithrf",
        "adjacent",
        "subj01",
        "uncropped",
        "letter on the screen",
        "ridge fraction",
    ):
        assert word in limits
    assert "do not allow passing the data on" in parts["Terms"]
    assert parts["Citation"].count("\n@") == 2
    assert "{{NSD-Imagery}" in parts["Citation"]


def test_a_kind_of_config_that_the_card_does_not_know_is_listed_all_the_same(manifest: Manifest) -> None:
    eyes = replace(manifest.configs["subj01-voxels"], kind="eyes", subject="", condition="", roi="")
    text = card(replace(manifest, configs={"eyes": eyes}))
    assert "| `eyes` | train 280 |" in text
    assert "### Columns of" not in text
    assert "load_dataset" not in text
