"""What the package shows at its top: the same names to people, to Python and to type checkers, and at no cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nsd_imagery

WITHOUT_LOCKS = """
import os, signal, sys

class Windows:
    def find_spec(self, name, path=None, target=None):
        if name == "fcntl":
            raise ModuleNotFoundError("No module named 'fcntl'", name=name)

sys.meta_path.insert(0, Windows())
sys.modules.pop("fcntl", None)
"""

WINDOWS = f"{WITHOUT_LOCKS}del os.uname, os.getuid, signal.pthread_sigmask\n"


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def declared() -> dict[str, str]:
    """By name, the module from which type checkers are told that it comes."""
    tree = ast.parse(Path(nsd_imagery.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    assert all(alias.asname == alias.name for node in imports for alias in node.names)
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_type_checkers_are_told_of_the_names_that_there_are_and_of_no_other() -> None:
    names = declared()
    assert sorted(names) == nsd_imagery.__all__
    assert dir(nsd_imagery) == sorted(["__version__", *nsd_imagery.__all__])
    assert "errors" in dir(nsd_imagery)
    homes = {name: home for name, home in names.items() if home != "nsd_imagery"}
    assert homes == nsd_imagery._HOMES


def test_importing_the_package_imports_nothing_else_of_it_and_errors_come_when_they_are_named() -> None:
    done = python(
        "import sys, nsd_imagery\n"
        "ours = lambda: sorted(name for name in sys.modules if name.startswith('nsd_imagery'))\n"
        "print(ours(), nsd_imagery.errors.DataError.__module__, ours(), 'numpy' in sys.modules)"
    )
    assert done.stdout == "['nsd_imagery'] nsd_imagery.errors ['nsd_imagery', 'nsd_imagery.errors'] False\n", (
        done.stderr
    )


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'nsd_imagery' has no attribute 'biuld'"):
        _ = nsd_imagery.biuld


@pytest.mark.parametrize("arguments", [["--help"], ["index", "release"], ["build", "release"], ["info", "nowhere"]])
def test_without_file_locks_the_command_says_in_one_line_what_it_needs(arguments: list[str]) -> None:
    done = python(WINDOWS + "from nsd_imagery.cli import main; main()", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nsd-imagery: nsd-imagery needs Linux or macOS; on Windows, ")
    assert "WSL" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_without_file_locks_every_public_name_is_there_or_says_what_it_needs() -> None:
    done = python(
        WITHOUT_LOCKS + "import nsd_imagery\n"
        "for name in nsd_imagery.__all__:\n"
        "    try:\n"
        "        getattr(nsd_imagery, name)\n"
        "    except nsd_imagery.errors.PlatformError as error:\n"
        "        assert isinstance(error, ImportError) and 'WSL' in str(error)\n"
        "        print(name)\n"
    )
    assert done.returncode == 0, done.stderr
    assert {"build", "index", "load", "synth", "verify"} <= set(done.stdout.split())
