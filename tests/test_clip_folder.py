"""Nothing of a model's folder or of a file of embeddings is believed: what is wrong is one line, and runs no code."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

import nsd_imagery
from clip import DIMENSIONS, save_tiny_clip
from nsd_imagery import ClipCache
from nsd_imagery.embeddings import Embedding, Maker, read_embeddings, write_embeddings
from nsd_imagery.errors import BusyError, DataError, MissingDataError, NSDImageryError
from nsd_imagery.learn.clip_folder import folder_name, model_files
from nsd_imagery.learn.clip_model import Clip, open_clip

pytestmark = pytest.mark.slow

CONFIG, PICTURES, TOKENS, WEIGHTS = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "model.safetensors",
)
INDEX = "model.safetensors.index.json"
PICTURE = [np.arange(32 * 40 * 3, dtype=np.uint8).reshape(32, 40, 3)]
UNSOUND = "holds no sound CLIP model with weights in safetensors"
MARK = "import pathlib\npathlib.Path({!r}).touch()\nclass Model: ...\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model. Not to be changed."""
    return save_tiny_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def opened(folder: Path) -> Clip:
    return open_clip(folder, device="cpu")


def refusal(folder: Path) -> str:
    """What is said of a folder: one short printable line."""
    with pytest.raises(NSDImageryError) as caught:
        opened(folder)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said.replace(str(folder), "")) < 400
    return said


def change(file: Path, **values: Any) -> None:
    """Give a config other values."""
    before = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**before, **values}))


def shard(model: Path) -> tuple[str, str]:
    """Make of a model's weights two files and their index."""
    tensors = load_file(model / WEIGHTS)
    names = sorted(tensors)
    files = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, of_file in files.items():
        save_file({name: tensors[name] for name in of_file}, model / file, {"format": "pt"})
    (model / WEIGHTS).unlink()
    index = {"metadata": {}, "weight_map": {name: file for file, of_file in files.items() for name in of_file}}
    (model / INDEX).write_text(json.dumps(index))
    one, two = files
    return one, two


def rename_in_index(model: Path, old: str, new: str) -> None:
    index = json.loads((model / INDEX).read_text())
    files = {name: new if file == old else file for name, file in index["weight_map"].items()}
    (model / INDEX).write_text(json.dumps({**index, "weight_map": files}))


@pytest.mark.parametrize(
    ("file", "auto"),
    [
        (CONFIG, {"auto_map": {"AutoConfig": "code.Model", "AutoModel": "code.Model"}}),
        (CONFIG, {"model_type": "odd", "auto_map": {"AutoConfig": "code.Model", "AutoModel": "code.Model"}}),
        (CONFIG, {"text_config": {"auto_map": {"AutoConfig": "code.Model"}}}),
        (PICTURES, {"auto_map": {"AutoImageProcessor": "code.Model"}}),
        (PICTURES, {"image_processor_type": "Odd", "auto_map": {"AutoImageProcessor": "code.Model"}}),
        ("processor_config.json", {"image_processor": {"auto_map": {"AutoImageProcessor": "code.Model"}}}),
        (TOKENS, {"auto_map": {"AutoTokenizer": [None, "code.Model"]}}),
        (TOKENS, {"auto_map": ["code.Model", None]}),
    ],
)
def test_a_model_that_needs_code_of_its_own_is_refused_and_its_code_neither_run_nor_copied(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, auto: dict[str, Any]
) -> None:
    ran, modules = tmp_path / "ran", tmp_path / "modules"
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(modules))
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # as who answers the prompt of transformers
    (model / "code.py").write_text(MARK.format(str(ran)))
    change(model / file, **auto)
    assert f"{file} has an auto_map: the model needs code of its own, which is never run" in refusal(model)
    assert not ran.exists()
    assert not list(modules.rglob("*.py"))


def test_the_command_asks_nothing_of_who_has_no_terminal(release: Path, model: Path, tmp_path: Path) -> None:
    change(model / CONFIG, model_type="odd", auto_map={"AutoConfig": "code.Model"})
    (model / "code.py").write_text(MARK.format(str(tmp_path / "ran")))
    command = [sys.executable, "-m", "nsd_imagery", "embed", str(release), "--model", str(model), "--device", "cpu"]
    done = subprocess.run(command, input="y\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "needs code of its own, which is never run" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_folder_asks_nothing_of_a_network_and_no_file_of_pickles(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **_: asked.append(where))
    monkeypatch.setattr(torch, "load", lambda *what, **_: asked.append(what))
    change(model / CONFIG, attn_implementation="someone/kernel", transformers_weights="../x.safetensors")
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/model"}')
    assert opened(model).embed_texts(["a"]).shape == (1, DIMENSIONS)
    assert asked == []


@pytest.mark.parametrize("index", [INDEX, "pytorch_model.bin.index.json"])
def test_an_index_that_names_pickles_never_has_them_unpickled(model: Path, tmp_path: Path, index: str) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    names = list(load_file(model / WEIGHTS))
    (model / WEIGHTS).unlink()
    torch.save(Evil(), model / "weights.bin")
    (model / index).write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, "weights.bin")}))
    refusal(model)
    assert not (tmp_path / "ran").exists()


def test_weights_in_several_files_are_those_of_one_and_each_is_part_of_the_name(whole: Path, model: Path) -> None:
    expected = opened(whole).embed_pictures(PICTURE)
    one, two = shard(model)
    np.testing.assert_allclose(opened(model).embed_pictures(PICTURE), expected, rtol=1e-4)
    assert {one, two, INDEX} < {path.name for path in model_files(model)}
    before = folder_name(model)
    save_file({name: 2 * weights for name, weights in load_file(model / two).items()}, model / two, {"format": "pt"})
    assert folder_name(model) != before
    assert opened(model).maker.model == folder_name(model)


@pytest.mark.parametrize("name", ["../{}", "sub/{}", "{folder}/{}", "./{}", "..", ".", "", "a\\{}", "\x1b[31m{}"])
def test_a_name_in_an_index_that_leads_out_of_the_folder_is_refused(model: Path, name: str) -> None:
    one, _ = shard(model)
    (model / "sub").mkdir()
    for place in (model.parent, model / "sub"):
        shutil.copy(model / one, place)
    rename_in_index(model, one, name.format(one, folder=model.parent))
    said = refusal(model)
    assert f"{INDEX} names " in said
    with pytest.raises(DataError, match=UNSOUND):
        folder_name(model)


def test_links_of_the_cache_of_the_hub_are_followed_and_what_they_lead_to_is_hashed(
    whole: Path, tmp_path: Path
) -> None:
    snapshot, blobs = tmp_path / "models--me--clip" / "snapshots" / "0123", tmp_path / "models--me--clip" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(whole.iterdir())):
        shutil.copy(path, blobs / str(number))
        (snapshot / path.name).symlink_to(Path("../../blobs") / str(number))
    clip = opened(snapshot)
    assert clip.maker == opened(whole).maker
    np.testing.assert_allclose(clip.embed_pictures(PICTURE), opened(whole).embed_pictures(PICTURE), rtol=1e-4)
    weights = (snapshot / WEIGHTS).resolve()
    save_file({name: 2 * values for name, values in load_file(weights).items()}, weights, {"format": "pt"})
    assert folder_name(snapshot) != folder_name(whole)
    weights.unlink()
    assert "a link without content: get it first" in refusal(snapshot)


def test_files_that_decide_nothing_are_no_part_of_the_name(whole: Path, model: Path) -> None:
    for name in ("training.json", "open_clip_pytorch.safetensors", "notes.txt"):
        (model / name).write_text("{}")
    assert folder_name(model) == folder_name(whole)
    assert opened(model).maker == opened(whole).maker


def test_a_processor_that_holds_the_one_of_pictures_is_read(whole: Path, model: Path) -> None:
    config = json.loads((model / PICTURES).read_text())
    (model / PICTURES).unlink()
    change(model / "processor_config.json", image_processor=config, processor_class="CLIPProcessor")
    assert opened(model).maker.preprocessing == opened(whole).maker.preprocessing


DEEP = '{"a":' * 100_000
SIZE = {"height": 32, "width": 32}


@pytest.mark.parametrize("file", [CONFIG, PICTURES, TOKENS, "processor_config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    "contents",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "NaN",
        DEEP,
        '{"a": ' + "9" * 5_000 + "}",
        '{"\x1b[31m": ',
        "\ud800",
        '{"a": 1e999}',
    ],
    ids=["nothing", "cut", "list", "null", "text", "NaN", "deep", "huge", "control", "no UTF-8", "infinite"],
)
def test_a_config_that_is_none_is_one_line_or_says_nothing(model: Path, file: str, contents: str) -> None:
    (model / file).write_text(contents, errors="surrogatepass")
    if contents == '{"a": 1e999}' and file in (TOKENS, "processor_config.json"):
        opened(model)  # a word that nobody asks for
    else:
        assert UNSOUND in refusal(model)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        *((CONFIG, {"projection_dim": value}, "projection_dim") for value in ("x", -1, 0, None, 10**12, 1.5, True, [])),
        *((CONFIG, {"model_type": value}, "of a model of type") for value in ("bert", "siglip", None, 7, "\x1b[31m")),
        (CONFIG, {"text_config": []}, "text_config"),
        (CONFIG, {"vision_config": "x"}, "vision_config"),
        *((CONFIG, {"vision_config": {"image_size": value}}, "image_size") for value in (10**9, -1, "x", None)),
        *((CONFIG, {"text_config": {key: 10**9}}, key) for key in ("num_hidden_layers", "max_position_embeddings")),
        (CONFIG, {"text_config": {"num_hidden_layers": 1000}}, "larger model than the weights"),
        (CONFIG, {"vision_config": {"image_size": 4096, "patch_size": 16, "hidden_size": 65536}}, "larger model"),
        (CONFIG, {"vision_config": {"patch_size": 4096}}, ""),
        (CONFIG, {"projection_dim": DIMENSIONS + 1}, ""),
        *((PICTURES, {"crop_size": {**SIZE, "height": value}}, "which no picture needs") for value in (10**9, -1, 0)),
        *((PICTURES, {"size": value}, "which no picture needs") for value in ({"shortest_edge": 10**9}, 10**9, -5)),
        (PICTURES, {"do_pad": True, "pad_size": {"height": 10**9, "width": 10**9}}, "which no picture needs"),
        (PICTURES, {"image_mean": [float("nan")] * 3}, "which no picture needs"),
        (PICTURES, {"image_std": [0, 0, 0]}, ""),
        (PICTURES, {"crop_size": {"height": 64, "width": 64}}, ""),
        (PICTURES, {"size": "x"}, ""),
        (PICTURES, {"image_processor_type": "\x1b[31m../x"}, "not the name of a class"),
        (PICTURES, {"image_processor_type": "NoSuchImageProcessor"}, ""),
        (TOKENS, {"tokenizer_class": "\x1b[31mBertTokenizer"}, "not a CLIPTokenizer"),
        (TOKENS, {"added_tokens_decoder": {"x": "y"}}, ""),
        (TOKENS, {"pad_token": None, "eos_token": 7}, ""),
    ],
)
def test_a_config_that_cannot_be_meant_is_one_line(
    model: Path, file: str, values: dict[str, Any], message: str
) -> None:
    if file == CONFIG and isinstance(inner := next(iter(values.values())), dict):
        (side,) = values
        values = {side: {**json.loads((model / CONFIG).read_text())[side], **inner}}
    change(model / file, **values)
    said = refusal(model)
    assert UNSOUND in said
    assert message in said


@pytest.mark.parametrize("name", [CONFIG, PICTURES, WEIGHTS, INDEX])
def test_a_file_that_is_missing_or_none_is_one_line(model: Path, name: str) -> None:
    if name == INDEX:
        one, _ = shard(model)
        (model / one).unlink()
        assert f"it has no file '{one}'" in refusal(model)
    (model / name).unlink()
    assert UNSOUND in refusal(model)
    os.mkfifo(model / name)
    assert f"{name!r} is no file" in refusal(model)


def test_tokens_that_the_model_has_no_weights_for_are_one_line(model: Path) -> None:
    tokens = json.loads((model / "tokenizer.json").read_text())
    tokens["model"]["vocab"]["a</w>"] = 10_000
    (model / "tokenizer.json").write_text(json.dumps(tokens))
    assert "tokens that the model has no weights for" in refusal(model)


def test_what_a_token_is_said_to_have_is_never_printed(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The tokenizers library prints settings that it does not know, as they are."""
    token = {"content": "<|endoftext|>", "\x1b[31m": 1}
    change(model / TOKENS, eos_token={**token, "__type": "AddedToken"}, added_tokens_decoder={"189": token})
    assert opened(model).embed_texts(["a"]).shape == (1, DIMENSIONS)
    for odd in ({"\x1b[31m": 1}, [[{**token, "__type": "AddedToken"}]], {"name": {"\x1b[31m": 1}}):
        change(model / TOKENS, extra_special_tokens=odd)
        assert UNSOUND in refusal(model)
    change(model / TOKENS, added_tokens_decoder={"189": {"\x1b[31m": 1}}, extra_special_tokens=[])
    opened(model)
    change(model / "special_tokens_map.json", eos_token=token)
    added = json.loads((model / "tokenizer.json").read_text())["added_tokens"]
    change(model / "tokenizer.json", added_tokens=[{**token, "\x1b[31m": 1} for token in added])
    (model / TOKENS).unlink()
    opened(model)
    assert capfd.readouterr() == ("", "")


def header(contents: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A file of weights with another header."""
    length = int.from_bytes(contents[:8], "little")
    told = json.loads(contents[8 : 8 + length])
    change(told)
    new = json.dumps(told).encode()
    return len(new).to_bytes(8, "little") + new + contents[8 + length :]


NAME = "text_projection.weight"


@pytest.mark.parametrize(
    "lie",
    [
        lambda told: told[NAME].update(shape=[1 << 40, 1 << 10]),
        lambda told: told[NAME].update(shape=[1 << 40, 1 << 10], data_offsets=[0, 1 << 52]),
        lambda told: told[NAME].update(shape=[-1, 4]),
        lambda told: told[NAME].update(shape="x"),
        lambda told: told[NAME].update(shape=told[NAME]["shape"][::-1]),
        lambda told: told[NAME].update(dtype="I32"),
        lambda told: told[NAME].update(dtype="\x1b[31m"),
        lambda told: told[NAME].update(data_offsets=[0, 4]),
        lambda told: told.pop(NAME),
        lambda told: told.update({"\x1b[31m": told.pop(NAME)}),
        lambda told: told.clear(),
        lambda told: told.update({NAME: 7}),
    ],
)
def test_weights_whose_header_lies_are_one_line(model: Path, lie: Callable[[dict[str, Any]], object]) -> None:
    (model / WEIGHTS).write_bytes(header((model / WEIGHTS).read_bytes(), lie))
    assert UNSOUND in refusal(model)


@pytest.mark.parametrize(
    "damage",
    [
        lambda contents: b"",
        lambda contents: contents[:5],
        lambda contents: contents[:500],
        lambda contents: contents[:-4],
        lambda contents: contents + b"more",
        lambda contents: (1 << 60).to_bytes(8, "little") + contents[8:],
        lambda contents: (len(contents) - 8).to_bytes(8, "little") + contents[8:],
        lambda contents: (100_000).to_bytes(8, "little") + b"[" * 200_000,
    ],
)
def test_damaged_weights_are_one_line(model: Path, damage: Callable[[bytes], bytes]) -> None:
    (model / WEIGHTS).write_bytes(damage((model / WEIGHTS).read_bytes()))
    assert UNSOUND in refusal(model)


@pytest.mark.parametrize("name", ["visual_projection.weight", NAME])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_give_no_finite_numbers_are_an_error(model: Path, name: str, value: float) -> None:
    tensors = load_file(model / WEIGHTS)
    tensors[name][0, 0] = value
    save_file(tensors, model / WEIGHTS, {"format": "pt"})
    assert "embeddings that are not finite numbers" in refusal(model)


def test_weights_that_are_missing_are_never_random_numbers(model: Path) -> None:
    tensors = load_file(model / WEIGHTS)
    spare = torch.zeros_like(tensors.pop(NAME))  # as many numbers as before
    save_file({**tensors, "spare": spare}, model / WEIGHTS, {"format": "pt"})
    assert f"it lacks 1 of its weights, such as {NAME}" in refusal(model)


def test_the_second_of_two_runs_is_refused_from_the_first_batch_of_the_other_to_its_last_byte(
    release: Path, whole: Path, tmp_path: Path
) -> None:
    """The first is stopped at each of its batches, before it writes the file, and behind the file before its end."""
    code = """if True:
        import sys, nsd_imagery
        from nsd_imagery.learn import embed
        root, model, out = sys.argv[1:]
        def wait(*_):
            print("here", flush=True)
            input()
        note = embed.note_pictures
        embed.note_pictures = lambda *given: (wait(), note(*given))
        nsd_imagery.embed(root, model=model, out=out, device="cpu", mode="imagery", batch_size=32, progress=wait)
    """
    out, stops = tmp_path / "out", 0
    command = [sys.executable, "-c", code, str(release), str(whole), str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        while first.stdout.readline():
            stops += 1
            with pytest.raises(BusyError, match=rf"is writing here \(process {first.pid} on"):
                nsd_imagery.embed(release, model=whole, out=out, device="cpu", mode="imagery")
            first.stdin.write("\n")
            first.stdin.flush()
    assert first.returncode == 0
    assert stops > 4  # batches of pictures and of texts, the end of the batches, and the note


def test_a_run_that_dies_at_an_event_on_the_disk_is_gone_on_with_to_the_same_bytes() -> None:
    """A sample of what the command does."""
    run = Path(__file__).parent / "crash" / "embeddings.py"
    done = subprocess.run(
        [sys.executable, run, "--every", "5"], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" deaths") == 2


MAKER = Maker("folder:0123", "", "{}")
ROWS = {("image", name): Embedding(np.arange(4, dtype=np.float32), "0" * 32) for name in ("a", "b", "c")}


def rewritten(path: Path, **changes: Any) -> None:
    """A file of embeddings with other columns or metadata, whose hash is right."""
    write_embeddings(path, MAKER, ROWS)
    table = pq.read_table(path)
    said = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    arrays = {name: changes.get(name, table[name].combine_chunks()) for name in table.schema.names}
    said |= {name: value for name, value in changes.items() if name not in arrays}
    keys = [list(key) for key in zip(*(arrays[name].to_pylist() for name in ("kind", "stimulus")), strict=True)]
    if "sources" in changes or "kind" in changes or "stimulus" in changes:
        said["source_hash"] = source_hash(keys, json.loads(said["sources"]))
    pq.write_table(pa.table(arrays).replace_schema_metadata(said), path)


def source_hash(keys: list[Any], sources: Any) -> str:
    from nsd_imagery.embeddings import text_digest

    return text_digest(json.dumps([keys, sources]))


def vectors(values: Any, length: int = 4) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float32()), length)


NO_VECTOR = pa.array([[1.0] * 4, None, [1.0] * 4], pa.list_(pa.float32(), 4))


def can_be_written(array: pa.Array) -> bool:
    try:
        pq.write_table(pa.table({"embedding": array}), io.BytesIO())
    except pa.ArrowNotImplementedError:
        return False
    return True


@pytest.mark.parametrize(
    "changes",
    [
        {"stimulus": pa.array(["a", "\x1b[31mb", "c"])},
        {"stimulus": pa.array(["a", "b" * 10_000, "c"])},
        {"stimulus": pa.array(["a", None, "c"])},
        {"stimulus": pa.array(["a", "a", "c"])},
        {"stimulus": pa.array([1, 2, 3])},
        {"kind": pa.array(["image", "sound", "text"])},
        {"embedding": vectors([np.nan] * 12)},
        {"embedding": vectors([np.inf] * 12)},
        {"embedding": pa.array([[1.0], [2.0, 3.0], []], pa.list_(pa.float32()))},
        {"embedding": pa.array([[1] * 4] * 3, pa.list_(pa.int64(), 4))},
        pytest.param(
            {"embedding": NO_VECTOR},
            marks=pytest.mark.skipif(not can_be_written(NO_VECTOR), reason="an old pyarrow writes no such file"),
        ),
        {"sources": json.dumps([1, 2, 3])},
        {"sources": json.dumps(["0"])},
        {"sources": "[" * 100_000},
        {"sources": "{}"},
        {"source_hash": "0" * 32},
        {"model": "\x1b[31m"},
        {"revision": "a\nb"},
        {"model": "a" * 10_000},
    ],
)
def test_a_file_of_embeddings_that_is_malformed_is_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "file.parquet"
    if changes.get("sources") == "[" * 100_000:
        rewritten(path, **{"sources ": "", "source_hash": "0"})
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"sources": b"[" * 100_000}), path)
    else:
        rewritten(path, **changes)
    with pytest.raises(DataError, match="is no sound file of embeddings") as caught:
        read_embeddings(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500 + len(str(path))


def test_a_sound_file_of_embeddings_is_read_also_without_dictionaries(tmp_path: Path) -> None:
    rewritten(tmp_path / "file.parquet")
    maker, rows = read_embeddings(tmp_path / "file.parquet")
    assert maker == MAKER
    assert list(rows) == list(ROWS)
    pq.write_table(pq.read_table(tmp_path / "file.parquet"), tmp_path / "plain.parquet", use_dictionary=False)
    assert list(read_embeddings(tmp_path / "plain.parquet")[1]) == list(ROWS)


@pytest.mark.parametrize("of", ["vectors", "words"])
def test_a_small_file_of_embeddings_that_is_read_as_gigabytes_is_refused_before_it_takes_memory(
    tmp_path: Path, of: str
) -> None:
    code = """if True:
        import resource, sys
        from pathlib import Path
        from nsd_imagery.errors import DataError
        from nsd_imagery.embeddings import read_embeddings
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_embeddings(Path(sys.argv[1]))
        except DataError as error:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
    """
    path, n = tmp_path / "bomb.parquet", 20_000
    length, word = (8_000, "a") if of == "vectors" else (1, "a" * 100_000)
    write_embeddings(path, MAKER, ROWS)
    said = pq.read_schema(path).metadata
    kinds = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["image"]))
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([word]))
    schema = pa.schema(
        {"stimulus": words.type, "kind": kinds.type, "embedding": pa.list_(pa.float32(), length)}, metadata=said
    )
    with pq.ParquetWriter(path, schema, compression="zstd", store_schema=True) as writer:
        zeros = vectors(np.zeros(n * length, np.float32), length)
        writer.write_table(pa.Table.from_arrays([words, kinds, zeros], schema=schema))
    assert path.stat().st_size < 2_000_000
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    kilobytes, _, said_of_it = done.stdout.partition(" ")
    assert "is no sound file of embeddings" in said_of_it
    assert int(kilobytes) < 200_000


def test_names_that_others_gave_never_move_the_cursor(release: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_embeddings(tmp_path / f"\x1b[31m{number}.parquet", replace(MAKER, revision=str(number)), ROWS)
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(NSDImageryError, match="say which embeddings") as caught:
        ClipCache(release, folder=tmp_path)
    assert str(caught.value).isprintable()


def test_a_note_that_is_too_deep_is_none(release: Path, whole: Path, tmp_path: Path) -> None:
    path = nsd_imagery.embed(release, model=whole, out=tmp_path / "out", device="cpu", mode="imagery")
    (note,) = path.parent.glob(".*.json")
    note.write_text(DEEP)
    assert len(ClipCache(release, folder=path.parent))


def test_a_name_in_letters_that_no_model_on_the_hub_has_is_one_line() -> None:
    with pytest.raises(MissingDataError, match="mödel: no such folder, and no name of a model on the hub"):
        opened(Path("mödel"))
