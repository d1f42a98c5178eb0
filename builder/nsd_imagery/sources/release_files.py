"""The NSD release tree, as in the bucket `natural-scenes-dataset`: where its files are.

A root may hold part of it: some subjects, some sessions, betas as .hdf5 or .nii.gz. All paths of the release are
spelled here.
"""

import re
from collections import defaultdict
from pathlib import Path

from nsd_imagery.errors import MissingDataError
from nsd_imagery.experiment import SUBJECTS
from nsd_imagery.links import first, is_there, without_content
from nsd_imagery.listing import visible
from nsd_imagery.sources.missing import Asked, Missing, missing_of
from nsd_imagery.sources.volume_files import other_files, volume_file, volume_files
from nsd_imagery.volumes.anatomy import Anatomy
from nsd_imagery.volumes.formats import BETA_FORMATS


def subjects_with_betas(root: Path, beta_version: str) -> tuple[str, ...]:
    """Subjects of whom betas of a version are in the root, of NSD-Imagery or of NSD core, or links to such."""
    return tuple(
        subject
        for subject in SUBJECTS
        if nsdimagery_betas(root, subject, beta_version) is not None
        or nsd_betas(root, subject, beta_version)
        or without_content(nsd_betas_folder(root, subject, beta_version))
    )


def expected_betas(beta_version: str, subject: str = "subjAA") -> str:
    """Where the release has the NSD-Imagery betas, relative to the root, without the file's ending."""
    return f"nsddata_betas/ppdata/{subject}/func1pt8mm/nsdimagerybetas_{beta_version}/betas_nsdimagery"


def nsdimagery_betas(root: Path, subject: str, beta_version: str) -> Path | None:
    """The beta file of a subject's NSD-Imagery session, or a link without content; None if neither is in the root."""
    stem = root / expected_betas(beta_version, subject)
    return first(stem.with_name(stem.name + ending) for ending in BETA_FORMATS)


def expected_nsd_betas(beta_version: str, subject: str = "subjAA") -> str:
    """Where the release has the betas of NSD core's sessions, relative to the root, without number and ending."""
    return f"nsddata_betas/ppdata/{subject}/func1pt8mm/betas_{beta_version}/betas_session"


def nsd_betas_folder(root: Path, subject: str, beta_version: str) -> Path:
    """Where the beta files of NSD core lie."""
    return (root / expected_nsd_betas(beta_version, subject)).parent


def nsd_betas(root: Path, subject: str, beta_version: str) -> dict[int, Path]:
    """The beta files of NSD core by session (1-based), or links without content, in rising order.

    Those that are in the root; none where their folder is such a link.
    """
    stem = root / expected_nsd_betas(beta_version, subject)
    found: dict[int, list[Path]] = defaultdict(list)
    for ending in BETA_FORMATS if not without_content(stem.parent) else ():
        for path in visible(stem.parent, f"{stem.name}*{ending}"):
            number = re.fullmatch(r"(\d\d)", path.name.removeprefix(stem.name).removesuffix(ending))
            if number:
                found[int(number[1])].append(path)
    best = {number: first(paths) for number, paths in sorted(found.items())}
    return {number: path for number, path in best.items() if path is not None}


def mean_map(beta_path: Path) -> Path | None:
    """The map of the means of a beta file's voxels over all trials, which lies beside it; None if it does not."""
    return _if_file(mean_map_file(beta_path))


def mean_map_file(beta_path: Path) -> Path:
    """Where the map of the means of a beta file's voxels lies."""
    session = beta_path.name.removeprefix("betas").partition(".")[0]
    return beta_path.with_name(f"meanbeta{session}.nii.gz")


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


def core_design_file(root: Path) -> Path:
    """The design of NSD core: the order of its pictures."""
    return root / "nsddata" / "experiments" / "nsd" / "nsd_expdesign.mat"


def required(path: Path) -> Path:
    """The path, if it is a file.

    Raises:
        MissingDataError: It is not there, or a link without content.
    """
    if not is_there(path):
        msg = f"{path}: no such file; copy it from the release"
        raise MissingDataError(msg)
    return path


def mask_file(root: Path, subject: str, name: str) -> Path:
    """A mask or atlas of a subject."""
    return volume_file(masks_folder(root, subject), name)


def masks_folder(root: Path, subject: str) -> Path:
    """Where the masks and atlases of a subject lie."""
    return _space(root, subject) / "roi"


def valid_file(root: Path, subject: str, session: int | None = None) -> Path:
    """The map of where a session of NSD core, else that of NSD-Imagery, has data."""
    return volume_file(_space(root, subject), "valid_nsdimagery" if session is None else f"valid_session{session:02d}")


def ncsnr_file(root: Path, subject: str) -> Path:
    """The map of NSD core's noise ceilings, which is that of one beta version."""
    return volume_file(nsd_betas_folder(root, subject, "fithrf_GLMdenoise_RR"), "ncsnr")


def label_table_file(root: Path, subject: str, atlas: str) -> Path:
    """The names of an atlas's labels, as a subject's own FreeSurfer folder has them."""
    return root / "nsddata" / "freesurfer" / subject / "label" / f"{atlas}.mgz.ctab"


def missing_masks(root: Path, anatomy: Anatomy, asked: Asked) -> list[Missing]:
    """The masks and label tables that are asked for and that a subject has nowhere; in other formats they are there."""
    volumes = {**anatomy.unread, **anatomy.atlases}
    volumes |= {f"lh.{name}": path for name, path in anatomy.left.items()}
    volumes |= {f"rh.{name}": path for name, path in anatomy.right.items()}
    masks = [mask_file(root, anatomy.subject, name) for name in asked.masks if name not in volumes]
    tables = [label_table_file(root, anatomy.subject, atlas) for atlas in asked.tables]
    lacking = [path for path, atlas in zip(tables, asked.tables, strict=True) if atlas not in anatomy.label_tables]
    return missing_of(root, [*masks, *lacking])


def brain_file(root: Path, subject: str) -> Path:
    """The brain mask of a subject."""
    return volume_file(_space(root, subject), "brainmask")


def anatomy(root: Path, subject: str) -> Anatomy:
    """The masks and maps of a subject that are in the root.

    Raises:
        MissingDataError: One that says where there is data, or a folder, is a link without content.
    """
    space = _space(root, subject)
    volumes = volume_files(masks_folder(root, subject))
    valid_nsd = volume_files(space, "valid_session[0-9][0-9]")
    return Anatomy(
        subject,
        atlases={name: path for name, path in volumes.items() if not name.startswith(("lh.", "rh."))},
        label_tables=_label_tables(root, subject),
        left={name[3:]: path for name, path in volumes.items() if name.startswith("lh.")},
        right={name[3:]: path for name, path in volumes.items() if name.startswith("rh.")},
        brain=_if_file(brain_file(root, subject)),
        valid_nsdimagery=_if_file(valid_file(root, subject)),
        valid_nsd={int(name[-2:]): path for name, path in valid_nsd.items() if is_there(path)},
        ncsnr_nsd=_if_file(ncsnr_file(root, subject)),
        unread=other_files(masks_folder(root, subject)),
    )


def label_table_places(root: Path, subject: str) -> dict[Path, str]:
    """The folders of label tables with the endings of their names: the subject's, fsaverage's, the templates'."""
    freesurfer = root / "nsddata" / "freesurfer"
    places = {freesurfer / name / "label": ".mgz.ctab" for name in (subject, "fsaverage")}
    return {**places, root / "nsddata" / "templates": ".ctab"}


def _label_tables(root: Path, subject: str) -> dict[str, Path]:
    """By atlas: the subject's own, else those of fsaverage, else those among the templates."""
    found: dict[str, Path] = {}
    for folder, ending in label_table_places(root, subject).items():
        for path in visible(folder, f"*{ending}"):
            found.setdefault(path.name.removesuffix(ending), path)
    return found


def _if_file(path: Path) -> Path | None:
    return path if is_there(path) else None


def _space(root: Path, subject: str) -> Path:
    """The folder of a subject's volumes on the grid of the betas."""
    return root / "nsddata" / "ppdata" / subject / "func1pt8mm"
