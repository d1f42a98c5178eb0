"""The builder class of the datasets library: the rows of a built folder, and never those of another source."""

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, load_dataset

import nsd_imagery
from nsd_imagery.errors import UsageError

pytestmark = pytest.mark.slow


def rows(dataset: Dataset) -> dict[str, list[object]]:
    return dataset.with_format(None).to_dict()


@pytest.mark.parametrize("config", ["subj01-imagery", "subj01-vision", "subj01-attention", "subj02-imagery"])
def test_it_gives_the_rows_features_and_order_of_the_built_folder(
    release: Path, dataset: Path, hf_cache: str, config: str
) -> None:
    builder = nsd_imagery.NSDImagery(config, root=release, cache_dir=hf_cache)
    builder.download_and_prepare()
    mine = builder.as_dataset(split="test")
    assert isinstance(mine, Dataset)
    built = load_dataset(str(dataset), config, split="test", cache_dir=hf_cache)
    assert mine.features == built.features
    np.testing.assert_equal(rows(mine), rows(built))


def test_it_streams_without_preparing(release: Path, dataset: Path, hf_cache: str) -> None:
    stream = nsd_imagery.NSDImagery("subj01-vision", root=release, cache_dir=hf_cache).as_streaming_dataset(
        split="test"
    )
    built = load_dataset(str(dataset), "subj01-vision", split="test", cache_dir=hf_cache)
    streamed = list(stream)
    assert len(streamed) == 144
    np.testing.assert_equal(streamed[7], built[7])


def test_other_rois_are_configs_by_name(release: Path, hf_cache: str) -> None:
    for config, roi in (("subj01-vision-V1", "V1"), ("subj01-vision-streams.early", "streams:early")):
        builder = nsd_imagery.NSDImagery(config, root=release, cache_dir=hf_cache)
        assert builder.config.name == config
        assert builder.info.features is not None
        assert builder.info.features["betas"].length == nsd_imagery.find_roi(release, "subj01", roi).flat.size


def test_other_sources_and_options_are_never_served_from_an_old_cache(
    release: Path, tmp_path: Path, hf_cache: str
) -> None:
    def means(root: Path, **options: str) -> np.ndarray:
        builder = nsd_imagery.NSDImagery("subj01-imagery", root=root, cache_dir=hf_cache, **options)
        builder.download_and_prepare()
        dataset = builder.as_dataset(split="test")
        assert isinstance(dataset, Dataset)
        return np.asarray(dataset.with_format("numpy")["betas"][:]).std(axis=0)

    other = nsd_imagery.synth(tmp_path / "other", seed=3, format="nii.gz")
    seen = [means(release), means(other), means(release, zscore="none"), means(release, betas="fithrf", zscore="none")]
    assert len({tuple(values[:20].tolist()) for values in seen}) == 4
    np.testing.assert_array_equal(means(release), seen[0])


@pytest.mark.parametrize("config", ["subj01", "subj9-imagery", "subj01-image", "subj01-imagery-V11"])
def test_a_mistyped_config_is_named(release: Path, config: str) -> None:
    with pytest.raises(UsageError):
        nsd_imagery.NSDImagery(config, root=release)
