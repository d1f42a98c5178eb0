"""What the configs of a CLIP model may say: sizes that a model can have, and nothing that names code or other files."""

import re
from typing import Any

from nsd_imagery.errors import shown

CONFIGS = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json")

_LONGEST = 4096
"""Of a side of a picture (pixels), and of any number by which pictures are made ready."""

_COUNTS = {
    "hidden_size": 1 << 16,
    "intermediate_size": 1 << 18,
    "num_hidden_layers": 1 << 10,
    "num_attention_heads": 1 << 10,
    "projection_dim": 1 << 16,
}
_TEXT_COUNTS = _COUNTS | {"vocab_size": 1 << 24, "max_position_embeddings": 1 << 13}
_VISION_COUNTS = _COUNTS | {"image_size": _LONGEST, "patch_size": _LONGEST, "num_channels": 3}
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_SIDES = {
    "text_config": _TEXT_COUNTS,
    "text_config_dict": _TEXT_COUNTS,
    "vision_config": _VISION_COUNTS,
    "vision_config_dict": _VISION_COUNTS,
}
_TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend")
_TOKENIZER_KEYS = {
    "add_prefix_space", "added_tokens_decoder", "additional_special_tokens", "clean_up_tokenization_spaces",
    "do_lower_case", "errors", "extra_special_tokens", "model_max_length", "padding_side", "tokenizer_class",
    "truncation_side",
}  # fmt: skip
_BY_NAME = ("added_tokens_decoder", "extra_special_tokens")
_TOKEN_KEYS = {"__type", "content", "id", "lstrip", "normalized", "rstrip", "single_word", "special"}


class Unsound(Exception):  # noqa: N818 (its folder gives it the name of an error)
    """What is wrong with a file of a model; never leaves `learn`."""


def printable(text: str) -> str:
    """A text without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def checked(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """What the transformers library gets to see of a config.

    Args:
        name: Of the file, one of CONFIGS.
        config: What it holds.

    Raises:
        Unsound: It needs code that comes with the model, is of no CLIP, or has sizes that no model has.
    """
    try:
        if _needs_code(config):
            raise Unsound(f"{name} has an auto_map: the model needs code of its own, which is never run")
        if name == "config.json":
            return _model(config)
        if name == "tokenizer_config.json":
            return _tokenizer(config)
        if name == "preprocessor_config.json":
            return _pictures(name, config)
        # What else a processor has, it has of the other configs.
        inner = config.get("image_processor")
        return {} if inner is None else {"image_processor": _pictures(name, _of_kind(name, inner, dict, "an object"))}
    except RecursionError as error:
        raise Unsound(f"{name} is too deep") from error


def _needs_code(value: object) -> bool:
    if isinstance(value, dict):
        return bool(value.get("auto_map")) or any(map(_needs_code, value.values()))
    return isinstance(value, list) and any(map(_needs_code, value))


def _model(config: dict[str, Any]) -> dict[str, Any]:
    """Of the model: its sizes. Other keys name weights, code for attention, ways to quantize, and outputs."""
    if config.get("model_type") != "clip":
        raise Unsound(f"config.json is of a model of type {shown(config.get('model_type'))}, not 'clip'")
    kept = {"model_type": "clip", **_counts("config.json", config, {"projection_dim": _COUNTS["projection_dim"]})}
    for side, most in _SIDES.items():
        if (inner := config.get(side)) is not None:
            kept[side] = _side(
                f"config.json, {side}", _of_kind("config.json", inner, dict, f"an object, for {side}"), most
            )
    return kept


def _side(where: str, config: dict[str, Any], most: dict[str, int]) -> dict[str, Any]:
    kept = _counts(where, config, most)
    for key in _TOKEN_IDS:
        if type(config.get(key)) is int:
            kept[key] = config[key]
    for key, kind, name in (("hidden_act", str, "a name"), ("layer_norm_eps", float, "a fraction")):
        if key in config:
            kept[key] = _of_kind(where, config[key], kind, f"{name}, for {key}")
    if {"image_size", "patch_size"} <= kept.keys() and not 1 <= kept["image_size"] // kept["patch_size"] <= 256:
        raise Unsound(f"{where}: no patches of {kept['patch_size']} in pictures of {kept['image_size']} pixels")
    return kept


def _counts(where: str, config: dict[str, Any], most: dict[str, int]) -> dict[str, Any]:
    for key in most.keys() & config.keys():
        if type(config[key]) is not int or not 1 <= config[key] <= most[key]:
            raise Unsound(f"{where}: {key} is {shown(config[key])}, not a number from 1 to {most[key]}")
    return {key: config[key] for key in most if key in config}


def _of_kind(where: str, value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise Unsound(f"{where}: {shown(value)} is not {name}")
    return value


def _tokenizer(config: dict[str, Any]) -> dict[str, Any]:
    """Of the tokenizer: its special tokens and its settings. Other keys name files."""
    if config.get("tokenizer_class", _TOKENIZERS[0]) not in _TOKENIZERS:
        raise Unsound(
            f"tokenizer_config.json: tokenizer_class is {shown(config['tokenizer_class'])}, not a CLIPTokenizer"
        )
    return tokens({key: value for key, value in config.items() if key in _TOKENIZER_KEYS or key.endswith("_token")})


def tokens(config: dict[str, Any]) -> dict[str, Any]:
    """Tokens by role, number or name, each with those settings alone that a library knows: it prints the others."""
    inner = {key: _by_name(value) for key, value in config.items() if key in _BY_NAME and isinstance(value, dict)}
    return {**_by_name(config), **inner}


def _by_name(config: dict[str, Any]) -> dict[str, Any]:
    return {key: token(value) for key, value in config.items()}


def token(value: Any) -> Any:
    """An added token, or a list of some; what is none is as it was."""
    if isinstance(value, dict):
        return {key: token(inner) for key, inner in value.items() if key in _TOKEN_KEYS}
    return [token(inner) for inner in value] if isinstance(value, list) else value


def _pictures(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Of the image processor: all, as it is part of what embeddings are made by, once its numbers can be meant."""
    for key in ("image_processor_type", "feature_extractor_type"):
        if key in config and not re.fullmatch(r"\w+", str(config[key])):
            raise Unsound(f"{name}: {key} is {shown(config[key])}, not the name of a class")
    for key, value in config.items():
        for number in _numbers(value):
            if not abs(number) <= _LONGEST or (key.endswith("size") and number < 1):  # not: NaN
                raise Unsound(f"{name}: {shown(key)} has {shown(number)}, which no picture needs")
    return {key: value for key, value in config.items() if key != "auto_map"}


def _numbers(value: object) -> list[int | float]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in _numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in _numbers(inner)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []
