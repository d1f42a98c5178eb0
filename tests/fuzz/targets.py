"""What is fuzzed: each parser of outside files, and the files that it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import repositories
from seeds import BETAS, DESIGN_FOLDER, INFO, MANIFEST, RESPONSES, SHAPE, STIM_INFO
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel
from transformers.models.clip import image_processing_pil_clip, tokenization_clip

import nsd_imagery
from nsd_imagery.dataset.folder import read_manifest
from nsd_imagery.embeddings import read_embeddings
from nsd_imagery.experiment import RUNS
from nsd_imagery.learn.clip_model import open_clip
from nsd_imagery.sources import cache_rows, nsd, nsdimagery
from nsd_imagery.sources.behaviour import read_behaviour
from nsd_imagery.sources.cache_tables import CacheTables
from nsd_imagery.sources.captions import read_captions
from nsd_imagery.sources.design import read_design, read_targets
from nsd_imagery.sources.pictures import read_png
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.sources.stim_info import read_stim_info
from nsd_imagery.synthetic.marker import claim
from nsd_imagery.synthetic.request import Request
from nsd_imagery.volumes import hdf5, nifti
from nsd_imagery.volumes.anatomy import Anatomy, read_label_table
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import resolve


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        name: Of the target.
        tree: The tree of `seeds` that it reads.
        files: Relative to the tree; one of them is mutated for each input.
        read: Called with the tree and the file that was mutated.
        head: Most mutations are before this byte of the file.
        slowness: How many times fewer inputs it gets where a number of inputs is given.
        is_json: Most mutations are of values and keys of JSON.
        prepare: Called once in each process that reads, before the first file.
        cpu_seconds: What an input may take.
    """

    name: str
    tree: str
    files: tuple[str, ...]
    read: Callable[[Path, Path], object]
    head: int = 1 << 30
    slowness: int = 1
    is_json: bool = False
    prepare: Callable[[], None] = lambda: None
    cpu_seconds: float = 1.0


_WARM = (AutoImageProcessor, AutoTokenizer, CLIPModel, image_processing_pil_clip, tokenization_clip)
"""What a model needs of a library that imports only at first use: here, and not within the time of an input."""

_GRID = Grid(SHAPE, np.diag([1.8, 1.8, 1.8, 1.0]))
_VOXELS = np.array([3, 17, 20, 59])
_VOLUMES = ("betas", "floats", "second", "volume", "labels", "big")
_BEHAVIOUR = tuple(f"nsddata/bdata/nsdimagery/nsdimagery_subj01_{run.name}.tsv" for run in RUNS)
_DESIGN = ("designmatrixGLMsingle", "A_pair_list", "B_pair_list", "C_pair_list")
_REQUEST = Request(("subj01",), 0, False, "hdf5", "release", 0, "strong", progress=lambda _: None)


def _behaviour(_root: Path, file: Path) -> object:
    return read_behaviour(file, "subj01", file.stem.removeprefix("nsdimagery_subj01_"))


def _session(root: Path, _file: Path) -> object:
    return nsdimagery.read_session(ReleaseTables(root), "subj01", BETAS)


def _core(root: Path, _file: Path) -> object:
    return nsd.read_sessions(ReleaseTables(root), "subj01", BETAS)


def _cache(root: Path, _file: Path) -> object:
    return (
        CacheTables(root).subjects,
        cache_rows.manifest_mask(CacheTables(root), "subj01"),
        cache_rows.read_sessions(CacheTables(root), "subj01", BETAS),
    )


def _nifti(_root: Path, file: Path) -> object:
    return nifti.read_header(file), nifti.read_volume(file)


def _nifti_betas(_root: Path, file: Path) -> object:
    return nifti.read_betas(file, _GRID, _VOXELS, None)


def _hdf5(_root: Path, file: Path) -> object:
    return hdf5.read_header(file), hdf5.read_betas(file, _GRID, _VOXELS, None)


def _roi(root: Path, _file: Path) -> object:
    anatomy = Anatomy(
        "subj01",
        atlases={"prf-visualrois": root / "labels.nii", "nsdgeneral": root / "volume.nii"},
        label_tables={"prf-visualrois": root / "prf-visualrois.mgz.ctab"},
    )
    return resolve("early", Maps(anatomy))


def _captions(_root: Path, file: Path) -> object:
    return read_captions(file, range(1000))


def _dataset(root: Path, _file: Path) -> object:
    return read_manifest(root), nsd_imagery.info(root)


def _exchanged(name: str, read: Callable[[Path, Path], object], *files: str, **more: Any) -> Target:
    """Of a dataset that goes to the hub and comes back."""
    is_json = files[0].endswith(".json")
    return Target(
        name, "exchange", files, read, slowness=5, is_json=is_json, prepare=repositories.prepare, cpu_seconds=5, **more
    )


_EXCHANGED = (
    _exchanged("manifest-verify", repositories.verify_folder, "own/manifest.json"),
    _exchanged("manifest-load", repositories.load_folder, "own/manifest.json"),
    _exchanged("manifest-push", repositories.push_folder, "own/manifest.json"),
    _exchanged("manifest-pull", repositories.pull_repo, "repo/manifest.json"),
    _exchanged("readme-verify", repositories.verify_folder, "own/README.md", head=3_000),
    _exchanged("readme-push", repositories.push_folder, "own/README.md", head=3_000),
    _exchanged("readme-pull", repositories.pull_repo, "repo/README.md", head=3_000),
    _exchanged("shard-pull", repositories.pull_shard, "shard.parquet"),
    _exchanged("hub-push", repositories.hear_push, *(f"answers/push/{name}.json" for name in repositories.TO_PUSH)),
    _exchanged("hub-pull", repositories.hear_pull, *(f"answers/pull/{name}.json" for name in repositories.TO_PULL)),
)


TARGETS = {
    target.name: target
    for target in (
        Target("behaviour", "release", _BEHAVIOUR, _behaviour),
        Target(
            "session",
            "release",
            (*_BEHAVIOUR, *(f"{DESIGN_FOLDER}/{name}.mat" for name in _DESIGN)),
            _session,
            slowness=4,
        ),
        Target("responses", "release", (RESPONSES,), _core, head=4_000, slowness=3),
        Target("stim-info", "small", ("stim_info.csv",), lambda _, file: read_stim_info(file)),
        Target(
            "stim-info-whole", "release", (STIM_INFO,), lambda _, file: read_stim_info(file), head=4_000, slowness=20
        ),
        Target(
            "cache",
            "cache",
            (
                MANIFEST,
                INFO,
                "nsd_imagery/stimuli/presented_image_ids.txt",
                "nsd_imagery/metadata/subject_sessions.json",
            ),
            _cache,
            slowness=2,
        ),
        Target(
            "design",
            "small",
            ("designmatrixGLMsingle.mat", "designmatrixGLMsingle-packed.mat"),
            lambda _, file: read_design(file),
            head=1_000,
        ),
        Target("pair-list", "small", ("A_pair_list.mat", "A_pair_list-packed.mat"), lambda _, file: read_targets(file)),
        Target(
            "label-table",
            "small",
            tuple(f"{name}.mgz.ctab" for name in ("prf-visualrois", "Kastner2015", "streams")),
            lambda _, file: read_label_table(file),
        ),
        Target("nifti", "small", tuple(f"{name}.nii" for name in _VOLUMES), _nifti, head=352),
        Target("nifti-betas", "small", tuple(f"{name}.nii" for name in _VOLUMES), _nifti_betas, head=352),
        Target("nifti-gz", "small", tuple(f"{name}.nii.gz" for name in _VOLUMES), _nifti),
        Target("nifti-gz-betas", "small", tuple(f"{name}.nii.gz" for name in _VOLUMES), _nifti_betas),
        Target(
            "hdf5",
            "small",
            tuple(
                f"{k}-{v}.hdf5" for k in ("chunks", "whole", "packed", "lzf", "scaled") for v in ("earliest", "latest")
            ),
            _hdf5,
        ),
        Target("roi", "small", ("labels.nii", "volume.nii", "prf-visualrois.mgz.ctab"), _roi),
        Target("captions", "small", ("captions.json", "indented.json"), _captions),
        Target("dataset", "dataset", ("manifest.json",), _dataset),
        Target("index", "small", ("index.parquet", "plain.parquet"), lambda _, file: nsd_imagery.read_index(file)),
        Target("png", "small", ("bar.png", "palette.png"), lambda _, file: read_png(file)),
        Target(
            "model",
            "model",
            (
                *("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json"),
                *("tokenizer.json", "model.safetensors.index.json", "weights.safetensors"),
            ),
            lambda root, _: open_clip(root, device="cpu"),
            head=3_000,
            slowness=3,
            is_json=True,
        ),
        Target("embeddings", "small", ("embeddings.parquet",), lambda _, file: read_embeddings(file)),
        *_EXCHANGED,
        Target("marker", "release", ("synthetic.json",), lambda root, _: claim(root, _REQUEST)),
    )
}
