"""A lean process: for the command and its workers, which own their process; library code never calls this."""

import sys
from importlib.machinery import ModuleSpec

from nsd_imagery.cli import interrupts


class _NoPandas:
    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname == "pandas":
            msg = "a build needs no pandas"
            raise ModuleNotFoundError(msg, name=fullname)
        return None


def without_pandas() -> None:
    """Let pyarrow look for pandas in vain: it would import it at its first array, for a quarter of a second and 35 MB.

    Pandas itself can still be imported afterwards, and `to_pandas` looks for it again.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        with interrupts.held_back():  # pyarrow takes any error here for "not installed", and would swallow Ctrl-C
            import pyarrow as pa

            pa.array([0])
    finally:
        sys.meta_path.remove(finder)
