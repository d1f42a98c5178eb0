"""Pushes, each in a fork of its own: FOLDER, REPO and a file for what it says come on a line of standard input.

For each the id of its process is printed, and how that ended when it has: its exit status, or minus the signal.
"""

import os
import sys
import time
import warnings
from pathlib import Path

from nsd_imagery.errors import NSDImageryError
from nsd_imagery.share.send import push


def main() -> None:
    """Push until standard input ends."""
    time.sleep = lambda _: None  # between the tries of huggingface_hub
    warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
    for line in sys.stdin:
        folder, repo, said = line.rstrip("\n").split("\t")
        child = os.fork()
        if not child:
            os._exit(one(folder, repo, Path(said)))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def one(folder: str, repo: str, said: Path) -> int:
    """One push: 0 if it ended well, 1 with an error of ours, and what Python gives anything else."""
    try:
        push(folder, repo)
    except NSDImageryError as error:
        said.write_text(str(error))
        return 1
    return 0


if __name__ == "__main__":
    main()
