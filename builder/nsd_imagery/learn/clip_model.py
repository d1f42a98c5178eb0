"""A CLIP model of the transformers library, from a local folder or the hub, as two functions."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.embeddings import Maker
from nsd_imagery.errors import (
    HubError,
    MissingDataError,
    MissingExtraError,
    NSDImageryError,
    UsageError,
    reason,
)
from nsd_imagery.extras import how_to_install
from nsd_imagery.identity import read_unchanged
from nsd_imagery.learn.clip_folder import confined, folder_name, model_files, unsound
from nsd_imagery.links import refuse_without_content

try:
    import torch
    import transformers
except ModuleNotFoundError as error:
    message = f"nsd-imagery embed needs torch and transformers: {how_to_install('clip')}"
    raise MissingExtraError(message) from error

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_HUB_FILES = ["*.json", "*.txt", "*.safetensors"]


@dataclass(frozen=True, eq=False)
class Clip:
    """A model.

    Attributes:
        maker: What its embeddings are made by.
        label: A short name, for file names.
        embed_pictures: (n, length) float32 from n pictures, (height, width, 3) uint8.
        embed_texts: (n, length) float32 from n texts; what is longer than the model takes is cut off.
    """

    maker: Maker
    label: str
    embed_pictures: Callable[[Sequence[NDArray[np.uint8]]], NDArray[np.float32]]
    embed_texts: Callable[[Sequence[str]], NDArray[np.float32]]


def open_clip(model: Path | str, revision: str | None = None, device: str | None = None) -> Clip:
    """Load a model; of a hub model, what is not there yet is downloaded.

    Weights are safetensors, never pickle; code that comes with a model is never run, nor is any hub asked for a folder.

    Args:
        model: A folder that `save_pretrained` wrote, or a name on the hub.
        revision: A commit, branch or tag of the hub; default: the newest.
        device: "cpu", "cuda", "cuda:1", "mps"; default: a GPU if there is one.

    Raises:
        UsageError: A revision of a folder, no such device, or no name of a model.
        MissingDataError: No such folder, or the hub has no such model or revision.
        DataError: The folder holds no CLIP model in safetensors, or one that needs code of its own, is damaged, gives
            numbers that are not finite, or is being replaced.
        HubError: The hub cannot be reached.
    """
    where = _device(device)
    folder, hub_name, commit = _find(model, revision)
    label = str(model) if commit else folder.resolve().name
    with _quiet():
        _, (name, (clip, processor, tokenizer)) = read_unchanged(
            model_files(folder), lambda: (hub_name or folder_name(folder), _load(folder))
        )
    clip = clip.to(where).eval()
    most = clip.config.text_config.max_position_embeddings
    n_tokens = clip.config.text_config.vocab_size
    preprocessing = {
        "image": {"processor": type(processor).__name__, **processor.to_dict()},
        "text": {"tokenizer": type(tokenizer).__name__, "max_length": most, "padding": "max_length"},
        "vector": "projected, not normalised",
    }

    @torch.inference_mode()
    def embed_pictures(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        inputs = processor(images=list(pictures), return_tensors="pt", input_data_format="channels_last")
        return _vectors(folder, clip.get_image_features(pixel_values=inputs["pixel_values"].to(where)))

    @torch.inference_mode()
    def embed_texts(texts: Sequence[str]) -> NDArray[np.float32]:
        # Always of full length, so that a text's vector does not depend on the others of its batch.
        inputs = tokenizer(list(texts), padding="max_length", truncation=True, max_length=most, return_tensors="pt")
        if not 0 <= int(inputs["input_ids"].min()) <= int(inputs["input_ids"].max()) < n_tokens:
            raise unsound(folder, "its tokenizer gives tokens that the model has no weights for")
        names = ("input_ids", "attention_mask")
        return _vectors(folder, clip.get_text_features(**{name: inputs[name].to(where) for name in names}))

    with _quiet(), _heeding(folder, folder):
        embed_pictures([np.zeros((16, 16, 3), np.uint8)])
        embed_texts(["a"])
    maker = Maker(name, commit, json.dumps(preprocessing, sort_keys=True, default=str))
    return Clip(maker, re.sub(r"[^\w.-]+", "--", label), embed_pictures, embed_texts)


def _device(device: str | None) -> torch.device:
    if device is None:
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        where = torch.device(device)
        torch.empty(1, device=where)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        msg = f"no device {device!r} here ({str(error).splitlines()[0]}); leave --device out, or say cpu"
        raise UsageError(msg) from error
    return where


def _find(model: Path | str, revision: str | None) -> tuple[Path, str, str]:
    """The folder of a model; its name and commit on the hub, empty for a folder of the user's."""
    folder = Path(model).expanduser()
    refuse_without_content(folder)
    if folder.is_dir():
        if revision is not None:
            msg = f"{model}: is a folder, which has no revision; leave --revision out"
            raise UsageError(msg)
        return folder, "", ""
    name = str(model)
    if not _HUB_NAME.fullmatch(name):
        msg = f"{model}: no such folder, and no name of a model on the hub, such as openai/clip-vit-large-patch14"
        raise MissingDataError(msg)
    found = _download(name, revision)
    return found, name, found.name


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # What the client went through on its way to an error is hundreds of lines in a notebook, and no news.
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_HUB_FILES, ignore_patterns="*/*"))
    except RevisionNotFoundError:
        msg = f"{name}: the hub has no revision {revision} of it"
        raise MissingDataError(msg) from None
    except RepositoryNotFoundError:
        msg = f"{name}: no such folder here and no such model on the hub (a private one needs: hf auth login)"
        raise MissingDataError(msg) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        msg = f"{name}: no such folder, and the hub cannot be reached for it ({str(error).splitlines()[0]}); try again"
        raise HubError(msg) from None


def _load(folder: Path) -> tuple[Any, Any, Any]:
    with confined(folder) as (view, numbers), _heeding(folder, view):
        config = transformers.CLIPConfig.from_pretrained(view, local_files_only=True)
        _must_fit(config, numbers)
        load: Any = transformers.CLIPModel.from_pretrained  # gives a pair, which its annotation does not say
        clip, told = load(
            view,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        if lacking := sorted(told["missing_keys"]):  # which the library would fill with random numbers
            raise ValueError(f"it lacks {len(lacking)} of its weights, such as {lacking[0]}")
        local = {"local_files_only": True, "trust_remote_code": False}
        processor = transformers.AutoImageProcessor.from_pretrained(view, backend="pil", **local)
        tokenizer = transformers.AutoTokenizer.from_pretrained(view, **local)
    return clip, processor, tokenizer


def _must_fit(config: Any, numbers: Mapping[str, int]) -> None:
    """A model of so many numbers is in the weights: so it takes no more memory than what is there to be read."""
    layers = config.text_config.num_hidden_layers + config.vision_config.num_hidden_layers
    if layers <= len(numbers):  # or it would take long to count
        with torch.device("meta"):
            n_numbers = sum(weights.numel() for weights in transformers.CLIPModel(config).parameters())
        if n_numbers <= sum(numbers.values()):
            return
    raise ValueError("config.json tells of a larger model than the weights are of")


@contextmanager
def _heeding(folder: Path, view: Path) -> Iterator[None]:
    """What the library makes of a folder that is not sound, as one error.

    Args:
        folder: Of the model.
        view: What the library knows it by.
    """
    try:
        yield
    except (NSDImageryError, MemoryError):
        raise
    except Exception as error:  # the tokenizers library raises no class of its own
        raise unsound(folder, reason(error).replace(str(view), str(folder))) from error


def _vectors(folder: Path, features: Any) -> NDArray[np.float32]:
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    vectors = tensor.float().cpu().numpy()
    if not np.isfinite(vectors).all():
        raise unsound(folder, "it gives embeddings that are not finite numbers: its weights are damaged")
    return vectors


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of the transformers library, which come even where there is no terminal, and no words of a folder's."""
    library = transformers.utils.logging
    shown, verbosity = library.is_progress_bar_enabled(), library.get_verbosity()
    library.disable_progress_bar()
    library.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        library.set_verbosity(verbosity)
        if shown:
            library.enable_progress_bar()
