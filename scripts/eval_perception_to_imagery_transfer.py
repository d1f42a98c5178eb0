"""Baselines from perception to vision and imagery, by ridge: `nsd-imagery evaluate DATASET --embeddings ROOT`.

python scripts/eval_perception_to_imagery_transfer.py --subject subj01 --output outputs/eval/baselines/
"""

import guide

if __name__ == "__main__":
    guide.evaluate(__doc__)
