"""ROIs by name, against numpy's selection from the atlases."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

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


def test_a_missing_label_table_is_named(subject: Anatomy) -> None:
    with pytest.raises(MissingDataError, match=r"no label table prf-visualrois\.mgz\.ctab"):
        resolve("V1", Maps(Anatomy("subj01", subject.atlases)))


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
