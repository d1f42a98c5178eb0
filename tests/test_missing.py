"""All that a root lacks is named at once, with where the release has it; so is a sound file beside a damaged one."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nsd_imagery
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.sources.missing import size_of_betas
from nsd_imagery.sources.release_files import expected_betas
from nsd_imagery.volumes.anatomy import RELEASE_ATLASES
from nsd_imagery.volumes.roi_masks import masks_of, tables_of

pytestmark = pytest.mark.slow

BUCKET = "s3://natural-scenes-dataset"
BETAS = expected_betas("fithrf_GLMdenoise_RR", "subj01")
GONE = [
    "nsddata/bdata/nsdimagery/nsdimagery_subj01_attB.tsv",
    "nsddata/bdata/nsdimagery/nsdimagery_subj02_visA.tsv",
    "nsddata/experiments/nsdimagery/B_pair_list.mat",
    "nsddata/experiments/nsdimagery/designmatrixGLMsingle.mat",
]
MASKS = [f"nsddata/ppdata/subj02/func1pt8mm/roi/{name}.nii.gz" for name in ("nsdgeneral", "prf-visualrois")]
TABLE = "nsddata/freesurfer/subj01/label/prf-visualrois.mgz.ctab"


def listed(error: BaseException) -> set[str]:
    """The files that an error lists, by their places in the release."""
    lines = str(error).splitlines()[1:]
    assert all(line.startswith(f"  {BUCKET}/") for line in lines)
    return {line.removeprefix(f"  {BUCKET}/").partition(" ")[0] for line in lines}


@pytest.fixture
def half(own_release: Path) -> Path:
    for name in [*GONE, *MASKS, TABLE]:
        (own_release / name).unlink()
    return own_release


def test_an_index_names_all_tables_that_are_missing(half: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.index(half)
    assert listed(caught.value) == set(GONE)


def test_a_build_names_tables_and_the_masks_of_what_was_asked(half: Path, tmp_path: Path) -> None:
    def lacking(**options: object) -> set[str]:
        with pytest.raises(MissingDataError) as caught:
            nsd_imagery.build(half, tmp_path / "d", **options)
        return listed(caught.value)

    assert lacking() == {*GONE, MASKS[0]}
    assert lacking(roi="early") == {*GONE, *MASKS, TABLE}
    assert lacking(roi="V1", subjects=["subj01"]) == {*GONE, TABLE} - {GONE[1]}
    assert not (tmp_path / "d").exists()


def test_of_subjects_without_betas_all_that_they_need_is_named_with_sizes(half: Path, tmp_path: Path) -> None:
    for work in (
        lambda: nsd_imagery.build(half, tmp_path / "d", subjects=["subj01", "subj03", "subj04"]),
        lambda: nsd_imagery.verify(half, ["subj03", "subj04"]),
    ):
        with pytest.raises(MissingDataError, match=r"no betas of subj03, subj04 .* here are: subj01, subj02") as caught:
            work()
        said = str(caught.value)
        assert f"{BUCKET}/{BETAS.replace('01', '03')}.nii.gz (376 to 519 MB; or .hdf5, 1,060 MB)" in said
        assert f"{BUCKET}/{BETAS.replace('01', '04')}.nii.gz (376 to 519 MB; or .hdf5, 1,013 MB)" in said
        assert sum(f"nsdimagery_{subject}_" in said for subject in ("subj03", "subj04")) == 2
        assert {GONE[2], GONE[3]} <= listed(caught.value)


def test_core_that_was_asked_for_names_its_betas_and_both_of_its_tables(own_release: Path, tmp_path: Path) -> None:
    info = "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
    (own_release / info).unlink()
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj02"], conditions=["imagery", "perception"])
    core = "nsddata_betas/ppdata/subj02/func1pt8mm/betas_fithrf_GLMdenoise_RR/betas_sessionNN.nii.gz"
    assert listed(caught.value) == {core, info, "nsddata/ppdata/subj02/behav/responses.tsv"}
    fetch = f"nsd-imagery download {own_release} --subjects subj02 --conditions imagery,perception --masked"
    assert f", or run: {fetch}:\n" in str(caught.value)


def test_one_file_that_is_missing_is_one_line_with_both_places(own_release: Path) -> None:
    (own_release / GONE[0]).unlink()
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.index(own_release)
    fetch = f"nsd-imagery download {own_release} --subjects subj01"
    assert (
        str(caught.value) == f"{own_release / GONE[0]}: no such file; copy it from {BUCKET}/{GONE[0]}, or run: {fetch}"
    )


def test_betas_that_manifests_name_are_all_named_where_they_are_missing(tmp_path: Path) -> None:
    subjects = ("subj01", "subj02")
    root = nsd_imagery.synth(tmp_path / "cache", layout="cache", format="nii.gz", subjects=subjects)
    gone = sorted((root / "nsd_imagery/betas").rglob("*.nii.gz"))
    for path in gone:
        path.unlink()
    names = [path.relative_to(root).as_posix() for path in gone]
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.index(root)
    assert str(caught.value).splitlines()[1:] == [
        f"  {name} (which trial_manifest_{subject}.csv names)" for subject, name in zip(subjects, names, strict=True)
    ]
    report = nsd_imagery.verify(root)
    assert [(one.id, one.scope) for one in report.of("fail")] == [("files.present", subject) for subject in subjects]
    with pytest.raises(MissingDataError, match=r"no such file: copy it there|which .* needs: copy it there"):
        nsd_imagery.index(root, ["subj01"])


def test_sizes_of_betas_are_those_of_the_release() -> None:
    """As its listing has them: 1,052,494,008 bytes of subj01's HDF5."""
    assert size_of_betas("subj01") == "470 MB; or .hdf5, 1,052 MB"
    assert size_of_betas("subj06") == "376 to 519 MB; or .hdf5, 1,200 MB"


def test_masks_that_a_name_needs_are_told_from_the_name() -> None:
    assert masks_of(["Early"]) == masks_of(["higher"]) == ("nsdgeneral", "prf-visualrois")
    assert masks_of(["nsdgeneral", "early", "V1+hV4", "nsdgeneral&V1d"]) == ("nsdgeneral", "prf-visualrois")
    assert masks_of(["lh.nsdgeneral", "kastner2015:V1v", "masks/V1.nii.gz", "FFA"]) == (
        "lh.nsdgeneral",
        "Kastner2015",
    )
    assert all(masks_of([atlas]) == (atlas,) for atlas in RELEASE_ATLASES)
    assert tables_of(["nsdgeneral", "prf-visualrois", "floc-faces:FFA-1", "streams:early"]) == ("floc-faces",)


def cut(path: Path) -> None:
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[: len(raw) // 2])


def without_checksum(path: Path) -> None:
    """A packed file whose last bytes, the CRC, are of other contents: its header is sound."""
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1
    path.unlink()
    path.write_bytes(raw)


def test_the_error_about_a_damaged_hdf5_names_the_sound_nifti_beside_it(own_release: Path, tmp_path: Path) -> None:
    cut(own_release / f"{BETAS}.hdf5")
    words = r"is not a sound HDF5 file .*; or use betas_nsdimagery\.nii\.gz beside it, which is sound$"
    for work in (
        lambda: nsd_imagery.build(own_release, tmp_path / "d"),
        lambda: nsd_imagery.index(own_release),
    ):
        with pytest.raises(DataError, match=words):
            work()
    (finding,) = nsd_imagery.verify(own_release, ["subj01"]).of("fail")
    assert finding.offending[0].endswith("or use betas_nsdimagery.nii.gz beside it, which is sound")


def test_the_error_about_a_damaged_nifti_names_the_sound_hdf5_beside_it(own_release: Path) -> None:
    without_checksum(own_release / f"{BETAS}.nii.gz")
    (finding,) = nsd_imagery.verify(own_release, ["subj01"], deep=True).of("fail")
    assert finding.offending[0].endswith("or use betas_nsdimagery.hdf5 beside it, which is sound")


@pytest.mark.parametrize("damage", [cut, without_checksum, Path.unlink])
def test_no_file_is_called_sound_that_is_not(own_release: Path, damage: Callable[[Path], None]) -> None:
    cut(own_release / f"{BETAS}.hdf5")
    damage(own_release / f"{BETAS}.nii.gz")
    with pytest.raises(DataError, match="is not a sound HDF5 file") as caught:
        nsd_imagery.index(own_release)
    assert "beside it" not in str(caught.value)


def on_a_terminal(*arguments: object) -> str:
    """What the command says on a terminal, standard error alone."""
    mine, its = pty.openpty()
    command = [sys.executable, "-m", "nsd_imagery", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=its) as process:
        os.close(its)
        said = b""
        while process.poll() is None or said.count(b"\n") == 0:
            try:
                said += os.read(mine, 1 << 16)
            except OSError:  # its end is closed
                break
    os.close(mine)
    return said.decode().replace("\r\n", "\n")


def test_a_list_is_a_line_a_file_on_a_terminal_and_one_line_elsewhere(half: Path) -> None:
    shown = on_a_terminal("index", half).rpartition("\r")[2].splitlines()
    in_order = [GONE[2], GONE[3], GONE[0], GONE[1]]  # tables of all subjects, then those of each
    assert [line for line in shown if line.startswith("  s3://")] == [f"  {BUCKET}/{name}" for name in in_order]
    command = [sys.executable, "-m", "nsd_imagery", "index", str(half)]
    piped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (piped.returncode, piped.stderr.count("\n")) == (1, 1)
    assert all(f"{BUCKET}/{name}" in piped.stderr for name in GONE)
