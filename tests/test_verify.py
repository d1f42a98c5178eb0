"""verify: sound data passes whatever its form, and each planted fault fails the check that is named for it."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import loadmat, savemat

import nsd_imagery
from nsd_imagery.checks.data import check_values
from nsd_imagery.checks.report import Finding, Report
from nsd_imagery.checks.rows import picture_ids, row_order
from nsd_imagery.dataset.folder import read_manifest, seal
from nsd_imagery.dataset.shards import batches_of, matrix, open_shard, write_shard
from nsd_imagery.errors import MissingDataError, UsageError
from nsd_imagery.sources.release_files import expected_betas, expected_nsd_betas, responses_file
from nsd_imagery.volumes.betas import BetaHeader, Betas, Scaling
from nsd_imagery.volumes.grid import Grid

pytestmark = pytest.mark.slow

BETAS = expected_betas("fithrf_GLMdenoise_RR", "subj01")
SPACE = "nsddata/ppdata/subj01/func1pt8mm"
DESIGN = "nsddata/experiments/nsdimagery/designmatrixGLMsingle.mat"
TARGETS = {
    "A": {"H": "bar_000.0deg", "R": "bar_045.0deg", "V": "bar_090.0deg", "L": "bar_135.0deg", "P": "crs_000.0deg",
          "E": "crs_045.0deg"},
    "B": {"W": "shared0385_nsd28752", "K": "shared0413_nsd30857", "B": "shared0741_nsd53882",
          "C": "shared0842_nsd61178", "D": "shared0907_nsd65873", "T": "shared0000_nsd00000"},
}  # fmt: skip

Fields = dict[str, str]


def failed(report: Report) -> dict[str, Finding]:
    return {finding.id: finding for finding in report.findings if finding.outcome == "fail"}


def says(finding: Finding, words: str) -> bool:
    return words in finding.evidence or any(words in row for row in finding.offending)


def own(path: Path) -> Path:
    """Give a file contents of its own, which other tests do not share."""
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw)
    return path


def edit_runs(root: Path, runs: str, change: Callable[[Fields, int], Fields]) -> None:
    """Change the lines of behaviour files: fields by column, and the number of the line from 0."""
    for run in runs.split():
        path = root / f"nsddata/bdata/nsdimagery/nsdimagery_subj01_{run}.tsv"
        head, *lines = [line.split("\t") for line in path.read_text().splitlines()]
        changed = [change(dict(zip(head, line, strict=True)), n) for n, line in enumerate(lines)]
        path.unlink()
        path.write_text("\n".join("\t".join(fields) for fields in [head, *(list(c.values()) for c in changed)]) + "\n")


def in_trial(column: str, value: str, trial: int = 6) -> Callable[[Fields, int], Fields]:
    return lambda fields, n: {**fields, column: value} if n == trial else fields


def another(column: str, letters: str, trial: int = 6) -> Callable[[Fields, int], Fields]:
    """Another letter in one trial."""

    def change(fields: Fields, n: int) -> Fields:
        return {**fields, column: next(x for x in letters if x != fields[column])} if n == trial else fields

    return change


def edit_betas(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change (720, Z, Y, X) betas, in .hdf5 alone."""
    (root / f"{BETAS}.nii.gz").unlink()
    with h5py.File(own(root / f"{BETAS}.hdf5"), "r+") as file:
        file["betas"][:] = change(file["betas"][:])


def edit_design(root: Path, change: Callable[[np.ndarray], None]) -> None:
    stimulus = loadmat(root / DESIGN)["stimulus"]
    change(stimulus)
    (root / DESIGN).unlink()
    savemat(root / DESIGN, {"stimulus": stimulus})


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 4
    path.unlink()
    path.write_bytes(raw)


# ---- faults of a release tree -------------------------------------------------------------------------------------


def runs_as_a_public_project_orders_them(root: Path) -> None:
    """Imagery, attention, vision in each set, in files that are consistent in themselves."""
    for name in "ABC":
        edit_runs(root, f"vis{name}", lambda f, _: {**f, "RUN": str(float(f["RUN"]) + 2)})
        edit_runs(root, f"img{name}_1", lambda f, _: {**f, "RUN": str(float(f["RUN"]) - 2)})


def by_cue_in_consistent_files(root: Path) -> None:
    """What was seen and what was cued exchanged in every file; the design may follow either in vision runs."""

    def exchange(name: str) -> Callable[[Fields, int], Fields]:
        def change(fields: Fields, _: int) -> Fields:
            seen, cued = fields["CONDITION"], fields["CUE"]
            picture = TARGETS[name][cued] + ("_450L_43W" if name == "A" else "")
            return {**fields, "CONDITION": cued, "CUE": seen, "FRAMEFILE": f"{picture}_cue{seen}.png"}

        return change

    for name in "AB":
        edit_runs(root, f"vis{name}", exchange(name))


def targets_copied_from_the_cue(root: Path) -> None:
    def change(fields: Fields, _: int) -> Fields:
        picture = f"{TARGETS['A'][fields['CUE']]}_450L_43W"
        return {
            **fields,
            "CONDITION": fields["CUE"],
            "FRAMEFILE": f"{picture}_cue{fields['CUE']}.png",
            "GROUNDTRUTH": "1.0",
        }

    edit_runs(root, "visA", change)
    edit_design(root, lambda stimulus: None)


def grouped_by_column(root: Path) -> None:
    """The betas of each vision run eight by eight in the order of their design columns."""

    def change(betas: np.ndarray) -> np.ndarray:
        stimulus = loadmat(root / DESIGN)["stimulus"]
        for cell, start in ((0, 0), (3, 192), (6, 384)):
            columns = np.nonzero(stimulus[0, cell])[1]
            betas[start : start + 48] = betas[start : start + 48][np.argsort(columns, kind="stable")]
        return betas

    edit_betas(root, change)


def other_axes(root: Path) -> None:
    """An HDF5 as somebody writes it who takes h5py's axes for those of the NIfTI."""
    (root / f"{BETAS}.nii.gz").unlink()
    with h5py.File(own(root / f"{BETAS}.hdf5"), "r+") as file:
        betas = file["betas"][:].transpose(0, 3, 2, 1)
        del file["betas"]
        file.create_dataset("betas", data=betas, chunks=(720, 1, 1, 1))


def shuffled_voxels(root: Path) -> None:
    def change(betas: np.ndarray) -> np.ndarray:
        mask = np.asarray(nib.load(root / SPACE / "roi/nsdgeneral.nii.gz").dataobj).T == 1
        inside = betas[:, mask]
        betas[:, mask] = inside[:, np.random.default_rng(0).permutation(inside.shape[1])]
        return betas

    edit_betas(root, change)


def names_that_count_from_0(root: Path) -> None:
    """The pictures of set B named by their 0-based ids, in the pair list and in the frame files."""
    new = {old: f"{old[:14]}{int(old[14:]) - 1:05d}" for old in list(TARGETS["B"].values())[:5]}
    path = root / "nsddata/experiments/nsdimagery/B_pair_list.mat"
    pairs = loadmat(path)["pair_list"]
    for row in pairs:
        name = str(row[1].item())
        row[1] = name.replace(name[:-4], new.get(name[:-4], name[:-4]))
    path.unlink()
    savemat(path, {"pair_list": pairs})

    def rename(fields: Fields, _: int) -> Fields:
        stem, cue = fields["FRAMEFILE"].split("_cue")
        return {**fields, "FRAMEFILE": f"{new.get(stem, stem)}_cue{cue}"}

    edit_runs(root, "visB", rename)


def float_betas(root: Path) -> None:
    edit_betas(root, lambda betas: betas)
    with h5py.File(root / f"{BETAS}.hdf5", "r+") as file:
        betas = file["betas"][:].astype(np.float32)
        del file["betas"]
        file.create_dataset("betas", data=betas, chunks=(720, 1, 1, 1))


def mask_in_another_place(root: Path) -> None:
    path = root / SPACE / "roi/streams.nii.gz"
    image = nib.load(path)
    moved = image.affine.copy()
    moved[0, 3] += 1.8
    volume = np.asarray(image.dataobj)
    path.unlink()
    nib.save(nib.Nifti1Image(volume, moved), path)


def nameless_label(root: Path) -> None:
    table = root / "nsddata/freesurfer/subj01/label/streams.mgz.ctab"
    text = "".join(line for line in own(table).read_text().splitlines(keepends=True) if " ventral" not in line)
    table.write_text(text)


def one_letter_in_the_design(root: Path) -> None:
    def change(stimulus: np.ndarray) -> None:
        run = stimulus[0, 2]
        seconds, columns = np.nonzero(run)
        first, second = 5, next(n for n in range(10, 48) if columns[n] != columns[5])
        for at, other in ((first, second), (second, first)):
            run[seconds[at], columns[at]] = 0
            run[seconds[at], columns[other]] = 1

    edit_design(root, change)


def mixed_epochs(root: Path) -> None:
    """The detection epochs of one run under the columns of the cue epochs."""

    def change(stimulus: np.ndarray) -> None:
        run = stimulus[0, 1]
        run[:, 6:12] += run[:, 12:18]
        run[:, 12:18] = 0

    edit_design(root, change)


def design_of_other_times(root: Path) -> None:
    def change(stimulus: np.ndarray) -> None:
        stimulus[0, 0] = np.roll(stimulus[0, 0], 3, axis=0)

    edit_design(root, change)


def shared_pictures_moved(root: Path) -> None:
    """The column shared1000 of the picture table one row too far."""
    path = root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
    head, *lines = own(path).read_text().splitlines()
    table = [list(pa.array(line.split(",")).to_pylist()) for line in lines]
    at = -len(head.split(",")) + head.split(",").index("shared1000")
    flags = [fields[at] for fields in table]
    for fields, flag in zip(table, [flags[-1], *flags[:-1]], strict=True):
        fields[at] = flag
    path.write_text("\n".join([head, *(",".join(fields) for fields in table)]) + "\n")


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def replaced(name: str, contents: bytes) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        (root / name).unlink()
        (root / name).write_bytes(contents)

    return fault


def flipped(name: str, at: int, gone: str = "") -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        if gone:
            (root / gone).unlink()
        flip(root / name, at)

    return fault


def a_bit_of_a_beta(root: Path) -> None:
    """In the raw data of the HDF5, which has no checksum: only the other format can tell."""
    i, j, k = np.argwhere(np.asarray(nib.load(root / SPACE / "roi/nsdgeneral.nii.gz").dataobj) == 1)[7]
    with h5py.File(own(root / f"{BETAS}.hdf5"), "r+") as file:
        file["betas"][100, k, j, i] ^= 1 << 6


RELEASE_FAULTS = [
    (runs_as_a_public_project_orders_them, "labels.run-order", "imgA_1 has 48 in 18-23"),
    (by_cue_in_consistent_files, "data.seen-or-cued", "labelled by cue"),
    (targets_copied_from_the_cue, "labels.matched-half", "48 trials show the target's own letter"),
    (lambda root: edit_betas(root, lambda betas: np.roll(betas, 1, axis=0)), "data.row-order", "one row late"),
    (lambda root: edit_betas(root, lambda betas: np.roll(betas, -1, axis=0)), "data.row-order", "one row early"),
    (grouped_by_column, "data.row-order", "grouped by target"),
    (lambda root: edit_betas(root, lambda betas: betas[:, :, :, ::-1]), "data.scale", "other axes?"),
    (other_axes, "data.readable", "but the mask has"),
    (other_axes, "files.one-grid", "grid is"),
    (shuffled_voxels, "data.voxel-order", "not better by the voxels that the masks call early"),
    (names_that_count_from_0, "labels.id-base", "is not of the shared 1,000"),
    (shared_pictures_moved, "labels.readable", "but its columns subjectN_repM say that 8 of 8 subjects"),
    (flipped(f"{BETAS}.nii.gz", -5, gone=f"{BETAS}.hdf5"), "data.readable", "damaged or cut short"),
    (flipped(f"{BETAS}.hdf5", 4), "labels.proven", "is not a sound HDF5 file"),
    (a_bit_of_a_beta, "data.formats", "differs in 1 voxels of nsdgeneral"),
    (float_betas, "data.scale", "set beta_scale to 300"),
    (lambda root: edit_betas(root, np.zeros_like), "data.scale", "every row is 0"),
    (mask_in_another_place, "files.one-grid", "corners 1.80 mm apart"),
    (nameless_label, "files.label-tables", "has no name for 5"),
    (one_letter_in_the_design, "labels.design-columns", "is in column"),
    (mixed_epochs, "labels.attention-epochs", "detection epochs in"),
    (design_of_other_times, "labels.onset-times", "but its onset in"),
    (remove("nsddata/bdata/nsdimagery/nsdimagery_subj01_attB.tsv"), "files.present", "attB.tsv: is not there"),
    (remove("nsddata/experiments/nsdimagery/B_pair_list.mat"), "labels.readable", "B_pair_list.mat: no such file"),
    (replaced(f"{SPACE}/roi/nsdgeneral.nii.gz", b"<html>"), "files.one-grid", "nsdgeneral.nii.gz"),
    (replaced("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5", b"<html>"), "files.pictures", "not a sound HDF5 file"),
    (lambda root: edit_runs(root, "visA", another("CUE", "HRVLPE")), "labels.cue-shown", "but CUE is"),
    (lambda root: edit_runs(root, "visB", another("CONDITION", "WKBCDT")), "labels.seen-picture", "FRAMEFILE shows"),
    (lambda root: edit_runs(root, "visC", lambda f, n: {**f, "GROUNDTRUTH": str(1 - float(f["GROUNDTRUTH"]))}),
     "labels.ground-truth", "GROUNDTRUTH is"),
    (lambda root: edit_runs(root, "attC", lambda f, n: {**f, "IMAGEFILE": "x.png"}),
     "labels.target-present", "GROUNDTRUTH is 0"),
    (lambda root: edit_runs(root, "imgA_1", in_trial("CONDITION", "Q")), "labels.letters", "CONDITION is 'Q'"),
    (lambda root: edit_runs(root, "imgB_2", in_trial("BUTTON", "3.0")), "labels.buttons", "BUTTON is 3"),
    (lambda root: edit_runs(root, "imgC_1", in_trial("TRIALONSET", "1.0")), "labels.chronological", "began at"),
    (lambda root: edit_runs(root, "attA", in_trial("TRIAL", "8.0")), "labels.readable", "twice: 8; missing: 7"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "check", "words"), RELEASE_FAULTS, ids=[f"{c}-{w}" for _, c, w in RELEASE_FAULTS])
def test_a_fault_of_a_release_tree_fails_its_check(
    own_release: Path, plant: Callable[[Path], None], check: str, words: str
) -> None:
    plant(own_release)
    found = failed(nsd_imagery.verify(own_release, ["subj01"], deep=True))
    assert check in found, {name: finding.offending or finding.evidence for name, finding in found.items()}
    assert says(found[check], words)


@pytest.mark.parametrize("layout", ["release", "cache"])
def test_sound_trees_their_index_and_their_folder_pass(tmp_path: Path, layout: str) -> None:
    root = nsd_imagery.synth(tmp_path / "root", subjects=("subj01", "subj02"), layout=layout, format="nii.gz")
    folder = nsd_imagery.build(root, tmp_path / "nsd_imagery")
    indices = nsd_imagery.index(root)
    for path, options in (
        (root, {}),
        (indices, {}),
        (indices / "imagery/subj01.parquet", {}),
        (folder, {"root": root}),
    ):
        report = nsd_imagery.verify(path, deep=True, **options)
        assert report.passed, report.to_text()
        assert report.synthetic
    assert {finding.outcome for finding in nsd_imagery.verify(folder, root=root).findings} == {"pass"}


def test_core_passes_and_its_faults_are_found(own_core_release: Path, tmp_path: Path) -> None:
    report = nsd_imagery.verify(own_core_release, deep=True)
    assert report.passed, report.to_text()
    folder = nsd_imagery.build(own_core_release, tmp_path / "d", conditions=["perception"])
    assert nsd_imagery.verify(folder, root=own_core_release, deep=True).passed
    path = own(responses_file(own_core_release, "subj01"))
    head, first, *lines = path.read_text().splitlines()
    fields = first.split("\t")
    fields[head.split("\t").index("73KID")] = "5"
    path.write_text("\n".join([head, "\t".join(fields), *lines]) + "\n")
    assert says(failed(nsd_imagery.verify(own_core_release))["labels.proven"], "line 2: 73KID is 5")
    path.write_text("\n".join([head, first, *lines]) + "\n")
    beta = own(own_core_release / f"{expected_nsd_betas('fithrf_GLMdenoise_RR', 'subj01')}02.hdf5")
    beta.write_bytes(beta.read_bytes()[:100_000])
    assert says(failed(nsd_imagery.verify(own_core_release, deep=True))["labels.proven"], "session02.hdf5")


# ---- faults of an index -------------------------------------------------------------------------------------------


def with_column(name: str, change: Callable[[list], list]) -> Callable[[pa.Table], pa.Table]:
    def fault(rows: pa.Table) -> pa.Table:
        at = rows.schema.get_field_index(name)
        field = rows.schema.field(at)
        return rows.set_column(at, field, pa.array(change(rows[name].to_pylist()), field.type))

    return fault


def at(row: int, value: object) -> Callable[[list], list]:
    return lambda values: [value if n == row else old for n, old in enumerate(values)]


INDEX_FAULTS = [
    (with_column("trial_id", lambda ids: [ids[1], *ids[1:]]), "rows.unique-ids", "comes twice"),
    (with_column("nsd_id", lambda ids: [n and n + 1 for n in ids]), "rows.picture-ids", "a name's number is 1-based"),
    (with_column("nsd_id", at(0, 73_000)), "rows.picture-ids", "nsd_id is 73000"),
    (with_column("beta_index", at(1, 0)), "rows.volumes-once", "is volume 0 of"),
    (with_column("repeat_index", at(5, 7)), "rows.repeats", "repeat_index is"),
    (with_column("condition", lambda names: [{"vision": "imagery", "imagery": "vision"}.get(n, n) for n in names]),
     "rows.run-structure", "but visA is vision A"),
    (with_column("target", lambda names: [names[1], *names[1:]]), "rows.no-target-twice-in-a-row", "as in the trial"),
    (with_column("cue_matches", at(0, None)), "source.labels", "cue_matches is None"),
    (with_column("cue_matches", lambda flags: [1] * len(flags)), "rows.matched-half", "48 of 48 cues match"),
    (lambda rows: rows.take(pa.array(np.r_[1:48, 0, 48:720])), None, ""),
    (with_column("beta_index", lambda values: [(n + 1) % 720 for n in values]), "rows.row-order", "is trial"),
    (lambda rows: rows.drop_columns(["repeat_index"]), "index.columns", "column repeat_index is not there"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "check", "words"), INDEX_FAULTS)
def test_a_fault_of_an_index_fails_its_check(
    release: Path, tmp_path: Path, fault: Callable[[pa.Table], pa.Table], check: str | None, words: str
) -> None:
    path = nsd_imagery.index(release, ["subj01"], out=tmp_path / "indices") / "imagery" / "subj01.parquet"
    pq.write_table(fault(pq.read_table(path)), path)
    report = nsd_imagery.verify(path, root=release)
    if check is None:  # the order of lines means nothing
        assert report.passed, report.to_text()
    else:
        assert says(failed(report)[check], words), report.to_text()


def test_an_index_whose_subjects_are_of_two_beta_versions_is_held_against_both(own_release: Path) -> None:
    shutil.rmtree((own_release / expected_betas("fithrf_GLMdenoise_RR", "subj02")).parent)
    nsd_imagery.index(own_release, ["subj01"])
    nsd_imagery.index(own_release, ["subj02"], betas="fithrf")
    path = own_release / "indices/imagery/full_index.parquet"
    assert nsd_imagery.verify(path).passed, nsd_imagery.verify(path).to_text()
    change = with_column("response", at(720 + 5, 2 if pq.read_table(path)["response"][725].as_py() != 2 else 1))
    pq.write_table(change(pq.read_table(path)), path)
    assert failed(nsd_imagery.verify(path)).keys() == {"source.labels"}


def test_all_that_an_index_says_otherwise_than_its_root_is_told(release: Path, tmp_path: Path) -> None:
    path = nsd_imagery.index(release, ["subj01"], out=tmp_path / "indices") / "imagery" / "subj01.parquet"
    rows = pq.read_table(path)
    rows = with_column("run_name", at(3, "imgC_2"))(with_column("response_time", at(3, 0.25))(rows))
    pq.write_table(with_column("trial_id", at(7, 5))(rows), path)
    found = failed(nsd_imagery.verify(path, root=release))["source.labels"]
    assert found.n_offending == 3
    assert [row.partition(": ")[2].split(" is ")[0] for row in found.offending] == [
        "run_name", "response_time", "the root has no such trial",
    ]  # fmt: skip


# ---- faults of a built folder -------------------------------------------------------------------------------------


def row(**columns: object) -> dict[str, object]:
    known = {"subject": "subj01", "session": 1, "experiment": "nsdimagery", "trial_in_session": 0, "epoch": None}
    return {**known, "run_number": 1, "beta_index": 0, "target": None, "nsd_id": None, **columns}


def test_nsd_has_the_pictures_0_to_72999() -> None:
    def found(nsd_id: int) -> list[str]:
        return list(picture_ids([row(nsd_id=nsd_id, stimulus=f"nsd{nsd_id}")]))

    assert found(0) == found(72_999) == []
    for nsd_id in (-1, 73_000):
        (fault,) = found(nsd_id)
        assert f"nsd_id is {nsd_id}, NSD has 0 to 72999" in fault


def test_a_row_is_out_of_order_where_its_trial_is_before_that_of_the_row_before() -> None:
    def found(*trials: tuple[int | None, int, str | None]) -> list[str]:
        return list(
            row_order(
                [
                    row(run_number=run, trial_in_session=trial, epoch=epoch, beta_index=at)
                    for at, (run, trial, epoch) in enumerate(trials)
                ]
            )
        )

    assert found((1, 0, None), (1, 1, None), (2, 48, "cue"), (2, 48, "detection"), (3, 96, None)) == []
    assert found((None, 5, None), (None, 5, None)) == []  # one trial twice is the business of `unique_ids`
    assert found((1, 0, None), (None, 1, None), (2, 2, None)) == []
    assert len(found((None, 5, None), (1, 4, None))) == 1
    assert len(found((1, 1, None), (1, 0, None))) == 1
    assert len(found((2, 48, "detection"), (2, 48, "cue"))) == 1
    assert len(found((2, 48, None), (1, 0, None))) == 1


def rebuilt(folder: Path, config: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Other rows in a config, in a folder that is sound in itself: shards, manifest and card agree."""
    manifest = read_manifest(folder)
    assert manifest is not None
    ((split, (shard,)),) = manifest.configs[config].splits.items()
    table = change(open_shard(folder / shard.file).replace_schema_metadata()).combine_chunks()
    new = write_shard(folder, config, split, (0, 1), table.schema, batches_of(table))
    changed = replace(manifest.configs[config], splits={split: (replace(new, piece=shard.piece),)})
    seal(folder, replace(manifest, configs={**manifest.configs, config: changed}))


def scaled(factor: float) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        betas = table["betas"].combine_chunks()
        values = pa.array(betas.flatten().to_numpy() * np.float32(factor))
        at = table.schema.get_field_index("betas")
        return table.set_column(at, table.schema.field(at), pa.FixedSizeListArray.from_arrays(values, type=betas.type))

    return change


def by_cue(table: pa.Table) -> pa.Table:
    own_letter = {(r["stimulus_set"], r["cue"]): r for r in table.to_pylist() if r["cue_matches"] == 1}
    rows = table.drop_columns(["betas"]).to_pylist()
    other = [own_letter[row["stimulus_set"], row["cue"]] for row in rows]
    for name in ("target", "stimulus", "nsd_id"):
        table = with_column(name, lambda _, name=name: [row[name] for row in other])(table)
    return table


def damaged_shard(folder: Path) -> None:
    (path,) = (folder / "subj01-imagery").iterdir()
    flip(path, -2000)


def shard_cut_short(folder: Path) -> None:
    (path,) = (folder / "subj01-vision").iterdir()
    path.write_bytes(path.read_bytes()[:-100])


def readme_of_another_build(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    manifest = read_manifest(folder)
    assert manifest is not None
    old = manifest.configs["subj01-imagery"].shards[0].file
    (folder / "README.md").write_text(text.replace(old, old[:-18] + "0123456789ab.arrow"))


def rows_that_the_manifest_does_not_have(folder: Path) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["configs"]["subj01-vision"]["splits"]["test"][0]["rows"] = 143
    path.write_text(json.dumps(manifest))


def voxels_in_another_order(folder: Path) -> None:
    rebuilt(folder, "subj01-voxels", lambda table: table.take(pa.array(np.arange(table.num_rows)[::-1])))


FOLDER_FAULTS = [
    (damaged_shard, "folder.shards", "the manifest says"),
    (shard_cut_short, "folder.shards", "bytes, the manifest says"),
    (lambda folder: shutil.rmtree(folder / "subj01-attention"), "folder.shards", "is not there; build again"),
    (readme_of_another_build, "folder.card", "the card is of another build"),
    (lambda folder: (folder / "README.md").write_text("# mine"), "folder.card", "its YAML cannot be read"),
    (rows_that_the_manifest_does_not_have, "folder.columns", "has 144 rows, the manifest says 143"),
    (voxels_in_another_order, "folder.voxels", "does not count from 0"),
    (lambda folder: rebuilt(folder, "subj01-vision", scaled(2)), "folder.scores", "from 1"),
    (lambda folder: rebuilt(folder, "subj01-vision", scaled(2)), "source.same", "betas differs from"),
    (lambda folder: rebuilt(folder, "subj01-vision", by_cue), "source.same", "nsd_id is|target is|stimulus is"),
    (lambda folder: rebuilt(folder, "subj01-vision", by_cue), "data.seen-or-cued", "by cue"),
    (lambda folder: rebuilt(folder, "subj01-imagery", with_column("coco_id", lambda ids: [7] * len(ids))),
     "source.same", "coco_id is 7"),
    (lambda folder: rebuilt(folder, "subj01-imagery", lambda t: t.drop_columns(["cue"])), "folder.columns", "['cue']"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "check", "words"), FOLDER_FAULTS, ids=[f"{c}-{w}" for _, c, w in FOLDER_FAULTS])
def test_a_fault_of_a_built_folder_fails_its_check(
    release: Path, dataset: Path, tmp_path: Path, plant: Callable[[Path], None], check: str, words: str
) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "nsd_imagery"))
    plant(folder)
    report = nsd_imagery.verify(folder, ["subj01"], root=release)
    assert check in failed(report), report.to_text()
    assert any(says(failed(report)[check], word) for word in words.split("|")), report.to_text()


def test_vision_and_imagery_exchanged_in_a_cache_tree_are_told_from_the_betas(tmp_path: Path) -> None:
    root = nsd_imagery.synth(tmp_path / "cache", layout="cache")
    path = root / "nsd_imagery/metadata/trial_manifest_subj01.csv"
    words = {"perception": "imagery", "imagery": "perception"}
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        if line["run_number"] in "1 3 4 6 7 9".split():
            line["condition"] = words[line["condition"]]

    def found(*without: str) -> dict[str, Finding]:
        with path.open("w", newline="") as file:
            names = [name for name in lines[0] if name not in without]
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(lines)
        return failed(nsd_imagery.verify(root))

    assert says(found()["labels.proven"], "condition is 'imagery', but run_name is visA")
    swapped = found("run_name", "target", "cue", "cue_matches")["data.vision-against-imagery"]
    assert says(swapped, "vision and imagery swapped")


def with_one_score_of_each_group_changed(folder: Path) -> int:
    """How many groups there are: a run and epoch each, and one of the rows that have no run number."""
    changed = set()

    def change(table: pa.Table) -> pa.Table:
        betas = matrix(table["betas"]).copy()
        for at, (run, epoch) in enumerate(
            zip(table["run_number"].to_pylist(), table["epoch"].to_pylist(), strict=True)
        ):
            group = (run, epoch) if run > 0 else (-1, "")
            betas[at, varies] += 0 if group in changed else 10
            changed.add(group)
        at = table.schema.get_field_index("betas")
        values = pa.FixedSizeListArray.from_arrays(betas.reshape(-1), type=table.schema.field(at).type)
        return table.set_column(at, table.schema.field(at), values)

    stats = nsd_imagery.load(folder, "subj01-stats", "train")
    varies = int(matrix(stats.data.column("sd")).min(axis=0).argmax())
    for condition in ("imagery", "vision", "attention"):
        rebuilt(folder, f"subj01-{condition}", change)
    return len(changed)


def test_scores_are_checked_in_each_group_where_only_some_trials_have_a_run(tmp_path: Path) -> None:
    root = nsd_imagery.synth(tmp_path / "cache", layout="cache", format="hdf5")
    path = root / "nsd_imagery/metadata/trial_manifest_subj01.csv"
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        without = ("visA", "visB", "visC", "attB")
        writer.writerows({**line, "run_number": ""} if line["run_name"] in without else line for line in lines)
    folder = nsd_imagery.build(root, tmp_path / "d")
    report = nsd_imagery.verify(folder, root=root)
    assert not failed(report), report.to_text()
    n_groups = with_one_score_of_each_group_changed(folder)
    assert n_groups == 6 + 2 * 2 + 1
    found = failed(nsd_imagery.verify(folder, root=root))["folder.scores"]
    assert found.n_offending == n_groups
    assert "subj01/nsdimagery/01 session: means up to" in found.offending[0]


def test_rows_that_the_statistics_do_not_name_fail_the_check_of_scores(dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "nsd_imagery"))
    rebuilt(folder, "subj01-stats", lambda stats: stats.slice(1))
    report = nsd_imagery.verify(folder, ["subj01"])
    assert says(failed(report)["folder.scores"], "subj01/nsdimagery/01: -stats has no group of 48 rows; build again")
    assert {f.outcome for f in report.findings if f.id == "data.seen-target"} == {"skipped"}


def test_subjects_are_pooled_and_a_report_can_be_read_by_all(release: Path, tmp_path: Path) -> None:
    report = nsd_imagery.verify(release)
    assert any(finding.scope == "2 subjects pooled" for finding in report.findings)
    said = json.loads(report.dumps())
    assert said["passed"] is True
    assert len(said["findings"]) == len(report.findings)
    assert {"id", "proves", "scope", "outcome", "evidence", "offending", "n_offending"} == set(said["findings"][0])
    lines = report.to_markdown().splitlines()
    assert all(line.count(" | ") == 2 for line in lines[2:])
    assert {line.split(" | ")[0][2:] for line in lines[2:]} == {finding.id for finding in report.findings}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nsd_imagery", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_the_command_prints_failures_first_and_exits_1(own_release: Path, tmp_path: Path) -> None:
    good = run(own_release, "--subjects", "subj01", "--json", tmp_path / "report.json")
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads((tmp_path / "report.json").read_text())["passed"] is True
    edit_runs(own_release, "imgB_2", in_trial("BUTTON", "3.0"))
    bad = run(own_release, "--subjects", "subj01")
    assert (bad.returncode, bad.stderr) == (1, "")
    first, second, third = bad.stdout.splitlines()[:3]
    assert "FAILED" in first
    assert "labels.buttons" in second
    assert "imgB_2.tsv, TRIAL 7: BUTTON is 3" in third


def test_what_is_not_there_is_one_line(release: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="no such file or folder"):
        nsd_imagery.verify(tmp_path / "nowhere")
    with pytest.raises(MissingDataError, match="no betas"):
        nsd_imagery.verify(tmp_path)
    with pytest.raises(UsageError, match="did you mean 'subj01'"):
        nsd_imagery.verify(release, ["sub01"])
    with pytest.raises(MissingDataError, match="name the root that the dataset was built from"):
        nsd_imagery.verify(dataset, root=tmp_path / "nowhere")


def empty_volumes(root: Path, volumes: list[int], nothing: float) -> None:
    """Percent signal change as floats, in .hdf5 alone, with nothing in some volumes."""
    (root / f"{BETAS}.nii.gz").unlink()
    with h5py.File(own(root / f"{BETAS}.hdf5"), "r+") as file:
        betas = file["betas"][:].astype(np.float32) / 300
        betas[volumes] = nothing
        del file["betas"]
        file.create_dataset("betas", data=betas, chunks=(720, 1, 1, 1))


@pytest.mark.parametrize("nothing", [0, np.nan])
def test_the_scale_counts_the_rows_without_data_and_names_the_first(own_release: Path, nothing: float) -> None:
    empty_volumes(own_release, [3, *range(90, 98)], nothing)
    report = nsd_imagery.verify(own_release, ["subj01"])
    (scale,) = (finding for finding in report.findings if finding.id == "data.scale")
    assert scale.outcome == "pass"
    assert "9 of 720 rows without data (volumes, from 0: 3, 90, 91, 92, 93, ...);" in scale.evidence
    assert scale.evidence in report.to_text()


def test_up_to_five_rows_without_data_are_all_named() -> None:
    stored = np.random.default_rng(0).integers(-900, 900, (720, 40), dtype=np.int16)
    header = BetaHeader(Grid((40, 1, 1), None), 720, stored.dtype, Scaling.of(stored.dtype))
    for volumes, words in (
        ([], "0 of 720 rows without data;"),
        ([719], "1 of 720 rows without data (volumes, from 0: 719);"),
        ([0, 1, 5, 8, 719], "5 of 720 rows without data (volumes, from 0: 0, 1, 5, 8, 719);"),
        ([0, 1, 5, 8, 9, 719], "6 of 720 rows without data (volumes, from 0: 0, 1, 5, 8, 9, ...);"),
    ):
        is_valid = ~np.isin(np.arange(720), volumes)
        assert words in check_values(Path("betas.hdf5"), Betas(header, stored, is_valid, None), None, "subj01").evidence


def test_a_root_with_nothing_but_nan_fails_its_scale(own_release: Path) -> None:
    empty_volumes(own_release, [*range(720)], np.nan)
    found = failed(nsd_imagery.verify(own_release, ["subj01"]))
    assert says(found["data.scale"], "every row is 0 or NaN in the whole brain")


def test_a_root_without_early_visual_cortex_skips_what_needs_it_and_says_why(own_release: Path) -> None:
    (own_release / SPACE / "roi/prf-visualrois.nii.gz").unlink()
    report = nsd_imagery.verify(own_release, ["subj01"])
    assert report.passed
    skipped = {finding.id: finding for finding in report.findings if finding.outcome == "skipped"}
    assert "no mask prf-visualrois.nii.gz" in skipped["data.seen-target"].evidence


def test_a_damaged_index_or_manifest_is_a_finding_or_one_line(tmp_path: Path) -> None:
    (tmp_path / "subj01.parquet").write_text("<html>")
    assert says(failed(nsd_imagery.verify(tmp_path / "subj01.parquet"))["index.columns"], "not a sound Parquet file")


@pytest.mark.parametrize(
    "front",
    [
        "configs: 1\n",
        "configs: [1, {config_name: [a]}]\ndataset_info: []\n",
        "configs: [{config_name: 3}, {config_name: x}]\ndataset_info: [{config_name: null}]\n",
        "configs: " + "[" * 5000 + "\n",
        "configs: 2020-99-99\n",
        "when: 0001-01-01T99:99:99Z\n",
        "a: !!python/object/apply:os.system [id]\n",
        "? {a: 1}\n: 2\n",
        "a: &a [x]\nb: *nothing\n",
        '"\\e]0;x\\a": 1\n',
        "configs: [{config_name: \"\\e[2J\"}]\ndataset_info: []\n",
    ],
)  # fmt: skip
def test_front_matter_that_nobody_wrote_is_a_finding_that_a_terminal_can_show(
    dataset: Path, tmp_path: Path, front: str
) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d", copy_function=shutil.copyfile))
    (folder / "README.md").unlink()
    (folder / "README.md").write_text(f"---\n{front}---\n# x\n")
    found = [finding for finding in nsd_imagery.verify(folder).findings if finding.id == "folder.card"]
    assert [finding.outcome for finding in found] == ["fail"]
    assert all(line.isprintable() for finding in found for line in finding.offending)
