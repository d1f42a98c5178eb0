"""By which recipe the betas of rows were made, as far as the rows say.

A shard says it in its Arrow schema, whose metadata the datasets library drops when it opens one. It knows the file that
rows are mapped from, though, and of rows in memory it keeps what a field says until the column is written anew: what
`map` made of betas says no recipe, and must not. Of tables in memory it makes one, with the fields of the first: so a
field says of how many rows it speaks.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from datasets.table import ConcatenationTable, MemoryMappedTable, Table

from nsd_imagery.dataset.recipe import Recipe
from nsd_imagery.errors import UsageError
from nsd_imagery.rows.vectors import Rows, rows_of_table
from nsd_imagery.schema import BETAS, recipe_of, recipe_of_betas, with_recipe_of_betas


@dataclass(frozen=True)
class Said:
    """What a part of some rows says of its betas.

    Attributes:
        recipe: None where it says nothing.
        is_sure: Whether a shard says so. Parts of tables in memory that are put together may say what the first said.
        rows: The rows of the part, by their numbers from 0.
    """

    recipe: Recipe | None
    is_sure: bool
    rows: Rows


def said_of(dataset: Dataset) -> list[Said]:
    """What the betas of rows of trial configs, filtered or not, say, part by part; each row is in one part."""
    rows = rows_of_table(dataset)
    if rows is None:
        return [Said(None, is_sure=False, rows=np.arange(dataset.num_rows))]
    blocks = _blocks(dataset.data)
    of_row = np.searchsorted(np.cumsum([block.num_rows for block in blocks]), rows, side="right")
    return [Said(*_said_by(blocks[part]), rows=np.flatnonzero(of_row == part)) for part in np.unique(of_row).tolist()]


def the_recipe(dataset: Dataset) -> Recipe | None:
    """The recipe that all rows say; None where they say none or several."""
    recipes = {said.recipe for said in said_of(dataset)}
    return recipes.pop() if len(recipes) == 1 else None


def carrying(table: pa.Table, recipe: Recipe | None) -> pa.Table:
    """Rows for a dataset in memory that say their recipe, if there is one."""
    if recipe is None:
        return table
    return pa.Table.from_arrays(table.columns, schema=with_recipe_of_betas(table.schema, recipe.options, len(table)))


def _blocks(table: Table) -> list[Table]:
    """The tables that hold `betas`, one after the other."""
    parts = table.blocks if isinstance(table, ConcatenationTable) else [[table]]
    return [block for columns in parts for block in columns if BETAS.name in block.column_names]


def _said_by(block: Table) -> tuple[Recipe | None, bool]:
    with contextlib.suppress(ValueError):  # what is no JSON, or no number, says nothing
        if isinstance(block, MemoryMappedTable):
            recipe = _parsed(recipe_of(_schema_in(block.path)))
            return recipe, recipe is not None
        return _parsed(recipe_of_betas(block.schema, block.num_rows)), False
    return None, False


def _schema_in(path: str) -> pa.Schema:
    """The schema of the file that rows are mapped from; one that says nothing where it is gone."""
    try:
        with pa.OSFile(os.fsencode(path)) as file, pa.ipc.open_stream(file) as reader:
            return reader.schema
    except (OSError, pa.ArrowInvalid):
        return pa.schema([])


def _parsed(said: Mapping[str, Any] | None) -> Recipe | None:
    """The recipe; None where there is none, or one of another version, with options that are not known here."""
    if not isinstance(said, Mapping):
        return None
    with contextlib.suppress(TypeError, UsageError):
        return Recipe(**said)
    return None
