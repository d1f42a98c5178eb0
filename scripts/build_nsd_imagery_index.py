"""Write the trial index of a root: `nsd-imagery index ROOT`.

python scripts/build_nsd_imagery_index.py --cache-root cache/
"""

import guide

if __name__ == "__main__":
    options, others = guide.parsed(__doc__)
    guide.call("index", options.cache_root, *others)
