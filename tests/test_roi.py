"""ROIs by name, against numpy's selection from the atlases."""

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

import nsd_imagery
from nsd_imagery.dataset.names import roi_suffix
from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.sources.release_files import anatomy
from nsd_imagery.volumes.anatomy import Anatomy, read_label_table
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import resolve
from nsd_imagery.volumes.voxels import voxel_tables


@pytest.fixture(scope="module")
def subject(release: Path) -> Anatomy:
    return anatomy(release, "subj01")


def atlas(subject: Anatomy, name: str) -> np.ndarray:
    return np.asarray(nib.load(subject.atlases[name]).dataobj)


@pytest.mark.parametrize(
    ("name", "source", "labels"),
    [
        ("nsdgeneral", "nsdgeneral", [1]),
        ("V1", "prf-visualrois", [1, 2]),
        ("V2", "prf-visualrois", [3, 4]),
        ("V3", "prf-visualrois", [5, 6]),
        ("hV4", "prf-visualrois", [7]),
        ("V1v", "prf-visualrois", [1]),
        ("prf-visualrois:V1d", "prf-visualrois", [2]),
        ("streams:ventral", "streams", [5]),
        ("OFA", "floc-faces", [1]),
        ("Kastner2015:V1v", "Kastner2015", [1]),
    ],
)
def test_a_name_is_the_voxels_of_its_labels(subject: Anatomy, name: str, source: str, labels: list[int]) -> None:
    roi = resolve(name, Maps(subject))
    np.testing.assert_array_equal(roi.flat, np.flatnonzero(np.isin(atlas(subject, source), labels)))
    assert roi.flat.size > 0


def test_early_and_higher_make_up_nsdgeneral(subject: Anatomy) -> None:
    early, higher, general = (resolve(name, Maps(subject)).flat for name in ("early", "higher", "nsdgeneral"))
    np.testing.assert_array_equal(np.sort(np.concatenate([early, higher])), general)
    visual = atlas(subject, "prf-visualrois").reshape(-1)
    assert (visual[early] > 0).all()
    assert not (visual[higher] > 0).any()


def test_an_intersection_is_what_both_have(subject: Anatomy) -> None:
    both = resolve("nsdgeneral&V1", Maps(subject)).flat
    expected = np.intersect1d(resolve("nsdgeneral", Maps(subject)).flat, resolve("V1", Maps(subject)).flat)
    np.testing.assert_array_equal(both, expected)


def test_minus_1_is_not_inside_a_mask(subject: Anatomy) -> None:
    values = atlas(subject, "nsdgeneral")
    assert (values == -1).any()
    assert resolve("nsdgeneral", Maps(subject)).flat.size == (values == 1).sum()


def test_a_bare_name_of_several_atlases_is_an_error_that_lists_them(subject: Anatomy, tmp_path: Path) -> None:
    tables = {}
    for name in ("HCP_MMP1", "corticalsulc"):
        tables[name] = tmp_path / f"{name}.mgz.ctab"
        tables[name].write_text("0 Unknown 0 0 0 0\n1 same 255 0 0 0\n")
    twice = Anatomy("subj01", subject.atlases, {**subject.label_tables, **tables})
    with pytest.raises(UsageError, match="write HCP_MMP1:same or corticalsulc:same"):
        resolve("same", Maps(twice))


def test_a_table_without_its_atlas_takes_no_label_from_an_atlas_that_is_there(subject: Anatomy) -> None:
    """fsaverage's tables are often copied whole; Kastner2015 and HCP_MMP1 both have an FEF."""
    atlases = {name: path for name, path in subject.atlases.items() if name != "Kastner2015"}
    found = resolve("FEF", Maps(Anatomy("subj01", atlases, subject.label_tables)))
    np.testing.assert_array_equal(found.flat, resolve("HCP_MMP1:FEF", Maps(subject)).flat)
    with pytest.raises(UsageError, match="write HCP_MMP1:FEF or Kastner2015:FEF"):
        resolve("FEF", Maps(subject))


def test_a_missing_label_table_is_named_with_all_places_where_it_was_looked_for(subject: Anatomy) -> None:
    with pytest.raises(MissingDataError, match=r"no label table prf-visualrois\.mgz\.ctab") as caught:
        resolve("V1", Maps(Anatomy("subj01", subject.atlases)))
    for place in ("freesurfer/subj01/label", "freesurfer/fsaverage/label", "templates/prf-visualrois.ctab"):
        assert f"nsddata/{place}" in str(caught.value)


@pytest.mark.parametrize("line", ["x V1 0 0 0 0", "3", "1 again 0 0 0 0", "9 V1v 0 0 0 0"])
def test_a_damaged_label_table_names_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.ctab"
    path.write_text(f"0 Unknown 0 0 0 0\n1 V1v 255 0 0 0\n{line}\n")
    with pytest.raises(DataError, match=r"t\.ctab, line 3"):
        read_label_table(path)


def test_names_become_config_suffixes_without_colons_and_folders() -> None:
    assert roi_suffix("nsdgeneral") == ""
    assert roi_suffix("prf-visualrois:V1v") == "-prf-visualrois.V1v"
    assert roi_suffix("masks/my area.nii.gz") == "-my.area"


def test_a_bare_name_that_floc_and_another_atlas_have_is_flocs(subject: Anatomy, tmp_path: Path) -> None:
    def with_tables(*atlases: str) -> Anatomy:
        tables = {name: tmp_path / f"{name}.mgz.ctab" for name in atlases}
        for table in tables.values():
            table.write_text("0 Unknown 0 0 0 0\n1 OFA 255 0 0 0\n")
        return Anatomy("subj01", subject.atlases, {**subject.label_tables, **tables})

    expected = np.flatnonzero(atlas(subject, "floc-faces") == 1)
    for others in (["HCP_MMP1"], ["HCP_MMP1", "corticalsulc"]):
        np.testing.assert_array_equal(resolve("OFA", Maps(with_tables(*others))).flat, expected)
    with pytest.raises(UsageError, match=r"write floc-bodies:OFA or floc-faces:OFA$"):
        resolve("OFA", Maps(with_tables("floc-bodies", "HCP_MMP1")))


def test_x_y_z_are_where_nibabel_puts_the_voxel(subject: Anatomy, tmp_path: Path) -> None:
    tilted = np.array([[-1.7, 0.2, 0.1, 70], [0.3, 1.6, -0.2, -90], [0, 0.4, 1.8, -33], [0, 0, 0, 1]])
    for affine in (nib.load(subject.atlases["nsdgeneral"]).affine, tilted):
        assert (affine[:3, 3] != 0).all()
        values = np.asarray(nib.load(subject.atlases["nsdgeneral"]).dataobj)
        nib.save(nib.Nifti1Image(values, affine), tmp_path / "nsdgeneral.nii.gz")
        own = Maps(Anatomy("subj01", {"nsdgeneral": tmp_path / "nsdgeneral.nii.gz"}))
        (table,) = voxel_tables([resolve("nsdgeneral", own)], own)
        ijk = np.argwhere(values == 1)
        np.testing.assert_array_equal(np.stack([table[axis] for axis in "ijk"], axis=1), ijk)
        np.testing.assert_allclose(
            np.stack([table[axis] for axis in "xyz"], axis=1), apply_affine(affine, ijk), atol=1e-4
        )


def inside(subject: Anatomy, name: str) -> np.ndarray:
    """The voxels of nsdgeneral, or of an atlas."""
    values = atlas(subject, name)
    return values == 1 if name == "nsdgeneral" else values > 0


def one_side(subject: Anatomy, side: str, name: str, labels: list[int]) -> np.ndarray:
    volumes = subject.left if side == "lh" else subject.right
    return np.isin(np.asarray(nib.load(volumes[name]).dataobj), labels)


V1, V2, V4 = [1, 2], [3, 4], [7]

COMBINED = {
    "V1+V2": lambda s: np.isin(atlas(s, "prf-visualrois"), [*V1, *V2]),
    "V1 + hV4": lambda s: np.isin(atlas(s, "prf-visualrois"), [*V1, *V4]),
    "floc-faces": lambda s: inside(s, "floc-faces"),
    "Kastner2015": lambda s: inside(s, "Kastner2015"),
    "FFA": lambda s: np.isin(atlas(s, "floc-faces"), [2, 3]),
    "floc-faces:FFA": lambda s: np.isin(atlas(s, "floc-faces"), [2, 3]),
    "FFA+PPA": lambda s: np.isin(atlas(s, "floc-faces"), [2, 3]) | (atlas(s, "floc-places") == 2),
    "nsdgeneral&V1+streams:ventral": lambda s: (
        inside(s, "nsdgeneral") & np.isin(atlas(s, "prf-visualrois"), V1) | (atlas(s, "streams") == 5)
    ),
    "streams:ventral+V1&nsdgeneral": lambda s: (
        inside(s, "nsdgeneral") & np.isin(atlas(s, "prf-visualrois"), V1) | (atlas(s, "streams") == 5)
    ),
    "lh.V1": lambda s: one_side(s, "lh", "prf-visualrois", V1),
    "rh.nsdgeneral": lambda s: one_side(s, "rh", "nsdgeneral", [1]),
    "lh.streams:ventral&nsdgeneral": lambda s: one_side(s, "lh", "streams", [5]) & inside(s, "nsdgeneral"),
    "rh.floc-faces": lambda s: one_side(s, "rh", "floc-faces", [1, 2, 3, 4, 5]),
    "lh.early": lambda s: one_side(s, "lh", "nsdgeneral", [1]) & one_side(s, "lh", "prf-visualrois", [*range(1, 8)]),
    "lh.V1+rh.V1": lambda s: np.isin(atlas(s, "prf-visualrois"), V1),
    "ecc4+": lambda s: atlas(s, "prf-eccrois") == 5,
    "ecc4++V1": lambda s: (atlas(s, "prf-eccrois") == 5) | np.isin(atlas(s, "prf-visualrois"), V1),
    "ecc4+&V1": lambda s: (atlas(s, "prf-eccrois") == 5) & np.isin(atlas(s, "prf-visualrois"), V1),
}


@pytest.mark.parametrize("name", COMBINED)
def test_unions_atlases_areas_and_hemispheres_are_what_numpy_takes_from_the_volumes(
    subject: Anatomy, name: str
) -> None:
    roi = resolve(name, Maps(subject))
    np.testing.assert_array_equal(roi.flat, np.flatnonzero(COMBINED[name](subject)))
    assert roi.name == name.replace(" ", "")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("v1", "V1"), ("ffa", "FFA"), ("v1v", "V1v"), ("LH.v1", "lh.V1"), ("Early", "early"), ("FLOC-FACES", "floc-faces"),
     ("STREAMS:Ventral", "streams:ventral"), ("NSDGeneral & hv4", "nsdgeneral&hV4"), ("ppa+ffa", "PPA+FFA")],
)  # fmt: skip
def test_letters_of_another_case_mean_the_only_name_that_has_them(subject: Anatomy, written: str, meant: str) -> None:
    roi, other = resolve(written, Maps(subject)), resolve(meant, Maps(subject))
    assert roi.name == meant
    np.testing.assert_array_equal(roi.flat, other.flat)


def test_two_spellings_of_a_roi_are_one_config(release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(
        release,
        tmp_path / "d",
        subjects=["subj01"],
        conditions=["imagery"],
        roi=["v1", "V1", "nsdgeneral&V3", "nsdgeneral & v3"],
    )
    assert sorted(path.name for path in folder.glob("subj01-imagery*")) == [
        "subj01-imagery-V1", "subj01-imagery-nsdgeneral&V3",
    ]  # fmt: skip


def test_combined_rois_are_built_loaded_and_verified_against_their_root(release: Path, tmp_path: Path) -> None:
    names = ["lh.V1", "rh.streams:ventral", "V1+V2", "floc-faces", "FFA", "ecc4+", "V1&lh.nsdgeneral"]
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], conditions=["imagery"], roi=names)
    for name in names:
        rows = nsd_imagery.NSDImageryDataset(folder, condition="imagery", roi=name)
        assert rows[0]["betas"].shape == (nsd_imagery.find_roi(release, "subj01", name).flat.size,)
    report = nsd_imagery.verify(folder, root=release)
    assert report.passed, report.to_text()


@pytest.mark.parametrize("folder", ["a+b", "a&b", "a + b & c"])
def test_a_mask_file_may_lie_in_a_folder_whose_name_has_operators(
    subject: Anatomy, tmp_path: Path, folder: str
) -> None:
    mask = tmp_path / folder / "mine.nii.gz"
    mask.parent.mkdir()
    general = inside(subject, "nsdgeneral").astype(np.uint8)
    nib.save(nib.Nifti1Image(general, nib.load(subject.brain).affine), mask)
    np.testing.assert_array_equal(resolve(str(mask), Maps(subject)).flat, np.flatnonzero(general))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("V1+Vv2", "no ROI 'Vv2' .did you mean 'V2'"),
        ("lh.V9", "no ROI 'V9'"),
        ("V1+", "no ROI 'V1.'"),
        ("V1&", "no ROI ''"),
        ("", "no ROI ''"),
        ("lh.", "no ROI 'lh.'"),
        ("floc-face", "did you mean 'floc-faces'"),
        ("flocfaces:FFA", "no atlas 'flocfaces' .did you mean 'floc-faces'"),
        ("floc-faces:FFB", "floc-faces has no label 'FFB'"),
    ],
)
def test_a_typo_in_any_part_is_one_line_with_what_is_near(subject: Anatomy, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        resolve(name, Maps(subject))
    assert "\n" not in str(raised.value)


def test_a_hemisphere_that_is_not_there_is_named(own_release: Path) -> None:
    for path in own_release.glob("nsddata/ppdata/subj01/func1pt8mm/roi/rh.*.nii.gz"):
        path.unlink()
    with pytest.raises(MissingDataError, match=r"no mask rh\.prf-visualrois\.nii\.gz"):
        nsd_imagery.find_roi(own_release, "subj01", "rh.V1")


def test_every_roi_that_is_listed_can_be_named_and_has_the_size_that_is_listed(release: Path, subject: Anatomy) -> None:
    (listing,) = nsd_imagery.rois(release, "subj01")
    general = inside(subject, "nsdgeneral").reshape(-1)
    names = [roi.name for roi in listing.rois]
    assert len(set(names)) == len(names)
    assert names[:7] == ["nsdgeneral", "early", "higher", "V1", "V2", "V3", "hV4"]
    assert {"FFA", "FFA-1", "ecc4+", "HCP_MMP1:V1", "streams:early", "Kastner2015", "ventral"} <= set(names)
    for roi in listing.rois:
        found = nsd_imagery.find_roi(release, "subj01", roi.name)
        assert (found.name, found.flat.size, general[found.flat].sum()) == (roi.name, roi.n_voxels, roi.n_in_nsdgeneral)


def test_rois_of_a_root_are_listed_whatever_version_its_betas_are_of(own_release: Path) -> None:
    for folder in own_release.glob("nsddata_betas/ppdata/subj0*/func1pt8mm/*GLMdenoise_RR"):
        shutil.rmtree(folder)
    assert [one.subject for one in nsd_imagery.rois(own_release)] == ["subj01", "subj02"]


def test_a_listing_says_what_is_missing_for_the_rest(own_release: Path) -> None:
    label = own_release / "nsddata/freesurfer/subj01/label"
    for name in ("streams", "HCP_MMP1", "floc-faces", "prf-visualrois"):
        for path in own_release.rglob(f"{name}.mgz.ctab"):
            path.unlink()
    roi = own_release / "nsddata/ppdata/subj01/func1pt8mm/roi"
    (roi / "Kastner2015.nii.gz").unlink()
    (roi / "corticalsulc.nii.gz").unlink()
    (roi / "corticalsulc.nii.gz").write_bytes(b"<html>")
    (listing,) = nsd_imagery.rois(own_release, ["subj01"])
    said = "\n".join(listing.missing)
    for words in (
        "early: subj01: no label table prf-visualrois", "V1: subj01: no label table prf-visualrois",
        "labels of streams: subj01: no label table", "labels of HCP_MMP1: subj01: no label table",
        "Kastner2015: there is no Kastner2015.nii.gz", "corticalsulc.nii.gz",
    ):  # fmt: skip
        assert words in said, words
    names = {roi.name for roi in listing.rois}
    assert {"nsdgeneral", "streams", "floc-faces", "HCP_MMP1", "PPA"} <= names
    assert not {"V1", "early", "FFA", "Kastner2015", "corticalsulc"} & names
    assert label.is_dir()


def test_the_command_lists_rois_for_people_and_for_programs(release: Path) -> None:
    run = partial(subprocess.run, capture_output=True, text=True, check=False)
    command = [sys.executable, "-m", "nsd_imagery", "rois", str(release)]
    text = run([*command, "--subject", "subj01"])
    assert text.returncode == 0
    assert text.stdout.startswith("subj01\n  ROI ")
    assert "lh. or rh. before" in text.stdout
    listed = json.loads(run([*command, "--json"]).stdout)
    assert [one["subject"] for one in listed] == [one.subject for one in nsd_imagery.rois(release)]
    assert listed[0]["rois"][0]["name"] == "nsdgeneral"
    wrong = run([*command, "--subject", "subj09"])
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
