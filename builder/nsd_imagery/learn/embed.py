"""Image and text embeddings of the stimuli: one file for perception and imagery, made batch by batch."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from nsd_imagery.atomic import remove_partial
from nsd_imagery.dataset.stimuli import stimulus_rows
from nsd_imagery.embeddings import (
    Embedding,
    Key,
    pixels_digest,
    read_embeddings,
    text_digest,
    write_embeddings,
)
from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS, Experiment
from nsd_imagery.identity import Identity, identity, read_unchanged
from nsd_imagery.learn.clip_cache import changed_pictures, note_pictures, picture_identities
from nsd_imagery.learn.clip_model import Clip, open_clip
from nsd_imagery.links import is_there
from nsd_imagery.listing import visible
from nsd_imagery.locks import holding
from nsd_imagery.notebooks import barred
from nsd_imagery.progress import CountProgress
from nsd_imagery.sources.cache_files import embeddings_folder
from nsd_imagery.sources.pictures import open_stimuli
from nsd_imagery.sources.root import find_root
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.table import read_lines
from nsd_imagery.spelling import Subjects, the_choice

_EXPERIMENTS: dict[str, tuple[Experiment, ...] | None] = {
    "imagery": ("nsdimagery",),
    "perception": ("nsd",),
    "both": None,
}
MODES = tuple(_EXPERIMENTS)

PictureOf = Callable[[str], NDArray[np.uint8] | None]


@dataclass(frozen=True)
class Item:
    """A picture or a text to embed.

    Attributes:
        stimulus: The key.
        kind: "image" or "text".
        source: xxh3_128 of the pixels or the text.
        text: The text; pictures are read when they are needed.
    """

    stimulus: str
    kind: str
    source: str
    text: str = ""

    @property
    def key(self) -> Key:
        """Kind and stimulus."""
        return self.kind, self.stimulus


@barred("count")
def embed(
    root: Path | str | None = None,
    *,
    model: Path | str,
    revision: str | None = None,
    mode: str = "both",
    prompts: Path | str | None = None,
    subjects: Subjects | None = None,
    betas: str = BETA_VERSIONS[0],
    captions: Path | str | None = None,
    source: str | None = None,
    out: Path | str | None = None,
    batch_size: int = 64,
    device: str | None = None,
    progress: CountProgress | None = None,
) -> Path:
    """Embed the stimuli of a root with a CLIP model, or bring its file of embeddings up to date.

    Pictures: sets A and B, and NSD pictures, where the root has them. Texts: the first caption of NSD pictures, set C's
    words, and `prompts`. What is there already by the same model and of the same content is kept. A run that was
    stopped goes on behind its last batch, and gives the file that it would have given. One run at a time adds to the
    file of a model.

    Args:
        root: Folder with the release tree or the Guide's cache tree; default $NSD_CACHE_ROOT, else ./cache.
        model: A folder that `save_pretrained` wrote, or a name on the hub.
        revision: A commit, branch or tag of the hub; default: the newest.
        mode: Whose stimuli: "imagery" (NSD-Imagery with its vision and attention), "perception" (NSD core) or "both".
        prompts: A CSV file with columns stimulus and prompt: texts instead of captions, and where there is none.
        subjects: Names or numbers ("subj01", "sub-01", 1), several in a list or with commas; default: all that
            the root holds.
        betas: Beta version by which the sessions are found.
        captions: Folder of COCO's caption files; default: where the root has them, if it does.
        source: "release" or "cache", for a root that holds a subject in both.
        out: Where the file goes; default `<root>/clip_embeddings`.
        batch_size: Pictures or texts at a time.
        device: "cpu", "cuda", "cuda:1", "mps"; default: a GPU if there is one.
        progress: Called with embeddings done, embeddings in all, and what is made now.

    Returns:
        The file, Parquet with columns stimulus, kind ("image", "text") and embedding; `ClipCache` reads it.

    Raises:
        UsageError: An option that cannot be meant, or a prompt for a stimulus that is not there.
        MissingDataError: A file or the model is not there, or there is nothing to embed.
        DataError: A file is damaged, is replaced while it is read, or files contradict each other.
        BusyError: Another run adds to the same file.
        HubError: The hub cannot be reached.
        MissingExtraError: transformers is not installed.
    """
    mode = the_choice("mode", mode, MODES)
    if batch_size < 1:
        msg = f"batch_size is a number of pictures, not {batch_size}"
        raise UsageError(msg)
    found = find_root(root, betas, source)
    sessions = found.sessions(found.choose(subjects), _EXPERIMENTS[mode], captions)
    home = found.path
    texts = _texts(sessions, None if prompts is None else Path(prompts).expanduser())
    pictures = picture_identities(home)
    items = _items(home, texts)
    if not items:
        msg = f"{home}: there is nothing to embed for mode {mode}: it holds neither pictures nor texts of its trials"
        raise MissingDataError(msg)
    clip = open_clip(model, revision, device)
    folder = Path(out).expanduser() if out else embeddings_folder(home)
    with _locked(folder, clip):
        path = _file_of(folder, clip)
        known, before = _there(path, clip)
        kept = _still_right(home, path, known, before, texts)
        todo = [item for item in items if item.key not in kept or kept[item.key].source != item.source]
        parts = folder / f".{_short(clip)}.parts"
        if todo or len(kept) < len(before):
            for rows in _batches(home, todo, clip, parts, batch_size, progress):
                kept |= rows
            write_embeddings(path, clip.maker, kept)
            known = identity(path)
        shutil.rmtree(parts, ignore_errors=True)  # also what a run left that was killed behind its last batch
        if picture_identities(home) == pictures:
            note_pictures(path, known, pictures)
    return path


@contextmanager
def _locked(folder: Path, clip: Clip) -> Iterator[None]:
    """Hold the file of a model for one run, whatever its name is or will be."""

    def busy(holder: str) -> str:
        return f"{folder}: another embed by this model is writing here ({holder}); wait for it, or use another --out"

    with holding(folder / f".{_short(clip)}.lock", busy):
        remove_partial(folder)
        yield


def _texts(sessions: Sequence[Session], prompts: Path | None) -> dict[str, str]:
    """Every stimulus of the sessions' trials with its text, which is empty where there is none."""
    texts: dict[str, str] = {}
    for row in stimulus_rows(sessions):
        word = row["target"] if row["stimulus_set"] == "C" else None
        texts[row["stimulus"]] = row["caption"] or word or ""
    for session in sessions:
        if session.experiment == "nsd":
            rows = session.rows
            for stimulus, caption in zip(rows["stimulus"].to_pylist(), rows["caption"].to_pylist(), strict=True):
                texts[stimulus] = texts.get(stimulus) or caption or ""
    for line in read_lines(prompts, ",", ("stimulus", "prompt"), "prompts") if prompts else ():
        stimulus, prompt = line.text("stimulus"), line.text("prompt")
        if stimulus not in texts:
            raise UsageError(str(line.error("stimulus", "which is no stimulus of these trials")))
        if not prompt:
            raise line.error("prompt", "but must have a value")
        texts[stimulus] = prompt
    return texts


def _items(root: Path, texts: dict[str, str]) -> list[Item]:
    """Pictures, then texts, each in order of the stimulus."""
    found = [Item(name, "text", text_digest(text), text) for name, text in sorted(texts.items()) if text]
    with open_stimuli(root) as picture_of:
        pictures = ((name, picture_of(name)) for name in sorted(texts))
        images = [Item(name, "image", pixels_digest(picture)) for name, picture in pictures if picture is not None]
    return [*images, *found]


def _file_of(folder: Path, clip: Clip) -> Path:
    """The file of a model; it is found again if the folder of the model has another name now."""
    ending = f"-{_short(clip)}.parquet"
    return next(iter(visible(folder, f"*{ending}")), folder / f"{clip.label}{ending}")


def _short(clip: Clip) -> str:
    return clip.maker.digest[:12]


def _there(path: Path, clip: Clip) -> tuple[Identity, dict[Key, Embedding]]:
    """What the file holds already, and which file it was read from."""
    if not is_there(path):
        return [], {}
    (known,), rows = read_unchanged([path], lambda: _read(path, clip))
    return known, rows


def _still_right(
    root: Path, path: Path, known: Identity, before: dict[Key, Embedding], texts: dict[str, str]
) -> dict[Key, Embedding]:
    """Without those of pictures that are others now, and of texts that these trials no longer have."""
    if not before:
        return {}
    gone = {("image", name) for name in changed_pictures(root, path, known, before)}
    gone |= {("text", name) for name, text in texts.items() if not text}
    return {key: row for key, row in before.items() if key not in gone}


def _read(path: Path, clip: Clip) -> dict[Key, Embedding]:
    maker, rows = read_embeddings(path)
    if maker != clip.maker:
        msg = f"{path}: was made by {maker.model} {maker.revision}, not by this model: move it away"
        raise DataError(msg)
    return rows


def _batches(
    root: Path, items: Sequence[Item], clip: Clip, parts: Path, size: int, progress: CountProgress | None
) -> Iterator[dict[Key, Embedding]]:
    """The embeddings of each batch, from its part if an earlier run finished it; a batch is of one kind."""
    done = 0
    for kind, of_kind in groupby(items, lambda item: item.kind):
        left = list(of_kind)
        for start in range(0, len(left), size):
            batch = left[start : start + size]
            if progress:
                progress(done, len(items), kind)
            part = parts / f"{_batch_digest(batch)}.parquet"
            if not part.is_file():
                write_embeddings(part, clip.maker, _embedded(root, batch, clip))
            yield _of_part(part, batch, clip)
            done += len(batch)
    if progress:
        progress(done, len(items), "")


def _of_part(part: Path, batch: Sequence[Item], clip: Clip) -> dict[Key, Embedding]:
    rows = _read(part, clip)
    if {key: row.source for key, row in rows.items()} != {item.key: item.source for item in batch}:
        msg = f"{part}: holds embeddings of another batch: delete it, and run nsd-imagery embed again"
        raise DataError(msg)
    return rows


def _embedded(root: Path, batch: Sequence[Item], clip: Clip) -> dict[Key, Embedding]:
    if batch[0].kind == "text":
        vectors = clip.embed_texts([item.text for item in batch])
    else:
        with open_stimuli(root) as picture_of:  # closed before the model works, or its errors would be the file's
            pictures = [_picture(item, picture_of) for item in batch]
        vectors = clip.embed_pictures(pictures)
    return {item.key: Embedding(vector, item.source) for item, vector in zip(batch, vectors, strict=True)}


def _picture(item: Item, picture_of: PictureOf) -> NDArray[np.uint8]:
    picture = picture_of(item.stimulus)
    if picture is None or pixels_digest(picture) != item.source:
        msg = f"the picture of {item.stimulus} was changed while it was embedded: run nsd-imagery embed again"
        raise DataError(msg)
    return picture


def _batch_digest(batch: Sequence[Item]) -> str:
    return xxhash.xxh3_128_hexdigest(
        "\0".join(f"{item.kind}\0{item.stimulus}\0{item.source}" for item in batch).encode()
    )
