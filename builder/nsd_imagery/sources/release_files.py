"""The NSD release tree, as in the bucket `natural-scenes-dataset`: where its files are.

A root may hold part of it: some subjects, some sessions, betas as .hdf5 or .nii.gz. All paths of the release are
spelled here.
"""

import re
from pathlib import Path

from nsd_imagery.errors import MissingDataError
from nsd_imagery.experiment import SUBJECTS
from nsd_imagery.sources.session import BETA_FORMATS
from nsd_imagery.volumes.anatomy import Anatomy

_TEMPLATES = ("MTL", "thalamus")
"""Atlases whose label tables are the same for all subjects."""


def subjects_with_betas(root: Path, beta_version: str) -> tuple[str, ...]:
    """Subjects of whom betas of a version are in the root, of NSD-Imagery or of NSD core."""
    return tuple(
        subject
        for subject in SUBJECTS
        if nsdimagery_betas(root, subject, beta_version) is not None or nsd_betas(root, subject, beta_version)
    )


def expected_betas(beta_version: str, subject: str = "subjAA") -> str:
    """Where the release has the NSD-Imagery betas, relative to the root, without the file's ending."""
    return f"nsddata_betas/ppdata/{subject}/func1pt8mm/nsdimagerybetas_{beta_version}/betas_nsdimagery"


def nsdimagery_betas(root: Path, subject: str, beta_version: str) -> Path | None:
    """The beta file of a subject's NSD-Imagery session; None if it is not in the root."""
    stem = root / expected_betas(beta_version, subject)
    return next((path for ending in BETA_FORMATS if (path := stem.with_name(stem.name + ending)).is_file()), None)


def expected_nsd_betas(beta_version: str, subject: str = "subjAA") -> str:
    """Where the release has the betas of NSD core's sessions, relative to the root, without number and ending."""
    return f"nsddata_betas/ppdata/{subject}/func1pt8mm/betas_{beta_version}/betas_session"


def nsd_betas(root: Path, subject: str, beta_version: str) -> dict[int, Path]:
    """The beta files of NSD core by session (1-based), in rising order; those that are in the root."""
    stem = root / expected_nsd_betas(beta_version, subject)
    found: dict[int, Path] = {}
    for ending in BETA_FORMATS:
        for path in stem.parent.glob(f"{stem.name}*{ending}"):
            number = re.fullmatch(r"(\d\d)", path.name.removeprefix(stem.name).removesuffix(ending))
            if number and path.is_file():
                found.setdefault(int(number[1]), path)
    return dict(sorted(found.items()))


def behaviour_file(root: Path, subject: str, run_name: str) -> Path:
    """The behaviour of one run of NSD-Imagery."""
    return root / "nsddata" / "bdata" / "nsdimagery" / f"nsdimagery_{subject}_{run_name}.tsv"


def responses_file(root: Path, subject: str) -> Path:
    """The trials of a subject's NSD core sessions."""
    return root / "nsddata" / "ppdata" / subject / "behav" / "responses.tsv"


def pair_list_file(root: Path, stimulus_set: str) -> Path:
    """The six targets of a stimulus set."""
    return root / "nsddata" / "experiments" / "nsdimagery" / f"{stimulus_set}_pair_list.mat"


def design_file(root: Path) -> Path:
    """The design matrix of NSD-Imagery, one for all subjects."""
    return root / "nsddata" / "experiments" / "nsdimagery" / "designmatrixGLMsingle.mat"


def target_images_folder(root: Path, stimulus_set: str) -> Path:
    """The pictures of the targets of set A or B, by their names in the pair list."""
    return root / "nsddata" / "experiments" / "nsdimagery" / "rawtargetimages" / f"set{stimulus_set}"


def pictures_file(root: Path) -> Path:
    """NSD's 73,000 pictures."""
    return root / "nsddata_stimuli" / "stimuli" / "nsd" / "nsd_stimuli.hdf5"


def stim_info_file(root: Path) -> Path:
    """NSD's table of its 73,000 pictures."""
    return root / "nsddata" / "experiments" / "nsd" / "nsd_stim_info_merged.csv"


def required(path: Path) -> Path:
    """The path, if it is a file.

    Raises:
        MissingDataError: It is not there.
    """
    if not path.is_file():
        msg = f"{path}: no such file; copy it from the release"
        raise MissingDataError(msg)
    return path


def mask_file(root: Path, subject: str, name: str) -> Path:
    """A mask or atlas of a subject."""
    return _space(root, subject) / "roi" / f"{name}.nii.gz"


def brain_file(root: Path, subject: str) -> Path:
    """The brain mask of a subject."""
    return _space(root, subject) / "brainmask.nii.gz"


def anatomy(root: Path, subject: str) -> Anatomy:
    """The masks and maps of a subject that are in the root."""
    space = _space(root, subject)
    masks = sorted(mask_file(root, subject, "any").parent.glob("*.nii.gz"))
    volumes = {path.name.removesuffix(".nii.gz"): path for path in masks}
    valid_nsd = sorted(space.glob("valid_session[0-9][0-9].nii.gz"))
    return Anatomy(
        subject,
        atlases={name: path for name, path in volumes.items() if not name.startswith(("lh.", "rh."))},
        label_tables=_label_tables(root, subject),
        left={name[3:]: path for name, path in volumes.items() if name.startswith("lh.")},
        right={name[3:]: path for name, path in volumes.items() if name.startswith("rh.")},
        brain=_if_file(brain_file(root, subject)),
        valid_nsdimagery=_if_file(space / "valid_nsdimagery.nii.gz"),
        valid_nsd={int(path.name[len("valid_session") :][:2]): path for path in valid_nsd},
        ncsnr_nsd=_if_file(
            root / "nsddata_betas" / "ppdata" / subject / "func1pt8mm" / "betas_fithrf_GLMdenoise_RR" / "ncsnr.nii.gz"
        ),
    )


def _label_tables(root: Path, subject: str) -> dict[str, Path]:
    """By atlas: the subject's own, else those of fsaverage, else those among the templates."""
    templates = {name: root / "nsddata" / "templates" / f"{name}.ctab" for name in _TEMPLATES}
    found = {name: path for name, path in templates.items() if path.is_file()}
    for owner in ("fsaverage", subject):
        tables = sorted((root / "nsddata" / "freesurfer" / owner / "label").glob("*.mgz.ctab"))
        found |= {path.name.removesuffix(".mgz.ctab"): path for path in tables}
    return found


def _if_file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _space(root: Path, subject: str) -> Path:
    """The folder of a subject's volumes on the grid of the betas."""
    return root / "nsddata" / "ppdata" / subject / "func1pt8mm"
