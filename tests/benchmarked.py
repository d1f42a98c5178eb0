"""Scripts of benchmarks/ as modules: what is measured there with many draws is tested with few."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(FOLDER))  # by which scripts import one another


def benchmark(name: str) -> ModuleType:
    """The script `benchmarks/NAME.py`, loaded once."""
    if name in sys.modules:
        return sys.modules[name]
    path = FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
