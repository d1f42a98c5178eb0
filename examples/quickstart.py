"""What a user does with a built folder: open a config, look at it, pick the trials of a picture, make torch batches."""

from collections import Counter

from datasets import load_dataset
from torch.utils.data import DataLoader

trials = load_dataset("./nsd_imagery", "subj01-imagery", split="test")
row = trials.remove_columns("betas")[0]
print(f"\nsubj01-imagery: {trials.num_rows} trials, {trials.features['betas'].length} voxels")
print(
    "one row:",
    {name: row[name] for name in ("trial_id", "target", "stimulus", "nsd_id", "repeat_index", "run_name")},
)

repeats = Counter(trials["stimulus"])
print(f"{len(repeats)} stimuli, each imagined {min(repeats.values())} times")

nsd_id = 28751  # 0-based: the file shared0385_nsd28752.png
picture = trials.filter(lambda shown: shown == nsd_id, input_columns="nsd_id")
print(f"trials that imagine NSD picture {nsd_id}: {picture.num_rows}, in runs {sorted(set(picture['run_name']))}")

batch = next(iter(DataLoader(picture.with_format("torch"), batch_size=8)))  # type: ignore[arg-type]
betas = batch["betas"]
print(f"a torch batch: betas {tuple(betas.shape)} {betas.dtype}, mean {betas.mean():.2f}, sd {betas.std():.2f}")
