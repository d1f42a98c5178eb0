"""The files that are mutated: synthetic, and small, so that many inputs fit into a second."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import load_file, save_file
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

sys.path.append(str(Path(__file__).resolve().parents[1]))

import nsd_imagery
from clip import save_tiny_clip
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.embeddings import Embedding, Maker, write_embeddings
from nsd_imagery.share.staging import stage
from nsd_imagery.sources import nsdimagery
from nsd_imagery.sources.release_tables import ReleaseTables

REPO, SHARD = "me/nsd-imagery", "subj01-imagery-V1v"
BETAS = "fithrf_GLMdenoise_RR"
SHAPE = (5, 4, 3)
N_VOLUMES = 6

CORE_BETAS = f"nsddata_betas/ppdata/subj01/func1pt8mm/betas_{BETAS}/betas_session01.hdf5"
RESPONSES = "nsddata/ppdata/subj01/behav/responses.tsv"
STIM_INFO = "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
DESIGN_FOLDER = "nsddata/experiments/nsdimagery"
MANIFEST = "nsd_imagery/metadata/trial_manifest_subj01.csv"
INFO = "nsd_imagery/stimuli/imagery_stimuli_info.csv"


def write_trees(folder: Path) -> None:
    """Write `release` (with a session of NSD core), `cache`, `dataset`, `exchange`, `model` and `small`."""
    release = nsd_imagery.synth(folder / "release", format="hdf5")
    _write_core(release)
    _write_cache(nsd_imagery.synth(folder / "cache", layout="cache"))
    nsd_imagery.build(release, folder / "dataset", roi=["V1v"], conditions=["imagery", "perception"])
    _write_exchange(release, folder / "exchange")
    small = folder / "small"
    small.mkdir()
    _write_niftis(small)
    _write_hdf5(small)
    _write_matlab(small, release)
    _write_captions(small)
    _write_pictures(small, release)
    lines = (release / STIM_INFO).read_text().splitlines(keepends=True)
    (small / "stim_info.csv").write_text("".join(lines[:60]))
    rows = nsdimagery.read_session(ReleaseTables(release), "subj01", BETAS).rows
    pq.write_table(rows.slice(40, 16), small / "index.parquet", compression="zstd")
    pq.write_table(rows.slice(40, 16), small / "plain.parquet", compression="none", use_dictionary=False)
    _write_clip(folder / "model", small)
    shutil.copytree(release / "nsddata/freesurfer/subj01/label", small, dirs_exist_ok=True)


def _write_core(release: Path) -> None:
    """One session of NSD core on a grid of three voxels; its responses.tsv has that session alone."""
    path = release / CORE_BETAS
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file["betas"] = np.ones((750, 1, 1, 3), np.int16)
    with_core = nsd_imagery.synth(release.parent / "core", format="hdf5", perception_sessions=1)
    lines = (with_core / RESPONSES).read_text().splitlines(keepends=True)
    (release / RESPONSES).parent.mkdir(parents=True)
    (release / RESPONSES).write_text("".join(lines[:751]))
    shutil.copy(with_core / STIM_INFO, release / STIM_INFO)
    shutil.copy(with_core / CORE_BETAS, path)
    shutil.rmtree(with_core)


def _write_exchange(release: Path, folder: Path) -> None:
    """`own`, a dataset folder; `repo`, what a push of it puts on the hub; `answers`, what the hub says meanwhile."""
    own = folder / "own"
    nsd_imagery.build(release, own, roi=["V1v"], conditions=["imagery"])
    staged = stage(own, open_manifest(own), REPO)
    for file in staged:
        path = folder / "repo" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content if isinstance(file.content, bytes) else file.content.read_bytes())
    (shard,) = (folder / "repo" / SHARD).iterdir()
    shutil.copy(shard, folder / "shard.parquet")
    shutil.rmtree(own / ".build")
    # In a process of its own: a hub has threads, and this one forks.
    subprocess.run([sys.executable, Path(__file__).with_name("repositories.py"), own, folder / "answers"], check=True)


def _write_cache(cache: Path) -> None:
    """A manifest of 40 trials, with all columns that can be read."""
    head, *lines = (cache / MANIFEST).read_text().splitlines()
    more = ["12,2,1.25,3.5"] * 40
    kept = [f"{line},{fields},{BETAS}" for line, fields in zip([*lines[30:60], *lines[160:170]], more, strict=True)]
    columns = f"{head},subjectId2,response,response_time,beta_scale,beta_version"
    (cache / MANIFEST).write_text("\n".join([columns, *kept]) + "\n")


def _write_niftis(folder: Path) -> None:
    rng = np.random.default_rng(0)
    affine = np.diag([1.8, 1.8, 1.8, 1])
    betas = rng.integers(-900, 900, (*SHAPE, N_VOLUMES)).astype(np.int16)
    images = {
        "betas": nib.Nifti1Image(betas, affine),
        "floats": nib.Nifti1Image(betas.astype(np.float32), affine),
        "second": nib.Nifti2Image(betas, affine),
        "volume": nib.Nifti1Image(rng.integers(-1, 2, SHAPE).astype(np.int8), affine),
        "labels": nib.Nifti1Image(rng.integers(0, 8, SHAPE).astype(np.float64), affine),
    }
    images["big"] = nib.Nifti1Image(betas, affine, nib.Nifti1Header(endianness=">"))
    images["volume"].header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"made up"))
    for name, image in images.items():
        image.header.set_qform(affine, code=1)
        for ending in (".nii", ".nii.gz"):
            nib.save(image, folder / f"{name}{ending}")


def _write_hdf5(folder: Path) -> None:
    betas = np.arange(N_VOLUMES * np.prod(SHAPE), dtype=np.int16).reshape(N_VOLUMES, *SHAPE[::-1])
    kinds = {
        "chunks": {"chunks": (N_VOLUMES, 1, 1, 1)},
        "whole": {},
        "packed": {"chunks": (N_VOLUMES, 3, 2, 5), "compression": "gzip", "shuffle": True, "fletcher32": True},
        "lzf": {"chunks": (1, 3, 4, 5), "compression": "lzf", "fletcher32": True},
        "scaled": {"chunks": (4, 2, 4, 2), "scaleoffset": 0},
    }
    for name, options in kinds.items():
        for version in ("earliest", "latest"):
            with h5py.File(folder / f"{name}-{version}.hdf5", "w", libver=version) as file:
                file.create_dataset("betas", data=betas, track_times=False, **options)


def _write_matlab(folder: Path, release: Path) -> None:
    for name, variable in (("designmatrixGLMsingle", "stimulus"), ("A_pair_list", "pair_list")):
        value = loadmat(release / DESIGN_FOLDER / f"{name}.mat")[variable]
        if variable == "stimulus":
            for run, matrix in enumerate(value[0]):
                short = matrix[:30].astype(np.uint8)
                value[0, run] = csc_array(short) if run == 3 else short
        for packed in (True, False):
            savemat(folder / f"{name}{'-packed' if packed else ''}.mat", {variable: value}, do_compression=packed)


def _write_captions(folder: Path) -> None:
    annotations = [
        {"image_id": 100 + n // 5, "id": n, "caption": f"A made-up \u00e9 \\ caption {n}."} for n in range(30)
    ]
    whole = {"info": {"year": 2017}, "images": [{"id": 100}], "annotations": annotations}
    (folder / "captions.json").write_text(json.dumps(whole))
    (folder / "indented.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False))


def _write_pictures(folder: Path, release: Path) -> None:
    picture = next((release / DESIGN_FOLDER / "rawtargetimages/setA").glob("bar*.png"))
    shutil.copy(picture, folder / "bar.png")
    noise = Image.frombytes("P", (9, 7), random.Random(0).randbytes(63))
    text = PngInfo()
    text.add_text("Title", "made up", zip=True)
    noise.save(folder / "palette.png", pnginfo=text, transparency=3, dpi=(72, 72))


def _write_clip(model: Path, small: Path) -> None:
    """A tiny model with an index of its weights, and a file of embeddings."""
    save_tiny_clip(model)
    tensors = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    save_file(tensors, model / "weights.safetensors", {"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "weights.safetensors")}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "processor_config.json").write_text(json.dumps({"processor_class": "CLIPProcessor"}))
    rng = np.random.default_rng(0)
    rows = {
        (kind, f"nsd{number}"): Embedding(rng.normal(size=8).astype(np.float32), f"{number:032x}")
        for kind in ("image", "text")
        for number in range(8)
    }
    write_embeddings(small / "embeddings.parquet", Maker("folder:0123", "", "{}"), rows)
