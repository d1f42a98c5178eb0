"""
Train a decoder on perception, score it on imagery
==================================================

The task of the field: a linear model learns from thousands of pictures seen in NSD core, and reads pictures that are
only imagined. Rows that chose nothing are tested, no tested picture is learnt from, and chance stands beside each
number.
"""

# %%
# Perception of two sessions, and an embedding for every picture and word. A synthetic release brings embeddings
# along, the latents of which its betas were made; with your own data ``nsd-imagery embed`` makes CLIP's.
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV

import nsd_imagery

work = Path(mkdtemp())
root = nsd_imagery.synth(work / "release", format="hdf5", perception_sessions=2, signal="real")
folder = nsd_imagery.build(root, work / "nsd_imagery", conditions=["perception", "vision", "imagery"])
clip_cache = nsd_imagery.ClipCache(root, folder=root / "truth")

# %%
# **Train** on pictures that are tested nowhere: perception's ``train`` holds none of the shared 1,000.
seen = nsd_imagery.arrays(nsd_imagery.load(folder, condition="perception", split="train", average=True))
vectors = clip_cache.stack(seen.labels["stimulus"])
decoder = RidgeCV(alphas=np.logspace(1, 6, 11)).fit(seen.betas, vectors)
print(f"{len(vectors)} pictures, {decoder.coef_.shape[1]} voxels, penalty {decoder.alpha_:g}")

# %%
# **Score.** Cosines are taken about the mean of the training vectors, without which all predictions look alike. A
# prediction is right about another target of the same set if it is nearer to its own.
centre = vectors.mean(axis=0)


def similarities(condition: str, run: str, *, average: bool) -> tuple[np.ndarray, np.ndarray]:
    """(n_rows, 6) cosines to the targets of a set, and (n_rows,) which of them is right."""
    rows = nsd_imagery.arrays(nsd_imagery.load(folder, condition=condition, run=run, average=average))
    names, own = np.unique(rows.labels["stimulus"], return_inverse=True)
    both = decoder.predict(rows.betas) - centre, clip_cache.stack(names) - centre
    predicted, candidates = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in both)
    return predicted @ candidates.T, own


def two_way(similarity: np.ndarray, own: np.ndarray) -> float:
    """How often its own target is nearer than another (chance 0.5)."""
    right = np.take_along_axis(similarity, own[:, None], axis=1) > similarity
    return float(right.sum() / (similarity.shape[0] * (similarity.shape[1] - 1)))


means = {}
for condition, run in (("vision", "visA"), ("vision", "visB"), ("imagery", "imgA_2"), ("imagery", "imgB_2")):
    means[run] = similarities(condition, run, average=True)
    single = two_way(*similarities(condition, run, average=False))
    print(f"{run:<6} single trials {single:.2f}, means of 8 {two_way(*means[run]):.2f}")

# %%
# Rows are predictions from the mean of eight trials, columns targets; a diagonal is what one hopes for.
figure, several = plt.subplots(1, 4, figsize=(10, 3), layout="constrained")
for axes, (run, (similarity, own)) in zip(several, means.items(), strict=True):
    axes.imshow(similarity[np.argsort(own)], vmin=-0.6, vmax=0.6, cmap="RdBu_r")
    axes.set(title=run, xticks=[], yticks=[])
several[0].set_ylabel("predicted")

# %%
# These are a few rows of one synthetic subject, whose planted patterns are the same in perception and imagery. For
# numbers with intervals, p and ceilings, and for a model of your own, see :doc:`/how-to/transfer`.
