"""
Is it imagery, or the letter on the screen?
===========================================

During imagery the target's own letter is on the screen, and in vision it was in half of the trials. A decoder that
carries over from vision to imagery may have learnt the letter. Here nothing is imagined at all: the letter alone is
planted.
"""

# %%
# A release in which vision is as usual, imagery is empty, and the letter evokes a response of its own.
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import pandas as pd

import nsd_imagery
from nsd_imagery.synthetic import SIGNALS

work = Path(mkdtemp())
no_imagery = replace(SIGNALS["strong"], imagery_early=(0.0, 0.0, 0.0), imagery_higher=(0.0, 0.0, 0.0), letter=0.3)
root = nsd_imagery.synth(work / "release", format="hdf5", signal=no_imagery)
folder = nsd_imagery.build(root, work / "nsd_imagery", conditions=["vision", "imagery"])
scores = pd.read_parquet(nsd_imagery.evaluate(folder, work / "evaluation", draws=999).path / "scores.parquet")

# %%
# Five ways to ask the same: templates from vision, tested on the second imagery runs (the first repeat the order of
# vision). Only templates that are estimated together with the letters, by least squares, say that there is nothing.
asked = scores.query(
    "measure == 'identification' and stimulus_set == '' and train == 'visX' and test == 'imgX_2' and unit == 'trial'"
)
words = {
    "published": "means of vision trials",
    "detrended": "the same, trends taken out",
    "mismatched": "trials with another's letter",
    "letter": "the letter alone",
    "letter-free": "without the letter",
}
asked = asked[asked["subject"] == "subj01"].set_index("how").loc[list(words)].rename(index=words)
print(asked[["value", "low", "high", "chance", "p"]].round(3))

figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
errors = [asked["value"] - asked["low"], asked["high"] - asked["value"]]
axes.barh(asked.index, asked["value"], xerr=errors, capsize=4, color="tab:blue", alpha=0.7)
axes.axvline(1 / 6, color="black", linestyle="--", linewidth=1)
axes.set(xlabel="single imagery trials identified, of six (dashed: chance)", xlim=(0, None))
axes.invert_yaxis()
