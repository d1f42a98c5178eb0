"""The columns of every table that this package writes: type, unit, meaning, and what stands where a value is absent.

An index holds null where a value is absent. Dataset rows hold `Column.absent` instead, because a null turns an integer
column into floats and breaks the default collate of a DataLoader.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from nsd_imagery.errors import DataError, shown

_ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "List(string)": pa.list_(pa.string()),
    "Image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
}
_RECIPE: Final = "nsd_imagery.recipe"
_ROWS: Final = "nsd_imagery.rows"

_TYPE_NAMES: Final = {arrow_type: name for name, arrow_type in _ARROW_TYPES.items()}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: The column's name.
        type: Its type as the datasets library spells it.
        meaning: One sentence for people.
        absent: What dataset rows hold where the index holds null; None if the value is never absent.
        unit: The unit, where there is one.
    """

    name: str
    type: str
    meaning: str
    absent: int | float | str | None = None
    unit: str = ""


TRIAL_COLUMNS: Final = (
    Column("trial_id", "int64", "unique over all subjects and experiments; decimal digits: experiment (1 nsd, 2 nsdimagery), subject, session (2), trial (4), epoch"),
    Column("subject", "string", "subj01 to subj08"),
    Column("session", "int32", "number of the scan session, 1-based as in the file name; session 1 exists in both experiments"),
    Column("trial_in_session", "int32", "from 0 over the trials of the session; both epochs of an attention trial share it"),
    Column("condition", "string", "imagery, vision, attention (nsdimagery) or perception (NSD core)"),
    Column("nsd_id", "int32", "0-based id of the NSD picture that was seen, attended or imagined", -1),
    Column("coco_id", "int32", "COCO id of that picture", -1),
    Column("caption", "string", "first COCO caption of the uncropped photograph", ""),
    Column("beta_path", "string", "the beta file, relative to the root"),
    Column("beta_index", "int32", "0-based volume in that file"),
    Column("repeat_index", "int32", "from 0 in order of presentation, within subject, condition, epoch and target (nsdimagery) or picture (NSD core)"),
    Column("is_valid", "bool", "the beta is there and not all zero (or NaN) in the brain"),
    Column("roi_mask_path", "string", "mask that the trial's manifest names, relative to the root", ""),
    Column("run_number", "int32", "number of the run in the session, 1-based (the RUN column)", -1),
    Column("snr_estimate", "float32", "signal-to-noise ratio that the trial's manifest names", float("nan")),
    Column("experiment", "string", "nsdimagery or nsd"),
    Column("run_name", "string", "visA, attA, imgA_1, ...", ""),
    Column("stimulus_set", "string", "A (simple), B (complex) or C (conceptual)", ""),
    Column("epoch", "string", "cue or detection, the two betas of an attention trial", ""),
    Column("target", "string", "the target's name in the pair list, without .png, or its word (a name's nsd28752 is the release's 1-based spelling)", ""),
    Column("stimulus", "string", "nsd28751 (0-based) for an NSD picture, else the target; the key into `stimuli` and embeddings"),
    Column("cue", "string", "the letter that was shown", ""),
    Column("cue_matches", "int8", "1 if `cue` is the letter of `target`, else 0", -1),
    Column("target_present", "int8", "attention: 1 if the target was in the picture stream, else 0", -1),
    Column("response", "int32", "button: imagery 1 vivid, 2 not vivid; vision 1 letter and target match, 2 mismatch; attention 1 target present, 2 absent; perception as BUTTON in responses.tsv", -1),
    Column("response_time", "float32", "RT: imagery and vision from the trial's onset; attention from the target's onset if it was present, else from the end of the picture stream; perception as RT in responses.tsv", float("nan"), "s"),
    Column("shared1000", "bool", "the picture is one of NSD's 1,000 shared pictures"),
    Column("is_shared", "bool", "the picture is one of the five imagined ones, and NSD core shows it to this subject"),
    Column("beta_version", "string", "fithrf_GLMdenoise_RR (b3) or fithrf (b2)"),
)  # fmt: skip
"""The columns of an index; dataset rows have these and `betas`."""

BETAS: Final = Column("betas", "float32", "one value a voxel of the ROI; column c is the voxel of row c of `-voxels`; z-scored unless the build says zscore none", unit="percent signal change, or sd")  # fmt: skip

_SHARED_BY_REPEATS = (
    "subject",
    "condition",
    "nsd_id",
    "coco_id",
    "caption",
    "is_valid",
    "experiment",
    "stimulus_set",
    "epoch",
    "target",
    "stimulus",
    "shared1000",
    "is_shared",
    "beta_version",
)
AVERAGE_COLUMNS: Final = tuple(column for column in TRIAL_COLUMNS if column.name in _SHARED_BY_REPEATS)
"""The columns of trials that all repeats share; averaged rows have these, `n_repeats` and `betas`."""

N_REPEATS: Final = Column("n_repeats", "int32", "valid rows that the mean is over")

VOXEL_COLUMNS: Final = (
    Column("column", "int32", "position in `betas`"),
    Column("i", "int32", "0-based voxel index along the volume's first axis"),
    Column("j", "int32", "along the second axis"),
    Column("k", "int32", "along the third axis"),
    Column("x", "float32", "position by the mask's affine", unit="mm"),
    Column("y", "float32", "position by the mask's affine", unit="mm"),
    Column("z", "float32", "position by the mask's affine", unit="mm"),
    Column("hemisphere", "string", "left, right, or empty where the release's lh. and rh. masks do not say"),
    Column("valid_nsdimagery", "bool", "the voxel has data in the NSD-Imagery session; null without the file"),
    Column("valid_nsd", "float32", "fraction of the NSD core sessions at hand with data; null without files"),
    Column("ncsnr_nsd", "float32", "noise ceiling signal-to-noise ratio of NSD core; null without the file"),
)
"""The fixed columns of `-voxels`; one string column an atlas follows, with the voxel's label in it."""

STATS_COLUMNS: Final = (
    Column("experiment", "string", "nsdimagery or nsd"),
    Column("session", "int32", "number of the scan session, 1-based"),
    Column("run_number", "int32", "number of the run, 1-based; -1 for a whole session"),
    Column("epoch", "string", "cue or detection in attention, else empty"),
    Column("n_trials", "int32", "valid rows that the two statistics are over"),
)
"""The scalar columns of `-stats`; `mean` and `sd` (ddof 1, percent signal change, float64) follow, one value a voxel."""

STIMULI_COLUMNS: Final = (
    Column("stimulus", "string", "as in trials: nsd28751 (0-based) for an NSD picture, else the target"),
    Column("stimulus_set", "string", "A (simple), B (complex) or C (conceptual)", ""),
    Column("target", "string", "the target's name, as in trials; a photograph that stood for a word of set C has none", ""),
    Column("cue", "string", "the target's own letter", ""),
    Column("nsd_id", "int32", "0-based id of the NSD picture", -1),
    Column("coco_id", "int32", "COCO id of that picture", -1),
    Column("caption", "string", "first COCO caption of the uncropped photograph", ""),
    Column("captions", "List(string)", "all its COCO captions, in the order of COCO's file; empty where there are none"),
    Column("image", "Image", "the picture as shown; null for words, and where the root does not hold it"),
)  # fmt: skip
"""The columns of `stimuli`: one row a target, and one a photograph that stood for a word of set C."""


def index_schema() -> pa.Schema:
    """The Arrow schema of an index: `TRIAL_COLUMNS`, nullable where a value may be absent."""
    return pa.schema(
        [
            pa.field(column.name, _ARROW_TYPES[column.type], nullable=column.absent is not None)
            for column in TRIAL_COLUMNS
        ]
    )


def trial_table(n_rows: int, **columns: Any) -> pa.Table:
    """An index table from columns by name: sequences of `n_rows` values, or one value for all rows.

    Columns that are not named are absent (null).

    Raises:
        DataError: A value does not fit its column, or a column that cannot be absent is.
        TypeError: A name that is no column.
    """
    schema = index_schema()
    unknown = sorted(set(columns) - set(schema.names))
    if unknown:
        msg = f"not columns of a trial: {', '.join(unknown)}"
        raise TypeError(msg)
    arrays: list[pa.Array] = []
    for field in schema:
        value = columns.get(field.name)
        whole = isinstance(value, Sequence | pa.Array) and not isinstance(value, str)
        try:
            array = pa.array(value, type=field.type) if whole else pa.repeat(pa.scalar(value, type=field.type), n_rows)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            msg = f"column {field.name}: {error}"
            raise DataError(msg) from error
        if array.null_count and not field.nullable:
            msg = f"column {field.name}: row {array.to_pylist().index(None)} has no value, but must"
            raise DataError(msg)
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)


def dataset_rows(index: pa.Table) -> pa.Table:
    """The trial columns of dataset rows: `index` with `Column.absent` in the place of nulls."""
    columns = [
        index[column.name]
        if column.absent is None
        else index[column.name].fill_null(pa.scalar(column.absent, _ARROW_TYPES[column.type]))
        for column in TRIAL_COLUMNS
    ]
    return pa.table([column.combine_chunks() for column in columns], schema=_flat_schema(TRIAL_COLUMNS))


def trial_schema(n_voxels: int, dtype: str) -> pa.Schema:
    """The Arrow schema of a trial config: the trial columns, then `betas`, a fixed-size list of `dtype`."""
    return _flat_schema(TRIAL_COLUMNS).append(_vector(BETAS.name, dtype, n_voxels))


def average_schema(n_voxels: int) -> pa.Schema:
    """The Arrow schema of averaged rows: `AVERAGE_COLUMNS`, `n_repeats`, then `betas` in float32."""
    return _flat_schema([*AVERAGE_COLUMNS, N_REPEATS]).append(_vector(BETAS.name, BETAS.type, n_voxels))


def stats_schema(n_voxels: int) -> pa.Schema:
    """The Arrow schema of a `-stats` config."""
    vectors = [_vector("mean", "float64", n_voxels), _vector("sd", "float64", n_voxels)]
    return pa.schema([*_flat_schema(STATS_COLUMNS), *vectors])


def stimuli_schema() -> pa.Schema:
    """The Arrow schema of the `stimuli` config."""
    return _flat_schema(STIMULI_COLUMNS)


def voxels_schema(atlases: Iterable[str]) -> pa.Schema:
    """The Arrow schema of a `-voxels` config with a label column for each of `atlases`."""
    return pa.schema([*_flat_schema(VOXEL_COLUMNS), *(pa.field(name, pa.string()) for name in atlases)])


def features_yaml(schema: pa.Schema) -> list[dict[str, Any]]:
    """The `features` entry of a dataset card for `schema`, as `datasets.Features` would write it.

    Raises:
        DataError: A column is of a type that this package does not write.
    """
    return [_feature_yaml(field) for field in schema]


def with_features(schema: pa.Schema) -> pa.Schema:
    """`schema` with the metadata by which the datasets library knows the features of an Arrow file."""
    features = {field.name: _feature_json(field.type) for field in schema}
    return _with_metadata(schema, "huggingface", {"info": {"features": features}})


def with_recipe(schema: pa.Schema, recipe: Mapping[str, Any] | None) -> pa.Schema:
    """`schema` with the metadata that says by which recipe its rows were made, where there is one."""
    return schema if recipe is None else _with_metadata(schema, _RECIPE, recipe)


def recipe_of(schema: pa.Schema) -> dict[str, Any] | None:
    """What `with_recipe` put there; None where there is none."""
    said = (schema.metadata or {}).get(_RECIPE.encode())
    return None if said is None else json.loads(said)


def with_recipe_of_betas(schema: pa.Schema, recipe: Mapping[str, Any], n_rows: int) -> pa.Schema:
    """`schema` with the recipe of so many rows at its field `betas`, where the datasets library does not drop it."""
    position = schema.get_field_index(BETAS.name)
    said = {_RECIPE: json.dumps(recipe), _ROWS: str(n_rows)}
    return schema.set(position, schema.field(position).with_metadata(said))


def recipe_of_betas(schema: pa.Schema, n_rows: int) -> dict[str, Any] | None:
    """What `with_recipe_of_betas` put there; None where there is none, or where it is of fewer rows than these."""
    said = schema.field(BETAS.name).metadata or {}
    is_of_all = n_rows <= int(said.get(_ROWS.encode(), -1))
    return json.loads(said.get(_RECIPE.encode(), "null")) if is_of_all else None


def _with_metadata(schema: pa.Schema, key: str, value: Mapping[str, Any]) -> pa.Schema:
    return schema.with_metadata({**(schema.metadata or {}), key: json.dumps(value)})


def _flat_schema(columns: Iterable[Column]) -> pa.Schema:
    return pa.schema([pa.field(column.name, _ARROW_TYPES[column.type]) for column in columns])


def _vector(name: str, dtype: str, length: int) -> pa.Field:
    return pa.field(name, pa.list_(_ARROW_TYPES[dtype], length))


def _feature_yaml(field: pa.Field) -> dict[str, Any]:
    if pa.types.is_fixed_size_list(field.type):
        return {
            "name": field.name,
            "list": _type_name(field.name, field.type.value_type),
            "length": field.type.list_size,
        }
    if pa.types.is_list(field.type):
        return {"name": field.name, "list": _type_name(field.name, field.type.value_type)}
    return {"name": field.name, "dtype": _type_name(field.name, field.type).lower()}


def _type_name(column: str, arrow_type: pa.DataType) -> str:
    if arrow_type not in _TYPE_NAMES:
        msg = f"column {shown(column)} is of Arrow type {shown(str(arrow_type))}, which nsd-imagery does not write"
        raise DataError(msg)
    return _TYPE_NAMES[arrow_type]


def _feature_json(arrow_type: pa.DataType) -> dict[str, Any]:
    if pa.types.is_fixed_size_list(arrow_type):
        return {
            "feature": _feature_json(arrow_type.value_type),
            "length": arrow_type.list_size,
            "_type": "List",
        }
    if pa.types.is_list(arrow_type):
        return {"feature": _feature_json(arrow_type.value_type), "_type": "List"}
    if pa.types.is_struct(arrow_type):
        return {"_type": "Image"}
    return {"dtype": _TYPE_NAMES[arrow_type], "_type": "Value"}
