"""
Where the signal is, and how much of it
=======================================

``evaluate`` estimates signal and noise variance of each voxel from pairs of trials at equal distances in time,
because in these runs no target comes twice in a row and neighbouring trials share noise.
"""

# %%
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import nsd_imagery

work = Path(mkdtemp())
root = nsd_imagery.synth(work / "release", format="hdf5")
folder = nsd_imagery.build(root, work / "nsd_imagery", roi=["nsdgeneral", "early", "higher"])
evaluation = nsd_imagery.evaluate(folder, work / "evaluation", draws=199)
scores = pd.read_parquet(evaluation.path / "scores.parquet")

# %%
# **ncsnr** is the standard deviation of the signal over that of the noise. Its interval is a jackknife over blocks of
# trials. Vision and imagery are estimated alike, so that they may be compared; beside each stands how much an average
# of n trials could explain at best, the noise ceiling.
asked = "measure == 'ncsnr' and subject == 'subj01' and stimulus_set == '' and how == 'within'"
ncsnr = scores.query(asked)
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
rois = ["nsdgeneral", "early", "higher"]
for shift, condition in ((-0.12, "vision"), (0.12, "imagery")):
    rows = ncsnr[ncsnr["condition"] == condition].set_index("roi").loc[rois]
    errors = np.abs(rows[["low", "high"]].to_numpy().T - rows["value"].to_numpy())
    axes.errorbar(np.arange(3) + shift, rows["value"], errors, fmt="o", capsize=4, label=condition)
axes.axhline(0, color="gray", linewidth=0.8)
axes.set(xticks=range(3), xticklabels=rois, ylabel="ncsnr")
axes.legend(frameon=False)

# %%
# **A map.** A row of ``voxels-subj01.parquet`` is a voxel; ``to_nifti`` puts a value a voxel back where it came from.
# Signal over noise is shown unclipped: an estimate below zero is what a voxel without signal gives half of the time.
voxels = nsd_imagery.load(folder, "subj01-voxels", "train")
values = pd.read_parquet(evaluation.path / "voxels-subj01.parquet").query("roi == 'nsdgeneral'")
figure, several = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
for axes, condition in zip(several, ("vision", "imagery"), strict=True):
    ratio = (values[f"{condition}_signal"] / values[f"{condition}_noise"]).to_numpy()
    volume = nsd_imagery.to_nifti(ratio, voxels, fill=np.nan).get_fdata()
    k = int(np.argmax(np.isfinite(volume).sum(axis=(0, 1))))
    shown = axes.imshow(volume[:, :, k].T, origin="lower", vmin=-0.3, vmax=0.3, cmap="RdBu_r")
    axes.set(title=f"{condition}, slice k = {k}", xticks=[], yticks=[])
    axes.set_facecolor("0.85")
figure.colorbar(shown, ax=several, label="signal / noise variance", shrink=0.8)
