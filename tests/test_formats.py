"""Masks and atlases that are not packed NIfTI: unpacked ones are read, of others one line says what to run."""

import bz2
import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.freesurfer.mghformat import MGHImage

import nsd_imagery
from nsd_imagery.errors import DataError, NSDImageryError
from nsd_imagery.sources.release_files import anatomy
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import resolve

pytestmark = pytest.mark.slow

SPACE = "nsddata/ppdata/subj01/func1pt8mm"


def unpack(path: Path) -> Path:
    """As gunzip leaves it."""
    unpacked = path.with_suffix("")
    unpacked.write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    return unpacked


def saved_as(path: Path, place: Path, ending: str) -> Path:
    """A mask in another format, of the same name."""
    other = place / f"{path.name.removesuffix('.nii.gz')}{ending}"
    image = nib.load(path)
    data = np.asarray(image.dataobj).astype(np.int32)
    if ending in (".mgz", ".mgh"):
        nib.save(MGHImage(data, image.affine), other)
    elif ending in (".img", ".hdr"):
        nib.save(nib.Nifti1Pair(data.astype(np.int16), image.affine), other)
    else:
        pack = {".nii.bz2": bz2.compress, ".nii": bytes}[ending]
        other.write_bytes(pack(gzip.decompress(path.read_bytes())))
    return other


def test_unpacked_masks_and_maps_are_read_as_packed_ones(own_release: Path, dataset: Path, tmp_path: Path) -> None:
    for path in (own_release / SPACE).rglob("*.nii.gz"):
        unpack(path)
    folder = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"])
    for config in ("subj01-imagery", "subj01-voxels"):
        mine, theirs = (sorted(path.name for path in (place / config).iterdir()) for place in (folder, dataset))
        assert mine == theirs
    report = nsd_imagery.verify(own_release, ["subj01"])
    assert report.passed
    assert not [finding for finding in report.findings if finding.outcome == "skipped"]


def test_of_a_mask_that_is_there_packed_and_unpacked_the_packed_one_is_taken(own_release: Path) -> None:
    path = own_release / SPACE / "roi/nsdgeneral.nii.gz"
    (own_release / SPACE / "roi/nsdgeneral.nii").write_text("half a copy")
    assert anatomy(own_release, "subj01").atlases["nsdgeneral"] == path


def test_unpacked_masks_of_a_cache_tree_are_read(tmp_path: Path) -> None:
    root = nsd_imagery.synth(tmp_path / "cache", layout="cache", format="hdf5")
    place = root / "nsd_imagery/metadata/subj01"
    before = nsd_imagery.find_roi(root, "subj01", "V1").flat
    for path in place.glob("*.nii.gz"):
        if path.name != "nsdgeneral.nii.gz":  # the manifest names it
            unpack(path)
    np.testing.assert_array_equal(nsd_imagery.find_roi(root, "subj01", "V1").flat, before)


@pytest.mark.parametrize(
    ("ending", "command"),
    [
        (".mgz", "mri_convert {stem}.mgz {stem}.nii.gz"),
        (".mgh", "mri_convert {stem}.mgh {stem}.nii.gz"),
        (".img", "mri_convert {stem}.img {stem}.nii.gz"),
        (".hdr", "mri_convert {stem}.img {stem}.nii.gz"),
        (".nii.bz2", "bunzip2 -k {stem}.nii.bz2"),
    ],
)
@pytest.mark.parametrize("how", ["path", "name", "atlas", "label"])
def test_a_mask_in_another_format_is_one_line_that_says_what_to_run(
    own_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, ending: str, command: str
) -> None:
    """Given by its path, or by its name in the folder where one is; or lying in roi/ in the place of an atlas."""
    folder = own_release / SPACE / "roi"
    source = folder / ("streams.nii.gz" if how == "label" else "nsdgeneral.nii.gz")
    saved = saved_as(source, folder if how in ("atlas", "label") else tmp_path, ending)
    if how in ("atlas", "label"):
        source.unlink()
    monkeypatch.chdir(tmp_path)
    roi = {"path": str(saved), "name": saved.name, "atlas": "nsdgeneral", "label": "streams:early"}[how]
    path = Path(saved.name) if how == "name" else saved
    if how in ("atlas", "label") and ending == ".hdr":  # two files in a folder, of which one is named
        path, ending = path.with_suffix(".img"), ".img"
    said = f"{path}: masks and maps are read from .nii.gz or .nii, not from {ending}; save it as one: "
    with pytest.raises(NSDImageryError) as caught:
        resolve(roi, Maps(anatomy(own_release, "subj01")))
    assert str(caught.value) == said + command.format(stem=str(path).removesuffix(ending))


def test_the_command_to_run_is_one_that_a_shell_takes(own_release: Path, tmp_path: Path) -> None:
    place = tmp_path / "my masks"
    place.mkdir()
    saved = saved_as(own_release / SPACE / "roi/nsdgeneral.nii.gz", place, ".nii.bz2")
    with pytest.raises(DataError, match=f"bunzip2 -k '{saved}'$"):
        resolve(str(saved), Maps(anatomy(own_release, "subj01")))


def test_other_formats_beside_the_masks_are_left_alone(own_release: Path) -> None:
    folder = own_release / SPACE / "roi"
    saved_as(folder / "nsdgeneral.nii.gz", folder, ".mgz")
    (folder / "mine.mgh").write_text("anything")
    assert nsd_imagery.find_roi(own_release, "subj01", "nsdgeneral").flat.size
