"""Train a small decoder on what was seen, and read imagery through it.

    python examples/train_decoder.py [DATASET] [SUBJECT]

The decoder is one linear layer from betas to an embedding of the picture. The embedding here is a stand-in, one axis
for each of the five NSD pictures that are imagined too; with real data, put CLIP vectors of all pictures in its place.
"""

import sys

import datasets
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

import nsd_imagery

folder = sys.argv[1] if len(sys.argv) > 1 else "./nsd_imagery"
subject = sys.argv[2] if len(sys.argv) > 2 else "subj01"
datasets.disable_progress_bars()
torch.manual_seed(0)

# Imagery of these pictures, in the runs whose order was not that of a vision run: what only drifts cannot help there.
imagery = nsd_imagery.load(folder, f"{subject}-imagery", "test")
imagery = imagery.filter(lambda shared, run: shared and run.endswith("_2"), input_columns=["is_shared", "run_name"])
pictures = sorted(set(imagery["stimulus"]))
embedding = dict(zip(pictures, torch.eye(len(pictures)), strict=True))
candidates = torch.stack([embedding[picture] for picture in pictures])

# What was seen and has an embedding: the vision runs, and NSD core where the folder has it (its `test` has the shared
# pictures; with CLIP vectors, take `train`).
names = [f"{subject}-{condition}" for condition in ("perception", "vision")]
here = nsd_imagery.info(folder)["configs"]
seen = datasets.concatenate_datasets([nsd_imagery.load(folder, name, "test") for name in names if name in here])
seen = seen.filter(lambda stimulus: stimulus in embedding, input_columns="stimulus")

view = nsd_imagery.torch_view(seen, ["betas", "stimulus"])
batches = DataLoader(view, batch_size=None, sampler=BatchSampler(RandomSampler(view), 32, drop_last=False))
decoder = torch.nn.Linear(view[0]["betas"].numel(), candidates.shape[1])
optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-3, weight_decay=1.0)
for _ in range(50):
    for batch in batches:
        wanted = torch.stack([embedding[stimulus] for stimulus in batch["stimulus"]])
        loss = torch.nn.functional.mse_loss(decoder(batch["betas"]), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(f"trained on {len(view)} trials in which {len(pictures)} pictures were seen")


def identified(trials: datasets.Dataset) -> list[bool]:
    rows = nsd_imagery.torch_view(trials, ["betas", "stimulus"])[:]
    with torch.no_grad():
        similarity = torch.nn.functional.cosine_similarity(decoder(rows["betas"])[:, None], candidates[None], dim=-1)
    nearest = similarity.argmax(dim=1).tolist()
    return [pictures[number] == stimulus for number, stimulus in zip(nearest, rows["stimulus"], strict=True)]


for what, trials in (("single trials", imagery), ("means of the repeats", nsd_imagery.average_repeats(imagery))):
    right = identified(trials)
    rate = f"{sum(right) / len(right):.2f}, by chance {1 / len(pictures):.2f}"
    print(f"imagery, {what}: {sum(right)} of {len(right)} identified ({rate})")
