"""
Why neighbouring trials must not meet
=====================================

Betas of trials that are 4 s apart share noise, and no target ever follows itself. Together these make the common
estimate of identification wrong in the unexpected direction: without any signal, it lies *below* chance.
"""

# %%
# A release of noise alone.
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np

import nsd_imagery

work = Path(mkdtemp())
root = nsd_imagery.synth(work / "release", subjects=range(1, 5), format="hdf5", signal="none")
folder = nsd_imagery.build(root, work / "nsd_imagery", conditions=["imagery"])
runs = []
for number in range(1, 5):
    rows = nsd_imagery.load(folder, f"subj0{number}-imagery", "test").with_format("numpy")[:]
    for name in np.unique(rows["run_name"]):
        mine = rows["run_name"] == name
        runs.append((np.corrcoef(rows["betas"][mine]), rows["target"][mine]))
apart = np.abs(np.subtract.outer(np.arange(48), np.arange(48)))

# %%
# **Similarity falls with distance**, whatever is imagined.
distances = np.arange(1, 13)
similarity = [np.mean([correlation[apart == d].mean() for correlation, _ in runs]) for d in distances]
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.plot(distances, similarity, "o-")
axes.axhline(0, color="gray", linewidth=0.8)
axes.set(xlabel="trials apart (4 s each)", ylabel="correlation of betas")


# %%
# **Identification** of a trial by its mean similarity to the other trials of each target, with all of them and
# without those that are two trials away or less.
def identified(leave_out: int) -> float:
    """Share of trials whose own target is the most similar of six; chance is about 1/6."""
    right = []
    for correlation, target in runs:
        names = np.unique(target)
        for trial in range(48):
            to = [correlation[trial, (target == name) & (apart[trial] > leave_out)].mean() for name in names]
            right.append(names[int(np.argmax(to))] == target[trial])
    return float(np.mean(right))


figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.barh(
    ["with neighbours", "without those ≤ 2 away"],
    [identified(0), identified(2)],
    color=["tab:red", "tab:blue"],
    alpha=0.7,
)
axes.axvline(1 / 6, color="black", linestyle="--", linewidth=1)
axes.set(xlabel="identified of six, no signal at all (dashed: 1/6)")
axes.invert_yaxis()

# %%
# Even then chance is not exactly 1/6: a trial's own template has one trial fewer. ``evaluate`` draws chance from
# orders that the experiment could have had, and writes it beside each number.
