"""The Guide's cache tree: where its files are. All paths of that layout are spelled here."""

from pathlib import Path

from nsd_imagery.links import find, refuse_without_content
from nsd_imagery.listing import visible
from nsd_imagery.sources import release_files
from nsd_imagery.sources.volume_files import other_files, volume_files
from nsd_imagery.volumes.anatomy import Anatomy
from nsd_imagery.volumes.formats import BETA_FORMATS

IMAGERY = "nsd_imagery/"
"""Betas below this folder are of NSD-Imagery, whatever the Guide's two words for a condition say."""

_BETA_NAMES = ("imagery_betas_session{:02d}", "session{:02d}")
_METADATA = Path("nsd_imagery/metadata")


def trial_manifest_file(root: Path, subject: str) -> Path:
    """The trials of a subject."""
    return root / _METADATA / f"trial_manifest_{subject}.csv"


def stimuli_info_file(root: Path) -> Path:
    """The table of stimuli, or of trials, of all subjects."""
    return root / "nsd_imagery" / "stimuli" / "imagery_stimuli_info.csv"


def presented_ids_file(root: Path) -> Path:
    """The ids of the pictures that were used, one a line."""
    return root / "nsd_imagery" / "stimuli" / "presented_image_ids.txt"


def pictures_file(root: Path) -> Path:
    """NSD's 73,000 pictures, in the place of the Guide."""
    return root / "nsd_hdf5" / "nsd_stimuli.hdf5"


def embeddings_folder(root: Path) -> Path:
    """Embeddings of the stimuli, for perception and imagery alike."""
    return root / "clip_embeddings"


def planted_folder(root: Path) -> Path:
    """What was planted in synthetic data, as embeddings."""
    return root / "truth"


def subject_sessions_file(root: Path) -> Path:
    """The number and the dates of the sessions of each subject."""
    return root / _METADATA / "subject_sessions.json"


def expected_file(subject: str, session: int) -> str:
    """Where the betas of a session lie if the manifest does not say, relative to the root, without the ending."""
    return f"nsd_imagery/betas/{subject}/{_BETA_NAMES[0].format(session)}"


def betas_file(root: Path, subject: str, session: int) -> Path | None:
    """The betas of a session under one of the Guide's two names; None if they are not there.

    Raises:
        MissingDataError: There are only links without content.
    """
    folder = root / "nsd_imagery" / "betas" / subject
    names = [name.format(session) + ending for name in _BETA_NAMES for ending in BETA_FORMATS]
    return find(folder / name for name in names)


def stim_info_file(root: Path) -> Path | None:
    """NSD's table of pictures, in the release's place or beside the Guide's stimulus files; None if there is none."""
    of_release = release_files.stim_info_file(root)
    places = [of_release.parent, stimuli_info_file(root).parent, root / "nsd_hdf5"]
    return find(place / of_release.name for place in places)


def anatomy(root: Path, subject: str, mask: Path | None = None) -> Anatomy:
    """The masks and maps of a subject: those in `metadata/subjAA/`, else those of a release tree in the same root.

    Args:
        root: The root.
        subject: Whose.
        mask: What the trial manifest names as roi_mask_path; stands for nsdgeneral.

    Raises:
        MissingDataError: A map that says where there is data, or a folder, is a link without content.
    """
    folder = root / _METADATA / subject
    volumes = volume_files(folder)
    shared = release_files.anatomy(root, subject)
    maps = ("brainmask", "valid_nsdimagery")
    for name in maps:
        if name in volumes:
            refuse_without_content(volumes[name])
    atlases = {name: path for name, path in volumes.items() if not name.startswith(("lh.", "rh.")) and name not in maps}
    if mask is not None:
        atlases["nsdgeneral"] = mask
    tables = {path.name.removesuffix(".mgz.ctab"): path for path in visible(folder, "*.mgz.ctab")}
    return Anatomy(
        subject,
        atlases={**shared.atlases, **atlases},
        label_tables={**shared.label_tables, **tables},
        left={**shared.left, **{name[3:]: path for name, path in volumes.items() if name.startswith("lh.")}},
        right={**shared.right, **{name[3:]: path for name, path in volumes.items() if name.startswith("rh.")}},
        brain=volumes.get("brainmask", shared.brain),
        valid_nsdimagery=volumes.get("valid_nsdimagery", shared.valid_nsdimagery),
        valid_nsd=shared.valid_nsd,
        ncsnr_nsd=shared.ncsnr_nsd,
        unread={**shared.unread, **other_files(folder)},
    )
