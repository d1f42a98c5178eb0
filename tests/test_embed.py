"""`embed` and `ClipCache` on a tiny CLIP model: the true code of transformers, without a network."""

import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

import nsd_imagery
from clip import DIMENSIONS, LENGTH, save_tiny_clip
from hub import Hub
from nsd_imagery import ClipCache
from nsd_imagery.embeddings import Embedding, Key, Maker, read_embeddings, write_embeddings
from nsd_imagery.errors import BusyError, DataError, HubError, MissingDataError, MissingEmbeddingError, UsageError
from nsd_imagery.learn import clip_cache, clip_model
from nsd_imagery.learn import embed as embed_module
from nsd_imagery.learn.clip_model import Clip
from nsd_imagery.learn.embed import PictureOf

pytestmark = pytest.mark.slow

WORDS = {"stripes", "zebra", "mammal", "yellow", "banana", "fruit"}
TARGETS = Path("nsddata/experiments/nsdimagery/rawtargetimages")
PICTURES = Path("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5")
PICTURE = TARGETS / "setB" / "shared0385_nsd28752.png"
OTHER_PICTURE = r"other pictures of nsd28751 than .* run again: nsd-imagery embed"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


@pytest.fixture(scope="module")
def made(core_release: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of all stimuli of a root with perception. Not to be changed."""
    return nsd_imagery.embed(core_release, model=model, out=tmp_path_factory.mktemp("made"), device="cpu")


@pytest.fixture
def embed(model: Path, tmp_path: Path) -> Callable[..., Path]:
    def embed(root: Path, **options: Any) -> Path:
        return nsd_imagery.embed(root, **{"model": model, "out": tmp_path / "out", "device": "cpu", **options})

    return embed


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures or texts went through the model, batch by batch."""
    counts: list[int] = []
    open_clip = embed_module.open_clip

    def counting(*arguments: Any) -> Clip:
        clip = open_clip(*arguments)

        def counted(of: Callable[[Any], Any]) -> Callable[[Any], Any]:
            return lambda batch: counts.append(len(batch)) or of(batch)

        return Clip(clip.maker, clip.label, counted(clip.embed_pictures), counted(clip.embed_texts))

    monkeypatch.setattr(embed_module, "open_clip", counting)
    return counts


def keys(path: Path) -> dict[str, set[str]]:
    table = pq.read_table(path)
    pairs = list(zip(table["kind"].to_pylist(), table["stimulus"].to_pylist(), strict=True))
    assert pairs == sorted(set(pairs))
    return {kind: {stimulus for of, stimulus in pairs if of == kind} for kind in ("image", "text")}


def stimuli_of(indices: Path, experiment: str) -> tuple[set[str], set[str]]:
    """Those of an index, and those of them that have a caption."""
    rows = pq.read_table(indices / experiment / "subj01.parquet").to_pandas()
    return set(rows["stimulus"]), set(rows["stimulus"][rows["caption"].notna()])


def replace_file(path: Path, change: Callable[[Path], object]) -> None:
    """Change a file that others may be linked to, at another time than before."""
    contents, stat = path.read_bytes(), path.stat()
    path.unlink()
    path.write_bytes(contents)
    change(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))


def turn_round(path: Path) -> None:
    with Image.open(path) as image:
        turned = image.rotate(180)
    turned.save(path)


def test_vectors_are_those_of_transformers_for_the_pictures_and_texts_of_the_release(
    core_release: Path, model: Path, made: Path
) -> None:
    clip = CLIPModel.from_pretrained(model)
    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    tokenizer = AutoTokenizer.from_pretrained(model)
    images, texts = (ClipCache(core_release, kind=kind, folder=made.parent) for kind in ("image", "text"))
    stimuli = {row["stimulus"]: row for row in built_stimuli(core_release, made)}
    with h5py.File(core_release / PICTURES) as file:
        perceived = next(name for name in images if name not in stimuli)
        brick = Image.fromarray(file["imgBrick"][int(perceived[3:])])
    for name, picture in ((perceived, brick), *((name, row["image"]) for name, row in stimuli.items() if row["image"])):
        pixels = processor(images=picture.convert("RGB"), return_tensors="pt")
        with torch.inference_mode():
            expected = projected(clip.get_image_features(**pixels))
        np.testing.assert_allclose(images[name], expected, rtol=1e-4, atol=1e-6)
    for name in ("zebra", "nsd28751"):
        text = stimuli[name]["caption"] or name
        tokens = tokenizer([text], truncation=True, max_length=LENGTH, return_tensors="pt")
        with torch.inference_mode():
            expected = projected(clip.get_text_features(tokens["input_ids"], tokens["attention_mask"]))
        np.testing.assert_allclose(texts[name], expected, rtol=1e-4, atol=1e-6)
    assert images["nsd28751"].shape == (DIMENSIONS,)


def projected(features: Any) -> np.ndarray:
    return features.pooler_output[0].numpy()


def built_stimuli(root: Path, made: Path) -> list[dict[str, Any]]:
    folder = nsd_imagery.build(root, made.parent / "nsd_imagery", conditions=["vision"], roi="V1")
    return list(nsd_imagery.load(folder, "stimuli", "train"))


def test_the_file_names_model_revision_preprocessing_and_sources(made: Path, model: Path) -> None:
    table = pq.read_table(made)
    assert table.schema.names == ["stimulus", "kind", "embedding"]
    assert table.schema.field("embedding").type.value_type == pa.float32()
    said = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    assert said["model"].startswith("folder:")
    assert said["revision"] == ""
    assert json.loads(said["preprocessing"])["image"]["crop_size"] == {"height": 32, "width": 32}
    assert len(json.loads(said["sources"])) == table.num_rows
    assert len(said["source_hash"]) == 32
    assert made.name.startswith(f"{model.name}-")
    assert not [path for path in made.parent.iterdir() if path.suffix == ".parts"]


def test_mode_says_whose_stimuli_and_both_experiments_share_a_vector(
    core_release: Path, made: Path, embed: Callable[..., Path], tmp_path: Path
) -> None:
    nsd_imagery.index(core_release, out=tmp_path / "indices")
    (imagined, _), (seen, captioned_seen) = (
        stimuli_of(tmp_path / "indices", experiment) for experiment in ("imagery", "perception")
    )
    captioned = captioned_seen | stimuli_of(tmp_path / "indices", "imagery")[1]
    assert len(seen - captioned) > 0
    words = imagined & WORDS
    assert len(words) == 6
    of_both = keys(made)
    assert of_both["image"] == (imagined | seen) - words
    assert of_both["text"] == captioned | words
    of_imagery = embed(core_release, mode="imagery", out=tmp_path / "imagery")
    assert keys(of_imagery)["image"] == imagined - words
    of_perception = embed(core_release, mode="perception", out=tmp_path / "perception")
    assert keys(of_perception) == {"image": seen, "text": captioned_seen}
    caches = [ClipCache(core_release, folder=path.parent) for path in (of_imagery, of_perception)]
    assert caches[0]["nsd28751"] == pytest.approx(caches[1]["nsd28751"], rel=1e-5)
    # One file for both: what is there by then stays.
    grown = embed(core_release, mode="imagery", out=of_perception.parent)
    assert grown == of_perception
    assert keys(grown) == of_both


@pytest.mark.parametrize("stop_after", [0, 1, 4])
def test_an_interrupted_run_goes_on_without_computing_again_and_gives_the_same_file(
    release: Path, embed: Callable[..., Path], tmp_path: Path, computed: list[int], stop_after: int
) -> None:
    whole = embed(release, batch_size=16, out=tmp_path / "whole")
    batches = computed.copy()
    assert sum(batches) == pq.read_metadata(whole).num_rows

    class Stopped(BaseException):
        pass

    def stop(done: int, total: int, kind: str) -> None:
        if len(computed) >= stop_after:
            raise Stopped

    computed.clear()
    with pytest.raises(Stopped):
        embed(release, batch_size=16, progress=stop)
    assert computed == batches[:stop_after]
    assert not list((tmp_path / "out").glob("*.parquet"))
    path = embed(release, batch_size=16)
    assert computed == batches
    assert path.read_bytes() == whole.read_bytes()
    computed.clear()
    assert embed(release, batch_size=16).read_bytes() == whole.read_bytes()
    assert computed == []


def test_a_killed_run_goes_on(release: Path, model: Path, embed: Callable[..., Path], tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys, nsd_imagery
        root, model, out = sys.argv[1:]
        def kill(done, total, kind):
            if done >= 16:
                os.kill(os.getpid(), signal.SIGKILL)
        nsd_imagery.embed(root, model=model, out=out, device="cpu", batch_size=16, progress=kill)
    """
    command = [sys.executable, "-c", code, str(release), str(model), str(tmp_path / "out")]
    assert subprocess.run(command, check=False).returncode == -9
    assert list((tmp_path / "out").glob(".*.parts/*.parquet"))
    (tmp_path / "out" / ".partial-0123456789abcdef").touch()  # what it would leave while it writes the file itself
    path = embed(release, batch_size=16)
    assert path.read_bytes() == embed(release, batch_size=16, out=tmp_path / "whole").read_bytes()
    assert not [*(tmp_path / "out").glob(".*.parts"), *(tmp_path / "out").glob(".partial-*")]


def test_a_cache_opens_what_embed_gives(
    own_release: Path, core_release: Path, embed: Callable[..., Path], made: Path
) -> None:
    own = embed(own_release, out=None)
    given, found = nsd_imagery.ClipCache(own), nsd_imagery.ClipCache(own_release)
    assert (given.path, given.maker, set(given)) == (own, found.maker, set(found))
    assert nsd_imagery.ClipCache(core_release, folder=made).path == made


def test_of_two_at_once_the_second_is_refused_and_adds_to_what_the_first_wrote_when_it_is_run_again(
    core_release: Path, made: Path, model: Path, embed: Callable[..., Path], tmp_path: Path
) -> None:
    code = """if True:
        import sys, nsd_imagery
        root, model, out = sys.argv[1:]
        def wait(done, total, kind):
            if done == total:
                print("all but written", flush=True)
                input()
        nsd_imagery.embed(root, model=model, out=out, device="cpu", mode="imagery", progress=wait)
    """
    command = [sys.executable, "-c", code, str(core_release), str(model), str(tmp_path / "out")]
    renamed = shutil.copytree(model, tmp_path / "renamed")  # it is the same model, and writes to the same file
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "all but written\n"
        message = rf"out: another embed by this model is writing here \(process {first.pid} on .*\); wait for it, or"
        with pytest.raises(BusyError, match=message):
            embed(core_release, model=renamed, mode="perception")
        first.communicate("\n")
    assert first.returncode == 0
    assert keys(embed(core_release, model=renamed, mode="perception")) == keys(made)


def test_a_part_that_is_gone_or_is_of_another_batch_is_an_error(
    release: Path, embed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removed_meanwhile(path: Path, *arguments: Any) -> None:
        write_embeddings(path, *arguments)
        if len(list(path.parent.glob("*.parquet"))) == 2:
            path.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(embed_module, "write_embeddings", removed_meanwhile)
        with pytest.raises(MissingDataError, match=r"parquet: was removed while it was needed: run nsd-imagery embed"):
            embed(release, batch_size=8)
    (part,) = tmp_path.glob("out/.*.parts/*.parquet")
    contents = part.read_bytes()
    path = embed(release, batch_size=8)
    whole = path.read_bytes()
    path.unlink()
    part.parent.mkdir()
    part.write_bytes(contents)
    assert embed(release, batch_size=8).read_bytes() == whole
    path.unlink()
    part.parent.mkdir()
    write_embeddings(part, *reversed_sources(contents, tmp_path))
    with pytest.raises(DataError, match=r"holds embeddings of another batch: delete it, and run nsd-imagery embed"):
        embed(release, batch_size=8)


def reversed_sources(contents: bytes, folder: Path) -> tuple[Maker, dict[Key, Embedding]]:
    """The rows of a file, each as if it was made of the picture of another."""
    (folder / "file.parquet").write_bytes(contents)
    maker, rows = read_embeddings(folder / "file.parquet")
    others = [row.source for row in rows.values()][::-1]
    return maker, {key: replace(row, source=other) for (key, row), other in zip(rows.items(), others, strict=True)}


def test_another_model_has_a_file_of_its_own_and_is_never_served(
    release: Path, model: Path, embed: Callable[..., Path], tmp_path: Path
) -> None:
    other = save_tiny_clip(tmp_path / "other", seed=1)
    one, two = embed(release, mode="imagery"), embed(release, mode="imagery", model=other)
    assert one != two
    caches = [ClipCache(release, folder=tmp_path / "out", model=folder) for folder in (model, other)]
    assert [cache.path for cache in caches] == [one, two]
    assert not np.allclose(caches[0]["nsd28751"], caches[1]["nsd28751"])
    with pytest.raises(UsageError, match="say which embeddings"):
        ClipCache(release, folder=tmp_path / "out")
    # The same model in a folder of another name is the same model; with other weights under its name it is not.
    moved = Path(shutil.copytree(model, tmp_path / "moved"))
    assert embed(release, mode="imagery", model=moved) == one
    assert ClipCache(release, folder=tmp_path / "out", model=moved).path == one
    shutil.copy(other / "model.safetensors", moved)
    config = json.loads((moved / "preprocessor_config.json").read_text())
    (moved / "preprocessor_config.json").write_text(json.dumps({**config, "image_mean": [0, 0, 0]}))
    with pytest.raises(MissingDataError, match="no embeddings by model"):
        ClipCache(release, folder=tmp_path / "out", model=moved)
    assert embed(release, mode="imagery", model=moved) not in (one, two)


def test_weights_that_are_replaced_while_they_are_loaded_are_never_taken_for_the_ones_before(
    release: Path, model: Path, embed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = save_tiny_clip(tmp_path / "other", seed=1)
    changing = Path(shutil.copytree(model, tmp_path / "changing"))
    load = clip_model._load

    def replaced_before(folder: Path) -> Any:
        if not folder.samefile(other):
            (other / "model.safetensors").replace(folder / "model.safetensors")
            monkeypatch.setattr(clip_model, "_load", load)
        return load(folder)

    monkeypatch.setattr(clip_model, "_load", replaced_before)
    made = embed(release, mode="imagery", model=changing)
    assert ClipCache(release, folder=tmp_path / "out", model=changing).path == made
    with pytest.raises(MissingDataError, match="no embeddings by model"):
        ClipCache(release, folder=tmp_path / "out", model=model)


def test_other_pictures_are_never_served_and_embedded_anew_alone(
    own_release: Path, embed: Callable[..., Path], tmp_path: Path, computed: list[int]
) -> None:
    path = embed(own_release)
    before = dict(ClipCache(own_release, folder=path.parent))
    computed.clear()
    replace_file(own_release / PICTURE, turn_round)
    with pytest.raises(DataError, match=OTHER_PICTURE):
        ClipCache(own_release, folder=path.parent)
    assert len(ClipCache(own_release, kind="text", folder=path.parent))
    embed(own_release)
    assert computed == [1]
    after = ClipCache(own_release, folder=path.parent)
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {"nsd28751"}


def test_a_picture_that_an_earlier_run_embedded_and_this_one_does_not_ask_for_is_not_served_either(
    own_core_release: Path, embed: Callable[..., Path]
) -> None:
    path = embed(own_core_release, mode="perception")
    shown = sorted(keys(path)["image"] - {"nsd28751"})[0]

    def change(file: Path) -> None:
        with h5py.File(file, "r+") as pictures:
            pictures["imgBrick"][int(shown[3:])] = 7

    replace_file(own_core_release / PICTURES, change)
    with pytest.raises(DataError, match=f"other pictures of {shown} than"):
        ClipCache(own_core_release, folder=path.parent)
    embed(own_core_release, mode="imagery")
    cache = ClipCache(own_core_release, folder=path.parent)
    assert shown not in cache
    assert "nsd28751" in cache


def test_pictures_that_only_have_another_date_are_right(own_release: Path, embed: Callable[..., Path]) -> None:
    path = embed(own_release)
    replace_file(own_release / TARGETS / "setB" / "shared0385_nsd28752.png", lambda _: None)
    assert "nsd28751" in ClipCache(own_release, folder=path.parent)


def test_a_picture_that_is_replaced_while_others_are_embedded_is_never_taken_for_the_one_before(
    own_release: Path, embed: Callable[..., Path], computed: list[int]
) -> None:
    def turn_meanwhile(done: int, total: int, kind: str) -> None:
        if done == total:
            replace_file(own_release / PICTURE, turn_round)

    path = embed(own_release, progress=turn_meanwhile)
    for _ in range(2):
        with pytest.raises(DataError, match=OTHER_PICTURE):
            ClipCache(own_release, folder=path.parent)
    computed.clear()
    embed(own_release)
    assert computed == [1]
    assert "nsd28751" in ClipCache(own_release, folder=path.parent)


def test_a_picture_that_is_replaced_while_it_is_compared_is_never_taken_for_the_one_before(
    own_release: Path, embed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = embed(own_release)
    note_file(path).unlink()
    open_stimuli = clip_cache.open_stimuli

    @contextmanager
    def turn_meanwhile(root: Path) -> Iterator[PictureOf]:
        with open_stimuli(root) as picture_of:
            yield picture_of
        replace_file(own_release / PICTURE, turn_round)
        monkeypatch.setattr(clip_cache, "open_stimuli", open_stimuli)

    monkeypatch.setattr(clip_cache, "open_stimuli", turn_meanwhile)
    for _ in range(2):
        with pytest.raises(DataError, match=OTHER_PICTURE):
            ClipCache(own_release, folder=path.parent)


@pytest.mark.parametrize("in_place", [False, True])
def test_another_picture_of_the_same_size_and_time_is_never_taken_for_the_one_before(
    own_release: Path, embed: Callable[..., Path], tmp_path: Path, in_place: bool
) -> None:
    picture = own_release / PICTURE
    with Image.open(picture) as image:
        one, other = image.copy(), image.rotate(180)
    one.save(tmp_path / "one.png", compress_level=0)
    other.save(tmp_path / "other.png", compress_level=0)
    (tmp_path / "one.png").replace(picture)
    path = embed(own_release)
    assert len(ClipCache(own_release, folder=path.parent))
    before = picture.stat()
    if in_place:
        picture.write_bytes((tmp_path / "other.png").read_bytes())
    else:
        (tmp_path / "other.png").replace(picture)
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (picture.stat().st_size, picture.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(DataError, match=OTHER_PICTURE):
        ClipCache(own_release, folder=path.parent)


def test_another_file_of_embeddings_of_the_same_size_and_time_is_compared_with_the_pictures(
    own_release: Path, embed: Callable[..., Path], tmp_path: Path
) -> None:
    path = embed(own_release)
    before = path.stat()
    maker, rows = read_embeddings(path)
    key = ("image", "nsd28751")
    write_embeddings(path, maker, {**rows, key: replace(rows[key], source=rows[key].source[::-1])})
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(DataError, match=OTHER_PICTURE):
        ClipCache(own_release, folder=path.parent)


def test_embeddings_that_are_made_anew_while_they_are_read_are_the_new_ones(
    own_release: Path, embed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = embed(own_release)
    before = ClipCache(own_release, folder=path.parent)["nsd28751"]

    def embed_meanwhile(path: Path) -> tuple[Maker, dict[Key, Embedding]]:
        found = read_embeddings(path)
        monkeypatch.setattr(clip_cache, "read_embeddings", read_embeddings)
        replace_file(own_release / PICTURE, turn_round)
        embed(own_release)
        return found

    monkeypatch.setattr(clip_cache, "read_embeddings", embed_meanwhile)
    now = ClipCache(own_release, folder=path.parent)["nsd28751"]
    assert not np.allclose(now, before)
    np.testing.assert_array_equal(now, ClipCache(own_release, folder=path.parent)["nsd28751"])


def note_file(path: Path) -> Path:
    (note,) = path.parent.glob(".*.json")
    return note


def test_pictures_that_nobody_touched_are_not_looked_at_again(
    own_release: Path, embed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = embed(own_release)
    monkeypatch.setattr(clip_cache, "open_stimuli", None)
    assert len(ClipCache(own_release, folder=path.parent))
    replace_file(path, lambda _: None)
    monkeypatch.undo()
    assert len(ClipCache(own_release, folder=path.parent))
    monkeypatch.setattr(clip_cache, "open_stimuli", None)
    assert len(ClipCache(own_release, folder=path.parent))


def test_prompts_stand_for_captions_and_where_there_is_none(
    release: Path, embed: Callable[..., Path], tmp_path: Path, computed: list[int]
) -> None:
    prompts, bar = tmp_path / "prompts.csv", "bar_090.0deg_450L_43W"
    path = embed(release)
    before = ClipCache(release, kind="text", folder=path.parent)
    assert bar not in before
    prompts.write_text(f'stimulus,prompt\n{bar},a vertical bar\nzebra,"a zebra, striped"\n')
    computed.clear()
    embed(release, prompts=prompts)
    assert computed == [2]
    after = ClipCache(release, kind="text", folder=path.parent)
    assert set(after) - set(before) == {bar}
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {"zebra"}
    embed(release)  # texts are those of the last run
    again = ClipCache(release, kind="text", folder=path.parent)
    assert set(again) == set(before)
    np.testing.assert_allclose(again["zebra"], before["zebra"], rtol=1e-5)
    for text, message in (
        ("stimulus,prompt\nunicorn,a unicorn\n", "line 2: stimulus is 'unicorn'"),
        ("stimulus,prompt\nzebra,\n", "line 2: prompt is ''"),
        ("stimulus\nzebra\n", "missing: prompt"),
    ):
        prompts.write_text(text)
        with pytest.raises((UsageError, DataError), match=message):
            embed(release, prompts=prompts)


def test_a_vector_is_never_made_up(release: Path, core_dataset: Path, embed: Callable[..., Path]) -> None:
    cache = ClipCache(release, folder=embed(release, mode="imagery").parent)
    assert not WORDS & set(cache)
    with pytest.raises(MissingEmbeddingError, match=r"no image embedding of zebra; .*filter\(lambda stimulus"):
        cache["zebra"]
    with pytest.raises(KeyError):
        cache["zebra"]
    with pytest.raises(MissingEmbeddingError, match="of fruit, zebra;"):
        cache.stack(["nsd28751", "zebra", "fruit", "zebra"])
    assert cache.get("zebra") is None
    with pytest.raises(UsageError, match="clip_cache has no vector of banana, fruit, mammal"):
        nsd_imagery.NSDImageryDataset(core_dataset, condition="imagery", clip_cache=cache)


def test_without_the_pictures_of_nsd_there_are_none_of_them(
    own_release: Path, embed: Callable[..., Path], tmp_path: Path
) -> None:
    whole = embed(own_release, out=tmp_path / "whole")
    if (own_release / PICTURES).exists():
        (own_release / PICTURES).unlink()
    path = embed(own_release)
    assert len(keys(path)["image"]) == 12
    assert len(ClipCache(own_release, folder=whole.parent)) >= 12  # what is not there contradicts nothing


def test_it_is_the_clip_cache_of_the_torch_dataset(core_release: Path, made: Path) -> None:
    cache = ClipCache(core_release, folder=made.parent)
    for condition in ("imagery", "perception"):
        options = {"condition": condition, "clip_cache": cache, "stimuli": cache, "roi": "V1", "session": 1}
        trials = nsd_imagery.NSDImageryDataset(core_release, **options)
        batch = next(iter(DataLoader(trials, batch_size=8)))
        np.testing.assert_array_equal(batch["clip_embedding"].numpy(), cache.stack(batch["stimulus"]))


def test_the_cache_of_the_guide_is_found_beside_its_data(tmp_path: Path, model: Path) -> None:
    root = nsd_imagery.synth(tmp_path / "cache", layout="cache")
    path = nsd_imagery.embed(root, model=model, device="cpu")
    assert path.parent == root / "clip_embeddings"
    assert len(ClipCache(root)) >= 12


def test_a_root_that_cannot_be_written_to_can_be_read(own_release: Path, model: Path) -> None:
    path = nsd_imagery.embed(own_release, model=model, device="cpu")
    note = note_file(path)
    note.unlink()
    note.mkdir()  # in the way of the note, as a read-only folder is (which root may write to)
    assert len(ClipCache(own_release))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "vision"}, UsageError, "no mode 'vision'"),
        ({"batch_size": 0}, UsageError, "batch_size"),
        ({"device": "tpu9"}, UsageError, "no device 'tpu9'"),
        ({"revision": "main"}, UsageError, "has no revision"),
        ({"mode": "perception"}, MissingDataError, "nothing to embed"),
        ({"model": "./no/such/folder"}, MissingDataError, "no such folder"),
        ({"prompts": "no.csv"}, FileNotFoundError, r"no\.csv"),
    ],
)
def test_what_cannot_be_done_is_said(
    release: Path, embed: Callable[..., Path], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        embed(release, **options)


def test_a_folder_that_is_no_clip_model_is_refused(
    release: Path, model: Path, embed: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="holds no sound CLIP model"):
        embed(release, model=tmp_path)
    broken = Path(shutil.copytree(model, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(DataError, match="holds no sound CLIP model"):
        embed(release, model=broken)
    (broken / "model.safetensors").unlink()
    torch.save({}, broken / "pytorch_model.bin")
    with pytest.raises(DataError, match="weights in safetensors"):
        embed(release, model=broken)


def test_a_damaged_or_foreign_file_is_refused(release: Path, embed: Callable[..., Path]) -> None:
    with pytest.raises(MissingDataError, match=r"no embeddings; make it with: nsd-imagery embed .*; .* is in .*truth$"):
        ClipCache(release)
    path = embed(release, mode="imagery")
    contents = path.read_bytes()
    for bad in (contents[:-50], b"", contents.replace(b"sources", b"sourcez")):
        path.write_bytes(bad)
        with pytest.raises(DataError, match="no sound file of embeddings"):
            ClipCache(release, folder=path.parent)
        with pytest.raises(DataError, match="no sound file of embeddings"):
            embed(release, mode="imagery")


def test_a_model_of_the_hub_is_known_by_its_commit(
    release: Path, model: Path, embed: Callable[..., Path], hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf_hub"))
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    other = save_tiny_clip(tmp_path / "other", seed=1)
    hub.put("me/tiny-clip", files)
    first = hub.repos["me/tiny-clip"].head
    one = embed(release, mode="imagery", model="me/tiny-clip")
    hub.put("me/tiny-clip", {path.name: path.read_bytes() for path in other.iterdir()})
    two = embed(release, mode="imagery", model="me/tiny-clip")
    assert one != two
    assert one.name.startswith("me--tiny-clip-")
    assert embed(release, mode="imagery", model="me/tiny-clip", revision=first) == one
    named = {"folder": one.parent, "model": "me/tiny-clip"}
    assert ClipCache(release, revision=first, **named).path == one
    with pytest.raises(UsageError, match="say which embeddings"):
        ClipCache(release, **named)
    with pytest.raises(MissingDataError, match="no embeddings by model me/tiny-clip, revision 0000"):
        ClipCache(release, revision="0000", **named)
    with pytest.raises(MissingDataError, match="no embeddings by model me/other; there are"):
        ClipCache(release, model="me/other", **{name: value for name, value in named.items() if name != "model"})
    with pytest.raises(MissingDataError, match="no such model on the hub"):
        embed(release, model="me/nothing")
    with pytest.raises(MissingDataError, match="has no revision v9"):
        embed(release, model="me/tiny-clip", revision="v9")


def test_without_the_hub_a_model_that_is_not_here_is_said(
    release: Path, embed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf_hub"))
    with pytest.raises(HubError, match="the hub cannot be reached") as caught:
        embed(release, model="someone/clip")
    assert "huggingface_hub" not in "".join(traceback.format_exception(caught.value))


def test_the_command_embeds_and_says_what_has_no_picture_or_text(
    own_release: Path, model: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-W", "error", "-m", "nsd_imagery", "embed", str(own_release), "--model", str(model)]
    done = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no image: banana, fruit, mammal, stripes, yellow, zebra (6)" in done.stdout
    assert "no text: bar_000.0deg_450L_43W" in done.stdout
    assert "image and" in done.stdout.splitlines()[-1]
    wrong = subprocess.run([*command, "--mode", "vision"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "'vision' is not one of" in wrong.stderr
