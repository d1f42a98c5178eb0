"""A worker process of the command. Imports no click: every worker would pay for it."""

import gc
import importlib
import multiprocessing
import os
import threading
from collections.abc import MutableSequence
from multiprocessing.connection import wait

from nsd_imagery.cli.lean import without_pandas
from nsd_imagery.progress import tell_in


def begin(shares: MutableSequence[float]) -> None:
    """Be ready to make pieces; and do not outlive the parent.

    Args:
        shares: Where to say how far each task is.
    """
    tell_in(shares)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()
    without_pandas()
    importlib.import_module("nsd_imagery.dataset.make")
    gc.freeze()  # what lives to the end needs no collecting there


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
