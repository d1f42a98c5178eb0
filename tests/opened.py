"""Which files of a folder a call opens, and how often, seen in a process of its own."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

_SEEN = """
import json, os, sys
inside, report, code = sys.argv[1:]
seen = []
def note(event, args):
    if event == "open" and isinstance(args[0], str) and args[0].startswith(inside):
        seen.append(os.path.relpath(args[0], inside))
sys.addaudithook(note)
import nsd_imagery
exec(code)
with open(report, "w") as file:
    json.dump(seen, file)
"""


def opened(folder: Path, code: str, report: Path) -> Counter[str]:
    """How often `code`, which has `nsd_imagery`, opens each file in a folder, by path relative to it.

    What HDF5 and Arrow's reader of CSV open by themselves is not seen.
    """
    command = [sys.executable, "-c", _SEEN, f"{folder.resolve()}/", str(report), code]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    return Counter(json.loads(report.read_text()))
