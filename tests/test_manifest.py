"""The manifest of a folder that came from anywhere: what is not of the form that a build writes is one line."""

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import nsd_imagery
from hub import Hub
from nsd_imagery.dataset.folder import open_manifest, seal
from nsd_imagery.dataset.manifest import render
from nsd_imagery.dataset.names import ConfigName, config_name, is_config
from nsd_imagery.dataset.parsing import parse
from nsd_imagery.dataset.shards import Shard
from nsd_imagery.errors import DataError, FolderError, NSDImageryError, UsageError
from nsd_imagery.experiment import CONDITIONS, SUBJECTS

Json = dict[str, Any]

VISION = "subj01-vision"


@pytest.fixture(scope="module")
def folder(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("manifest") / "nsd_imagery"
    return nsd_imagery.build(release, place, subjects=["subj01"], roi=["nsdgeneral", "V1"])


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "nsd_imagery", copy_function=shutil.copyfile))


def put(*keys: Any, value: Any) -> Callable[[Json], None]:
    """Another value under a path of keys."""

    def change(manifest: Json) -> None:
        place: Any = manifest
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def lacks(*keys: Any) -> Callable[[Json], None]:
    def change(manifest: Json) -> None:
        place: Any = manifest
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


def renamed(old: str, new: str) -> Callable[[Json], None]:
    def change(manifest: Json) -> None:
        manifest["configs"][new] = manifest["configs"].pop(old)

    return change


def numbered(shards: list[Json]) -> list[Json]:
    """Shards under the names that so many have."""
    parts = [shard["file"].partition("-0") for shard in shards]
    ends = [shard["file"][-19:] for shard in shards]
    return [
        {**shard, "file": f"{start}-{at:05d}-of-{len(shards):05d}{end}"}
        for at, (shard, (start, *_), end) in enumerate(zip(shards, parts, ends, strict=True))
    ]


CONFIG = ("configs", VISION)
SHARD = (*CONFIG, "splits", "test", 0)
GRID = ("configs", "subj01-voxels", "grid")

DAMAGED: dict[str, Callable[[Json], None]] = {
    **{f"no {key}": lacks(key) for key in ("format_version", "synthetic", "recipe", "configs")},
    **{f"no {key} of a config": lacks(*CONFIG, key) for key in ("kind", "n_voxels", "features", "splits", "sources")},
    **{f"no {key} of a shard": lacks(*SHARD, key) for key in ("file", "rows", "bytes", "sha256", "hash", "piece")},
    **{f"no {key} of the recipe": lacks("recipe", key) for key in ("beta_version", "zscore", "dtype")},
    "another format": put("format_version", value=1),
    "a format that is a word": put("format_version", value="2"),
    "a format that is true": put("format_version", value=True),
    "no config": put("configs", value={}),
    "configs that are a list": put("configs", value=[]),
    "a key that nobody writes": put("more", value=1),
    "an option that there is not": put("recipe", "whiten", value=True),
    "a z-score that there is not": put("recipe", "zscore", value="trial"),
    "a beta version that there is not": put("recipe", "beta_version", value="b9"),
    "a width that is a word": put("recipe", "smoothing_fwhm", value="4"),
    "a width that is none": put("recipe", "smoothing_fwhm", value=None),
    "a negative width": put("recipe", "smoothing_fwhm", value=-1),
    "a kind that there is not": put(*CONFIG, "kind", value="eyes"),
    "a condition that is not that of the name": put(*CONFIG, "condition", value="imagery"),
    "a subject that is not that of the name": put(*CONFIG, "subject", value="subj02"),
    "a ROI that is not that of the name": put(*CONFIG, "roi", value="V1"),
    "a name that leads out": renamed(VISION, "../evil"),
    "a name with a slash": renamed(VISION, "subj01-vision-a/b"),
    "a subject that there is not": renamed(VISION, "subj09-vision"),
    "a split that there is not": lambda m: m["configs"][VISION].update(
        splits={"valid": m["configs"][VISION]["splits"]["test"]}
    ),
    "a split without shards": put(*CONFIG, "splits", "test", value=[]),
    "no split": put(*CONFIG, "splits", value={}),
    "negative rows": put(*SHARD, "rows", value=-1),
    "half a row": put(*SHARD, "rows", value=0.5),
    "rows that are true": put(*SHARD, "rows", value=True),
    "more bytes than there are": put(*SHARD, "bytes", value=1 << 70),
    "more voxels than there are": put(*CONFIG, "n_voxels", value=10**12),
    "a file elsewhere": put(*SHARD, "file", value="/etc/passwd"),
    "a file of another hash": put(*SHARD, "hash", value="0" * 32),
    "a hash that is a number": put(*SHARD, "sha256", value=7),
    "a hash in capitals": lambda m: m["configs"][VISION]["splits"]["test"][0].update(sha256="A" * 64),
    "a session of another subject": put(*SHARD, "piece", value="subj02/nsdimagery/01"),
    "a session of NSD core": put(*SHARD, "piece", value="subj01/nsd/01"),
    "a session without a source": put(*CONFIG, "sources", value={}),
    "a note that rings": put(*CONFIG, "notes", value=["\x1b[2J\x07"]),
    "a note of two lines": put(*CONFIG, "notes", value=["one\ntwo"]),
    "a source that is a list": put(*CONFIG, "sources", "subj01/nsdimagery/01", value=[]),
    "a source with an escape in its name": put(*CONFIG, "sources", "\x1b]0;x\x07", value="x"),
    "features without a name": put(*CONFIG, "features", value=[{}]),
    "features that are words": put(*CONFIG, "features", value=["betas"]),
    "a feature without a type": put(*CONFIG, "features", 0, value={"name": "trial_id"}),
    "a feature with more": put(*CONFIG, "features", 0, value={"name": "trial_id", "dtype": "int64", "more": 1}),
    "a feature twice": lambda m: m["configs"][VISION]["features"].append(m["configs"][VISION]["features"][0]),
    "vectors of another length": put(*CONFIG, "features", -1, "length", value=7),
    "half a letter in a note": put(*CONFIG, "notes", value=["\ud800"]),
    "a session in other digits": lambda m: m.update(
        json.loads(json.dumps(m, ensure_ascii=False).replace("nsdimagery/01", "nsdimagery/\u0660\u0661"))
    ),
    "a session twice": lambda m: m["configs"]["subj01-stats"].update(
        splits={"train": numbered([*m["configs"]["subj01-stats"]["splits"]["train"]] * 2)}
    ),
    "a grid of trials": put(*CONFIG, "grid", value={"shape": [2, 2, 2], "affine": np.eye(4).tolist()}),
    "a grid of two axes": put(*GRID, "shape", value=[20, 30]),
    "a grid larger than any": put(*GRID, "shape", value=[10_000, 10_000, 10_000]),
    "a grid without a place": put(*GRID, "affine", value=None),
    "a grid at a word": put(*GRID, "affine", 0, value=[1, 0, 0, "x"]),
    "a grid beyond all": put(*GRID, "affine", 0, value=[1, 0, 0, float("1e300")]),
    "a grid with more": put(*GRID, "more", value=1),
    "voxels of fewer rows": put("configs", "subj01-voxels", "splits", "train", 0, "rows", value=7),
    "voxels of another width than trials": lambda m: m["configs"]["subj01-voxels"].update(
        n_voxels=7, splits={"train": [{**m["configs"]["subj01-voxels"]["splits"]["train"][0], "rows": 7}]}
    ),
}

TEXTS: dict[str, Callable[[str], bytes]] = {
    "cut short": lambda text: text[: len(text) // 2].encode(),
    "a key twice": lambda text: text.replace('"synthetic": true', '"synthetic": true,\n "synthetic": true').encode(),
    "a NaN": lambda text: text.replace('"rows": 144', '"rows": NaN', 1).encode(),
    "brackets in brackets": lambda _: b'{"format": "nsd-imagery", "configs": ' + b"[" * 100_000,
    "a number of ten thousand digits": lambda text: text.replace('"rows": 144', f'"rows": {"9" * 10_000}', 1).encode(),
    "no UTF-8": lambda text: text.encode().replace(b"nsdgeneral", b"nsdgener\xff\xfe"),
    "no UTF-8 in a source": lambda text: text.encode().replace(b"xxh3_128:", b"xxh3_128:\xff\xfe", 1),
    "nothing": lambda _: b"",
    "null": lambda _: b"null",
}


def texts(good: str) -> dict[str, bytes]:
    made = {name: make(good) for name, make in TEXTS.items()}
    for name, change in DAMAGED.items():
        manifest = json.loads(good)
        change(manifest)
        made[name] = json.dumps(manifest).encode()
    return made


def refusal(kind: type[NSDImageryError], call: Callable[[], object]) -> str | None:
    """What a call says if it refuses."""
    try:
        call()
    except kind as error:
        return str(error)
    return None


def one_line(said: str) -> bool:
    return said.isprintable() and len(said) < 600


@pytest.mark.parametrize("name", [*TEXTS, *DAMAGED])
def test_a_damaged_manifest_is_one_line_of_every_verb(own: Path, hub: Hub, name: str) -> None:
    path = own / "manifest.json"
    path.write_bytes(texts(path.read_text())[name])
    verbs: list[Callable[[], object]] = [
        lambda: nsd_imagery.verify(own),
        lambda: nsd_imagery.info(own),
        lambda: nsd_imagery.load(own, VISION),
        lambda: nsd_imagery.push(own, "me/nsd-imagery", dry_run=True),
    ]
    for verb in verbs:
        with pytest.raises(DataError) as caught:
            verb()
        assert one_line(str(caught.value)), str(caught.value)
        assert str(path) in str(caught.value)
    assert not hub.requests


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a kind that there is not", "a note that rings", "brackets in brackets"])
def test_the_command_says_it_in_one_line(own: Path, name: str) -> None:
    path = own / "manifest.json"
    path.write_bytes(texts(path.read_text())[name])
    for verb in (["verify"], ["info"], ["push", "me/nsd-imagery", "--dry-run"]):
        command = [sys.executable, "-m", "nsd_imagery", verb[0], str(own), *verb[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert one_line(done.stderr.rstrip("\n"))


@pytest.mark.parametrize("more", [{}, {"recipe": None, "configs": "of another kind"}])
def test_a_newer_format_asks_for_a_newer_package_whatever_else_it_holds(own: Path, more: Json) -> None:
    path = own / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 4, "more": 1, **more}))
    for verb in (nsd_imagery.verify, nsd_imagery.info):
        with pytest.raises(DataError, match=r"is of folder format 4, .* upgrade nsd-imagery") as caught:
            verb(own)
        assert "is not a manifest" not in str(caught.value)


@pytest.mark.parametrize("value", ["NaN", "-Infinity", '{"a": 1, "a": 2}'])
def test_a_newer_format_may_be_written_otherwise(own: Path, value: str) -> None:
    text = f'{{"configs": {value}, "format": "nsd-imagery", "format_version": 4}}'
    (own / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="upgrade nsd-imagery"):
        nsd_imagery.info(own)


def test_what_is_written_is_read_as_it_was(folder: Path) -> None:
    manifest, text = open_manifest(folder), (folder / "manifest.json").read_text()
    assert render(manifest) == text
    assert parse(text, "here") == manifest


def test_nothing_is_sealed_that_could_not_be_read(own: Path) -> None:
    manifest, before = open_manifest(own), (own / "manifest.json").read_bytes()
    rung = replace(manifest.configs[VISION], notes=("\x07",))
    with pytest.raises(DataError, match="control characters"):
        seal(own, replace(manifest, configs={**manifest.configs, VISION: rung}))
    assert (own / "manifest.json").read_bytes() == before


PARTS = [
    ["subj01-vision"],
    ["subj01-vision", "subj01-voxels"],
    ["subj01-vision", "subj01-stats"],
    ["subj01-voxels"],
    ["subj01-stats", "subj01-imagery-V1"],
    ["stimuli"],
    ["subj01-imagery", "subj01-attention", "subj01-voxels", "subj01-stats"],
]


@pytest.mark.parametrize("configs", PARTS, ids=" ".join)
def test_a_sound_part_of_a_dataset_passes(own: Path, configs: list[str]) -> None:
    """As `pull --configs` leaves it."""
    manifest = open_manifest(own)
    seal(own, replace(manifest, configs={name: manifest.configs[name] for name in configs}))
    report = nsd_imagery.verify(own, deep=True)
    assert report.passed, report.to_text()
    assert not [finding for finding in report.findings if finding.outcome == "fail"]
    assert set(nsd_imagery.info(own)["configs"]) == set(configs)


def test_statistics_of_other_sessions_are_not_taken_for_those_of_the_trials(core_release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(core_release, tmp_path / "nsd_imagery", conditions=["vision", "perception"])
    manifest = open_manifest(folder)
    stats = manifest.configs["subj01-stats"]
    entries = [{**shard.entry, "file": shard.file} for shard in stats.shards if "/nsd/" in str(shard.piece)]
    shards = [Shard(**entry) for entry in numbered(entries)]
    for old, new in zip((shard for shard in stats.shards if "/nsd/" in str(shard.piece)), shards, strict=True):
        (folder / old.file).rename(folder / new.file)
    wanted = {name: manifest.configs[name] for name in ("subj01-vision", "subj01-voxels")}
    sources = {key: value for key, value in stats.sources.items() if "/nsd/" in key}
    wanted["subj01-stats"] = replace(stats, splits={"train": tuple(shards)}, sources=sources)
    seal(folder, replace(manifest, configs=wanted))
    report = nsd_imagery.verify(folder)
    assert report.passed, report.to_text()
    (found,) = {finding.evidence for finding in report.findings if finding.id.startswith("data.")}
    assert "-stats has no shard of subj01/nsdimagery/01" in found


def test_a_subject_of_whom_there_are_only_sidecars_is_not_passed_over(own: Path, release: Path) -> None:
    manifest = open_manifest(own)
    seal(own, replace(manifest, configs={"subj01-voxels": manifest.configs["subj01-voxels"]}))
    (found,) = [finding for finding in nsd_imagery.verify(own, root=release).findings if finding.id == "source.same"]
    assert (found.scope, found.outcome) == ("subj01", "skipped")


@pytest.mark.parametrize("name", ["my\narea.nii.gz", "\u202earea.nii.gz", f"{'a' * 240}.nii.gz"])
def test_a_mask_that_no_dataset_can_name_is_refused_before_a_beta_is_read(
    release: Path, tmp_path: Path, name: str
) -> None:
    shutil.copy(release / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz", tmp_path / name)
    with pytest.raises(UsageError, match="a dataset cannot name this ROI") as caught:
        nsd_imagery.plan(release, tmp_path / "d", roi=str(tmp_path / name))
    assert one_line(str(caught.value))


@pytest.mark.slow
def test_configs_of_other_voxels_never_lie_side_by_side(tmp_path: Path) -> None:
    """The betas are of one file, and so of one source id, whatever the mask is."""
    mask, root = tmp_path / "area.nii.gz", nsd_imagery.synth(tmp_path / "release", format="nii.gz")
    image: Any = nib.load(root / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz")
    flat = np.flatnonzero(np.asarray(image.dataobj) == 1)

    def write_mask(chosen: NDArray[np.int64]) -> None:
        values = np.zeros(image.shape, np.int16)
        values.reshape(-1)[chosen] = 1
        nib.save(nib.Nifti1Image(values, image.affine), mask)

    write_mask(flat[::2])
    folder = nsd_imagery.build(root, tmp_path / "d", conditions=["imagery"], roi=str(mask))
    before = {path: path.read_bytes() for path in folder.glob("*.[jm]*")}
    write_mask(flat[1::2])
    with pytest.raises(FolderError, match=r"subj01-imagery-area was built with other voxels of area.nii.gz"):
        nsd_imagery.build(root, folder, conditions=["vision"], roi=str(mask))
    assert {path: path.read_bytes() for path in folder.glob("*.[jm]*")} == before
    nsd_imagery.build(root, folder, conditions=["imagery", "vision"], roi=str(mask))
    assert nsd_imagery.verify(folder).passed


@given(
    subject=st.sampled_from(SUBJECTS),
    kind=st.sampled_from([*CONDITIONS, "voxels", "stats"]),
    roi=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40),
)
def test_every_name_that_a_build_gives_is_read_back(subject: str, kind: str, roi: str) -> None:
    """Of any ROI: a name, an atlas and a label, or the path of a mask file."""
    for name in (roi, f"masks/{roi}", f"/data/{roi}.nii.gz"):
        text = config_name(subject, kind, name)
        if len(text.encode()) <= 255:
            assert is_config(text)
            read = ConfigName.parse(text)
            assert (read.subject, read.kind, str(read)) == (subject, kind, text)
            assert read.is_of(Path(name).name if "/" in name else name)


@given(st.text(max_size=30))
def test_what_is_no_name_is_refused_in_one_line(text: str) -> None:
    said = refusal(UsageError, lambda: ConfigName.parse(text))
    assert str(ConfigName.parse(text)) == text if said is None else said.isprintable()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                    max_leaves=8), st.integers(0, 400))  # fmt: skip
def test_any_value_anywhere_is_read_or_is_one_line(good: Json, value: Any, at: int) -> None:
    manifest = copy.deepcopy(good)
    places = [(manifest, key) for key in manifest]
    for place, key in places:
        inner = place[key]
        keys = inner if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
        places += [(inner, key) for key in keys]
    place, key = places[at % len(places)]
    place[key] = value
    said = refusal(NSDImageryError, lambda: parse(json.dumps(manifest), "here"))
    assert said is None or one_line(said)


@pytest.fixture(scope="module")
def good(folder: Path) -> Json:
    return json.loads((folder / "manifest.json").read_text())
