"""Hostile files get nothing but this package's own errors out of any parser: a short run of `run.py`.

It runs in a process of its own, which forks one for each parser: pytest's has threads.
"""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RUN = Path(__file__).with_name("run.py")


def test_every_parser_of_outside_files_gives_a_result_or_an_error_of_ours() -> None:
    """Also for all files of `hostile.py` and all reproducers in corpus/."""
    run = subprocess.run([sys.executable, RUN, "--inputs", "60"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count(" 0 findings") == 32
