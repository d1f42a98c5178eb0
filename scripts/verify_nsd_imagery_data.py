"""Check the files, labels and betas of a root: `nsd-imagery verify ROOT`.

python scripts/verify_nsd_imagery_data.py --cache-root cache/
"""

import guide

if __name__ == "__main__":
    options, others = guide.parsed(__doc__)
    guide.call("verify", options.cache_root, *others)
