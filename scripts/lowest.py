"""Print what to install, with pip's -r, to run the tests with the lowest versions that pyproject.toml allows.

    lowest.py base        the package with torch, dask and evaluate, each library at its floor
    lowest.py clip        with torch and clip, whose floors exclude the base's of the hub's library
    lowest.py datasets    the versions of constraints.txt, but `datasets` at its floor

A floor that does not exist, or has no wheel for the oldest Python that the package allows, is one that pip refuses.
"""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = {"base": ["torch", "dask", "evaluate"], "clip": ["torch", "clip"], "datasets": ["torch", "dask", "clip"]}
TOOLS = {"build", "hatchling", "hypothesis", "nilearn", "pytest", "pytest-xdist", "scikit-learn"}
# The pins of these want newer libraries than the floors are, so that here they too are at their floor.
OLD_TOOLS = {"nilearn", "scikit-learn"}
# Where PyPI's torch is a CUDA build, the one of the floor is as well: several gigabytes. The pin is run instead.
NEVER_AT_FLOOR = {"torch"}


def versions(lines: list[str], operator: str) -> dict[str, str]:
    """The version after the operator by the library's name; the last line of a library is the one that counts."""
    requirements = [Requirement(line) for line in lines]
    parts = [(requirement.name, part) for requirement in requirements for part in requirement.specifier]
    return {name: part.version for name, part in parts if part.operator == operator}


def requirements(environment: str) -> list[str]:
    """What pip has to install, a line each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(line for name in EXTRAS[environment] for line in extras[name])]
    floors = versions(asked, ">=")
    pins = versions([line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1].isalpha()], "==")
    if environment == "datasets":
        chosen = pins | {"datasets": floors["datasets"]}
    else:
        tools = versions(extras["dev"], ">=")
        chosen = pins | {name: floors[name] for name in floors.keys() - NEVER_AT_FLOOR}
        chosen |= {name: tools[name] for name in OLD_TOOLS}
    lines = [f"{name}=={chosen[name]}" for name in sorted({*floors, *TOOLS})]
    return [f"-e .[{','.join(EXTRAS[environment])}]", *lines]


if __name__ == "__main__":
    if sys.argv[1:] not in [[name] for name in EXTRAS]:
        sys.exit(__doc__)
    print("\n".join(requirements(sys.argv[1])))
