"""
The session, trial by trial
===========================

One session a subject: twelve runs, 576 trials, 720 betas, in the order in which they were measured. The picture shows
why a row number is no label: run by run the task changes, and in half of the vision trials the letter on the screen
is another target's.
"""

# %%
# An index is a table of the rows without their betas. It is made in a second, and every label in it is proven.
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import pandas as pd

import nsd_imagery

root = nsd_imagery.synth(Path(mkdtemp()) / "release", format="hdf5")
index = pd.read_parquet(nsd_imagery.index(root) / "imagery" / "subj01.parquet").sort_values("beta_index")
print(index.groupby("condition").size())

# %%
# A target has a line of its own; within a set, runs come in the order vision, attention, imagery. The second imagery
# runs of all sets close the session. A cross is a vision trial with another target's letter.
targets = list(dict.fromkeys(index.sort_values("stimulus_set", kind="stable")["target"]))
position = index["target"].map(targets.index)
colours = {"vision": "tab:blue", "attention": "tab:gray", "imagery": "tab:red"}
figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
for condition, colour in colours.items():
    mine = index["condition"] == condition
    axes.scatter(index.loc[mine, "beta_index"], position[mine], s=9, color=colour, label=condition)
other = index["cue_matches"].eq(0) & index["condition"].eq("vision")
axes.scatter(index.loc[other, "beta_index"], position[other], s=45, marker="x", color="black", label="another's letter")
starts = index.groupby("run_name")["beta_index"].min()
axes.set_xticks(starts, starts.index, rotation=60)
axes.set(
    ylabel="target (sets A, B, C)", xlabel="run, in the order of the beta file", yticks=[5.5, 11.5], yticklabels=[]
)
axes.grid(alpha=0.4)
axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.13), frameon=False)

# %%
# Labelling vision by the letter passes every count, because each letter is shown eight times too, and mislabels half
# of the trials:
vision = index[index["condition"] == "vision"]
print("letters shown in visA:", vision[vision["run_name"] == "visA"].groupby("cue").size().to_dict())
print("trials whose letter is the target's own:", int(vision["cue_matches"].sum()), "of", len(vision))
