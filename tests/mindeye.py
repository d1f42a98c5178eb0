"""How decoders of the field read an export: by the published loaders' rules, on torch, pickle and h5py alone."""

import pickle
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import torch

LABELS = "nsddata_stimuli/stimuli/nsdimagery_stimuli.pkl3"
PICTURES = "nsddata_stimuli/stimuli/imagery_stimuli_18.pt"
RUNS = {"vision": ("vis{}",), "imagery": ("img{}_1", "img{}_2")}
SETS = {"all": "ABC", "simple": "A", "complex": "B", "concepts": "C"}


def labels(root: Path) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    with (root / LABELS).open("rb") as file:
        said = pickle.load(file)
    return said["exps"], said["cues"], said["image_map"]


def imagery(root: Path, mode: str, stimuli: str = "all", *, subject: int = 1) -> tuple[torch.Tensor, list[int]]:
    """Betas of a condition, and the picture that each row is labelled by."""
    exps, cues, image_map = labels(root)
    runs = [run.format(of_set) for of_set in SETS[stimuli] for run in RUNS[mode]]
    rows = np.arange(len(exps))[np.any([exps == run for run in runs], axis=0)]
    betas = torch.load(root / f"preprocessed_data/subject{subject}/nsd_imagery.pt")
    return betas[rows], [image_map[cue] for cue in cues[rows]]


def averages(betas: torch.Tensor, of_row: list[int]) -> torch.Tensor:
    """(pictures, voxels) the mean over the rows of each picture, in the order of pictures."""
    names = np.unique(of_row)
    return torch.stack([betas[torch.from_numpy(np.array(of_row) == name)].mean(dim=0) for name in names])


def core(root: Path, subject: int = 1) -> np.ndarray:
    with h5py.File(root / f"betas_all_subj{subject:02d}_fp32_renorm.hdf5") as file:
        return file["betas"][:]


def percent(release: Path, betas: str) -> torch.Tensor:
    """(rows, voxels) percent signal change of subj01 in nsdgeneral, as preparing code takes it from a beta file."""
    mask = np.asarray(nib.load(release / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz").dataobj) == 1
    with h5py.File(release / f"nsddata_betas/ppdata/subj01/func1pt8mm/{betas}") as file:
        return torch.from_numpy(file["betas"][:].T[mask].T.astype(np.float32)) / 300


def zscore(rows: torch.Tensor) -> torch.Tensor:
    return (rows - rows.mean(dim=0)) / (rows.std(dim=0) + 1e-6)
