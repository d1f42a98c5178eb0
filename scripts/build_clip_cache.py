"""Embed the pictures and texts of a root's stimuli with a CLIP model: `nsd-imagery embed ROOT --model MODEL`.

python scripts/build_clip_cache.py --mode both
"""

import guide

if __name__ == "__main__":
    options, others = guide.parsed(__doc__, model="openai/clip-vit-large-patch14")
    guide.call("embed", options.cache_root, "--model", options.model, *others)
