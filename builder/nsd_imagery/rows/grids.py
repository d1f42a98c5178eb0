"""The grid of a subject's volumes, which rows of `-voxels` remember or their dataset folder does."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.volumes.grid import Grid

_SAID = "voxels of the grid "


def description(grid: Mapping[str, Any]) -> str:
    """What the info of rows of `-voxels` says, by which they remember their grid whatever is done to them.

    Args:
        grid: See `Grid.entry`.
    """
    return f"{_SAID}{json.dumps(grid)}"


def grid_of(voxels: Any) -> Grid | None:
    """The grid that rows of `-voxels` remember: those of `load`, of `restrict` and of `NSDImageryDataset`.

    None for others: `load_dataset` takes no description from a folder.
    """
    said = getattr(getattr(voxels, "info", None), "description", "")
    if not isinstance(said, str) or not said.startswith(_SAID):
        return None
    return Grid.of(json.loads(said.removeprefix(_SAID)))


def grids_of_folder(folder: Path, ijk: NDArray[Any], xyz: NDArray[Any]) -> list[Grid]:
    """The grids of a dataset folder on which voxels by (n, 3) indices and places in mm lie, each once."""
    said = [config.grid for config in open_manifest(folder).configs.values() if config.grid]
    grids = [Grid.of(entry) for number, entry in enumerate(said) if entry not in said[:number]]
    return [grid for grid in grids if grid.holds(np.asarray(ijk), xyz)]
