"""Score a model's predictions, and ridge regression beside it: `nsd-imagery evaluate DATASET --embeddings ROOT`.

A checkpoint is a table of what the model predicts (.parquet or .csv), not a pickle of torch.

python scripts/eval_shared1000_full.py --subject subj01 --checkpoint best.parquet --test-sets perception,imagery \\
    --output outputs/eval/cross_domain/
"""

import guide

if __name__ == "__main__":
    guide.evaluate(__doc__)
