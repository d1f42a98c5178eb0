"""Train a torch module of your own on perception, write down what it predicts, and score it beside ridge regression.

    python examples/score_my_model.py [DATASET] [ROOT_OR_FOLDER_OF_EMBEDDINGS]

Any model will do: all that is scored is a table of subject, trial_id and vector. Run examples/evaluate.py first.
"""

import sys

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

import nsd_imagery

folder = sys.argv[1] if len(sys.argv) > 1 else "./nsd_imagery"
embeddings = sys.argv[2] if len(sys.argv) > 2 else "./release/truth"
subject = "subj01"
datasets.disable_progress_bars()
torch.manual_seed(0)


def trials_of(condition: str, split: str) -> datasets.Dataset:
    trials = nsd_imagery.load(folder, f"{subject}-{condition}", split)
    return trials.filter(lambda valid: valid, input_columns="is_valid")


# 1. Any torch module, on perception's training pictures. Those that are tested (shared1000) are in `test`.
cache = nsd_imagery.ClipCache(embeddings, folder=embeddings)
train = trials_of("perception", "train")
mean = np.mean([cache[stimulus] for stimulus in sorted(set(train["stimulus"]))], axis=0)
view = nsd_imagery.torch_view(train, ["betas", "stimulus"])
n_voxels, n_features = view[0]["betas"].numel(), len(mean)
model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(n_voxels, n_features))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
for _ in range(30):
    for batch in DataLoader(view, batch_size=None, sampler=BatchSampler(RandomSampler(view), 64, drop_last=False)):
        wanted = torch.tensor(np.stack([cache[stimulus] - mean for stimulus in batch["stimulus"]]), dtype=torch.float32)
        loss = torch.nn.functional.mse_loss(model(batch["betas"]), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# 2. What it predicts of each trial that is tested, as a table. Of reconstructions, write their features instead.
model.eval()
tables = []
for condition in ("perception", "vision", "imagery"):
    rows = nsd_imagery.torch_view(trials_of(condition, "test"), ["betas", "trial_id"])[:]
    with torch.no_grad():
        vectors = model(rows["betas"]).numpy() + mean
    columns = {"subject": [subject] * len(vectors), "trial_id": rows["trial_id"].numpy(), "vector": vectors.tolist()}
    tables.append(pa.table(columns))
pq.write_table(pa.concat_tables(tables), "mine.parquet")

# 3. The same tests for both, and the difference stimulus by stimulus.
options = {"subjects": subject, "embeddings": embeddings, "draws": 999}
ridge = nsd_imagery.evaluate(folder, "scores/ridge", **options)
mine = nsd_imagery.evaluate(folder, "scores/mine", predictions="mine.parquet", **options)
print(nsd_imagery.compare(ridge, mine).table())
