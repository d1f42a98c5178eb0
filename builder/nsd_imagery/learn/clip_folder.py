"""The folder of a CLIP model: the files that are read of it, and a copy of them in which nothing leads anywhere else.

Whoever wrote the folder is not trusted. Configs are read here, and what the transformers library gets to see of them is
what `clip_config` lets pass; weights are safetensors that lie in the folder itself. An entry of the folder may be a
link, as all are in the hub's cache: what it leads to is read, and hashed. A name that a file gives may not have a path.
"""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash

from nsd_imagery.errors import DataError, shown
from nsd_imagery.learn.clip_config import CONFIGS, Unsound, checked, printable, token, tokens
from nsd_imagery.links import without_content

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SPECIAL = "special_tokens_map.json"
_TOKENS = ("added_tokens.json", "merges.txt", _SPECIAL, "tokenizer.json", "vocab.json")
_BLOCK = 1 << 24
_MOST_TEXT = 1 << 26
"""Bytes of a file of configs or tokens; CLIP's own have less than 4 MB."""
_MOST_HEADER = 100_000_000
"""As the safetensors library has it."""
_ITEM_SIZES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}
_COUNTERS = {"I64": 8, "I32": 4}
"""Types of positions, which older models store beside their weights."""


def model_files(folder: Path) -> list[Path]:
    """The files that decide what a model in a folder gives, which are all that is read of it, in order of their names.

    Raises:
        DataError: One is missing or is no file, or the index of the weights names what is not in the folder itself.
    """
    try:
        return sorted(folder / name for name in _names(folder))
    except (Unsound, RecursionError) as error:
        raise unsound(folder, error) from error


def folder_name(folder: Path) -> str:
    """What stands for a model in a local folder: "folder:" and a hash of its files, wherever it lies.

    Raises:
        DataError: As of `model_files`.
    """
    digest = xxhash.xxh3_128()
    for path in model_files(folder):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return f"folder:{digest.hexdigest()}"


@contextmanager
def confined(folder: Path) -> Iterator[tuple[Path, Mapping[str, int]]]:
    """A temporary folder that stands for a model's: its configs as they were checked, and links to its weights.

    Yields:
        The folder, and how many numbers the weights hold, by the names of the tensors.

    Raises:
        DataError: The model is not sound, is no CLIP, or needs code of its own.
    """
    with tempfile.TemporaryDirectory(prefix="nsd-imagery-") as place:
        view, sizes = Path(place), {}
        try:
            for path in model_files(folder):
                if path.suffix == ".safetensors":
                    sizes |= _tensors(path)
                    (view / path.name).symlink_to(path.absolute())
                elif path.name in CONFIGS:
                    (view / path.name).write_text(json.dumps(checked(path.name, _object(path))), encoding="utf-8")
                elif path.suffix == ".json":
                    (view / path.name).write_text(json.dumps(_with_known_tokens(path)), encoding="utf-8")
                else:
                    (view / path.name).write_bytes(_contents(path))
        except (Unsound, RecursionError) as error:
            raise unsound(folder, error) from error
        yield view, sizes


def unsound(folder: Path, why: object) -> DataError:
    """The error of a folder that holds no model, as one printable line."""
    return DataError(printable(f"{folder}: holds no sound CLIP model with weights in safetensors ({why})"))


def _names(folder: Path) -> set[str]:
    weights = [_WEIGHTS] if _is_file(folder, _WEIGHTS) else _indexed(folder)
    for name in (_CONFIG, *weights):
        if not _is_file(folder, name):
            raise Unsound(f"it has no file {shown(name)}")
    return {name for name in (*CONFIGS, *_TOKENS) if _is_file(folder, name)}.union(weights)


def _is_file(folder: Path, name: str) -> bool:
    path = folder / name
    if said := without_content(path):
        raise Unsound(said)
    if path.is_file():
        return True
    if path.is_symlink() or path.exists():
        raise Unsound(f"{shown(name)} is no file")
    return False


def _indexed(folder: Path) -> list[str]:
    """The index of the weights, and the files that it names."""
    if not _is_file(folder, _INDEX):
        raise Unsound(f"it has neither {_WEIGHTS} nor {_INDEX}")
    files = _object(folder / _INDEX).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise Unsound(f"{_INDEX} has no weight_map")
    for name in files.values():
        if not isinstance(name, str) or not name.endswith(".safetensors"):
            raise Unsound(f"{_INDEX} names {shown(name)}, which is no safetensors file")
        if name != Path(name).name or "\\" in name or not name.isprintable():
            raise Unsound(f"{_INDEX} names {shown(name)}, which is no name of a file in the folder itself")
    return [_INDEX, *sorted(set(files.values()))]


def _with_known_tokens(path: Path) -> dict[str, Any]:
    """A file of tokens; of the tokenizer's own, whose other parts nest as its model needs it, the added ones."""
    value = _object(path)
    if path.name == _SPECIAL:
        return tokens(value)
    return {**value, "added_tokens": token(value["added_tokens"])} if "added_tokens" in value else value


def _contents(path: Path) -> bytes:
    with path.open("rb") as file:
        contents = file.read(_MOST_TEXT + 1)
    if len(contents) > _MOST_TEXT:
        raise Unsound(f"{path.name} has more than {_MOST_TEXT} bytes")
    return contents


def _object(path: Path) -> dict[str, Any]:
    return _parsed(_contents(path), path.name)


def _parsed(contents: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(contents)
    except (ValueError, RecursionError) as error:
        raise Unsound(f"{shown(name)} is no JSON") from error
    if not isinstance(value, dict):
        raise Unsound(f"{shown(name)} is no JSON object")
    return value


def _tensors(path: Path) -> dict[str, int]:
    """How many numbers each tensor of a file holds, all of which are there."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(_MOST_HEADER, size - 8):
            raise Unsound(f"{shown(path.name)} has no header of safetensors")
        header = _parsed(file.read(length), path.name)
    header.pop("__metadata__", None)
    sizes, n_bytes = {}, 0
    for name, tensor in header.items():
        sizes[name], more = _tensor(name, tensor, size - 8 - length)
        n_bytes += more
    if n_bytes != size - 8 - length:
        raise Unsound(f"the header of {shown(path.name)} tells of {n_bytes} bytes, and there are {size - 8 - length}")
    return sizes


def _tensor(name: str, tensor: object, most: int) -> tuple[int, int]:
    """How many numbers and bytes a tensor has."""
    match tensor:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(end)]}:
            item_sizes = _ITEM_SIZES | (_COUNTERS if name.endswith("position_ids") else {})
            if dtype not in item_sizes:
                raise Unsound(f"the weights {shown(name)} are {shown(dtype)}, and must be of {', '.join(_ITEM_SIZES)}")
            if all(type(side) is int and 0 <= side <= most for side in shape) and len(shape) <= 8:
                count = math.prod(shape)
                if 0 <= start <= end <= most and end - start == count * item_sizes[dtype]:
                    return count, end - start
    raise Unsound(f"the weights {shown(name)} have another size than their header tells")
