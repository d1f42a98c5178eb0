"""One way of getting the masked betas of a session, as a whole process: `python peers.py NAME ROOT OUT`.

What people run today, the floor (inflate alone), and this package; each reads subj01 of a full-size synthetic release.
"""

import sys
from collections.abc import Callable
from pathlib import Path

CORE_SESSION = "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR/betas_session01.nii.gz"
NSDGENERAL = "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"
BETAS = "nsddata_betas/ppdata/subj01/func1pt8mm/nsdimagerybetas_fithrf_GLMdenoise_RR/betas_nsdimagery"
MEAN_MAP = BETAS.replace("betas_nsdimagery", "meanbeta_nsdimagery") + ".nii.gz"


def startup(_root: Path, _out: Path) -> None:
    """Python and the imports of a build by the command."""
    import nsd_imagery.cli.app
    import nsd_imagery.dataset.build
    import nsd_imagery.dataset.card
    import nsd_imagery.dataset.sidecars  # noqa: F401


def build(root: Path, out: Path) -> None:
    """This package's command: sealed shards of all three conditions."""
    _command("build", str(root), "--out", str(out))


def build_three(root: Path, out: Path) -> None:
    """The same, of three ROIs."""
    _command("build", str(root), "--out", str(out), "--roi", "nsdgeneral,V1,early")


def build_3mm(root: Path, out: Path) -> None:
    """The same, smoothed over 3 mm."""
    _build_smoothed(root, out, 3)


def build_5mm(root: Path, out: Path) -> None:
    """The same, smoothed over 5 mm."""
    _build_smoothed(root, out, 5)


def export(dataset: Path, out: Path) -> None:
    """This package's command: the files that MindEye2 reads."""
    _command("export", str(dataset), str(out), "--for", "mindeye")


def startup_torch(_dataset: Path, _out: Path) -> None:
    """Python and the imports of an export by the command."""
    from nsd_imagery.cli.lean import without_pandas

    without_pandas()
    import torch  # noqa: F401

    import nsd_imagery.interop.export  # noqa: F401


def inflate(root: Path, _out: Path) -> None:
    """The floor of a .nii.gz: isal inflates it, and nothing is done with it."""
    _inflate(root / f"{BETAS}.nii.gz")


def inflate_core(root: Path, _out: Path) -> None:
    """The floor of a .nii.gz session of NSD core."""
    _inflate(root / CORE_SESSION)


def nilearn_masker(root: Path, _out: Path) -> None:
    """nilearn.maskers.NiftiMasker with the nsdgeneral mask."""
    from nilearn.maskers import NiftiMasker

    values = NiftiMasker(_mask_image(root), standardize=None).fit_transform(str(root / f"{BETAS}.nii.gz")) / 300
    assert values.shape[0] == 720


def nilearn_apply_mask(root: Path, _out: Path) -> None:
    """nilearn.masking.apply_mask."""
    from nilearn.masking import apply_mask

    assert (apply_mask(str(root / f"{BETAS}.nii.gz"), _mask_image(root)) / 300).shape[0] == 720


def get_fdata(root: Path, _out: Path) -> None:
    """nibabel: get_fdata()[mask]."""
    import nibabel as nib

    values = nib.load(root / f"{BETAS}.nii.gz").get_fdata()[_mask(root)].T / 300  # type: ignore[attr-defined]
    assert values.shape[0] == 720


def dataobj(root: Path, _out: Path) -> None:
    """nibabel: np.asarray(dataobj)[mask]."""
    import nibabel as nib
    import numpy as np

    image = nib.load(root / f"{BETAS}.nii.gz")
    values = np.asarray(image.dataobj)[_mask(root)].T / 300  # type: ignore[attr-defined]
    assert values.shape[0] == 720


def h5py_box(root: Path, _out: Path) -> None:
    """h5py: the mask's bounding box, then the mask."""
    import h5py
    import numpy as np

    mask = _mask(root).T
    box = tuple(slice(where.min(), where.max() + 1) for where in np.nonzero(mask))
    with h5py.File(root / f"{BETAS}.hdf5") as file:
        values = file["betas"][(slice(None), *box)][:, mask[box]] / 300  # type: ignore[index]
    assert values.shape[0] == 720


def _inflate(path: Path) -> None:
    from isal import igzip

    buffer = bytearray(1 << 20)
    with igzip.IGzipFile(path, "rb") as file:
        while file.readinto(buffer):
            pass


def _build_smoothed(root: Path, out: Path, fwhm: int) -> None:
    _command("build", str(root), "--out", str(out), "--smoothing-fwhm", str(fwhm))


def _command(*arguments: str) -> None:
    from nsd_imagery.cli import main

    sys.argv[1:] = arguments
    main()


def _mask(root: Path):
    import nibabel as nib
    import numpy as np

    return np.asarray(nib.load(root / NSDGENERAL).dataobj) == 1  # type: ignore[attr-defined]


def _mask_image(root: Path):
    import nibabel as nib
    import numpy as np

    return nib.Nifti1Image(_mask(root).astype(np.int8), nib.load(root / NSDGENERAL).affine)  # type: ignore[attr-defined]


PEERS: dict[str, Callable[[Path, Path], None]] = {
    peer.__name__: peer
    for peer in (
        startup,
        build,
        build_three,
        build_3mm,
        build_5mm,
        export,
        startup_torch,
        inflate,
        inflate_core,
        nilearn_masker,
        nilearn_apply_mask,
        get_fdata,
        dataobj,
        h5py_box,
    )
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
