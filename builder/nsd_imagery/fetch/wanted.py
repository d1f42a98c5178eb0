"""What a request needs of the release: which files, by the paths of `release_files` alone, and what each is for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import (
    BETA_VERSIONS,
    CONDITIONS,
    CORE_SESSIONS,
    NSDIMAGERY_CONDITIONS,
    RUNS,
    STIMULUS_SETS,
)
from nsd_imagery.fetch.sessions import sessions_of
from nsd_imagery.sources import release_files
from nsd_imagery.spelling import subjects_of, the_choice, words_of
from nsd_imagery.volumes.anatomy import RELEASE_ATLASES
from nsd_imagery.volumes.roi import DEFAULT_ROI

FORMATS: Final = ("nii.gz", "hdf5")
EXTRAS: Final = ("stimuli",)
"""What `with_` may name: NSD's pictures."""

Kind = Literal[
    "betas",
    "behaviour",
    "masks",
    "label tables",
    "maps",
    "design",
    "pair lists",
    "targets",
    "picture table",
    "pictures",
]

_SHORT_VERSIONS: Final[dict[str, str]] = dict(zip(("b3", "b2"), BETA_VERSIONS, strict=True))

_NOWHERE: Final = Path("/dev/null")
"""Stands for a root, so that no file of the user's has a say in how the release spells a path."""


@dataclass(frozen=True)
class Request:
    """What is to be fetched.

    Attributes:
        subjects: Of whom.
        conditions: Whose trials.
        sessions: Of NSD core, by number; None for all of each subject.
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        format: Ending of the beta files, without its dot; None for the first, where the root has not the other.
        extras: Of `EXTRAS`.
        rois: Whose voxels alone are fetched of beta files, which are then HDF5; None for whole files.
    """

    subjects: tuple[str, ...]
    conditions: tuple[str, ...]
    sessions: tuple[int, ...] | None
    beta_version: str
    format: str | None
    extras: tuple[str, ...]
    rois: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Want:
    """A file that is wanted, or all files of a folder whose names have an ending.

    Attributes:
        key: Its path in the release.
        kind: What it is.
        subject: Whose; empty for one file for all.
        needed_by: The conditions that cannot be had without it; none for what may be missing.
        ending: Of names, where the key is that of a folder.
        guesses: Keys that files of the folder may have, for a bucket that does not tell what it holds.
    """

    key: str
    kind: Kind
    subject: str = ""
    needed_by: tuple[str, ...] = ()
    ending: str = ""
    guesses: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Where it lies."""
        return self.key if self.ending else self.key.rpartition("/")[0]

    def takes(self, key: str) -> bool:
        """Whether a key of the bucket is wanted."""
        folder, _, name = key.rpartition("/")
        return folder == self.key and name.endswith(self.ending) if self.ending else key == self.key


def request_of(subjects: Any, conditions: Any, sessions: Any, betas: Any, format: Any, with_: Any,
               masked: bool = False, roi: Any = None) -> Request:  # fmt: skip
    """A request as people write it.

    Raises:
        UsageError: It names nobody, or what there is not.
    """
    names = subjects_of(subjects)
    if names is None:
        msg = "subjects: name one or more, such as --subjects subj01; all eight are 3.5 GB of packed betas"
        raise UsageError(msg)
    asked = NSDIMAGERY_CONDITIONS if conditions is None else words_of("conditions", conditions)
    wanted = tuple(dict.fromkeys(the_choice("condition", one, CONDITIONS) for one in asked))
    if sessions is not None and "perception" not in wanted:
        msg = "sessions are of NSD core: name perception among the conditions too (--conditions perception)"
        raise UsageError(msg)
    rois = _rois_of(masked, roi, format)
    version = the_choice("betas", betas, (*_SHORT_VERSIONS, *BETA_VERSIONS))
    return Request(
        names,
        wanted,
        None if sessions is None else sessions_of(sessions, names),
        _SHORT_VERSIONS.get(version, version),
        "hdf5" if masked else None if format is None else the_choice("format", format, FORMATS),
        tuple(dict.fromkeys(the_choice("with", one, EXTRAS) for one in (words_of("with", with_) if with_ else ()))),
        rois,
    )


def _rois_of(masked: bool, roi: Any, format: Any) -> tuple[str, ...] | None:
    """The ROIs of masked files, nsdgeneral always first: by it one knows which rows hold data."""
    if masked and format not in (None, "hdf5"):
        msg = f"masked files are HDF5, not {format}: leave out one of the two"
        raise UsageError(msg)
    if roi is not None and not masked:
        msg = "roi: whole files have all voxels; voxels of some ROIs alone are fetched with --masked"
        raise UsageError(msg)
    return tuple(dict.fromkeys([DEFAULT_ROI, *(words_of("roi", roi) if roi else ())])) if masked else None


def wanted(request: Request) -> list[Want]:
    """All that a request needs, and what adds to it, each file once; a file comes before the folder that it lies in."""
    found = [want for subject in request.subjects for want in _of_subject(request, subject)]
    found += _of_all(request)
    return list({(want.key, want.ending): want for want in found}.values())


def _of_subject(request: Request, subject: str) -> Iterator[Want]:
    imagery = tuple(one for one in request.conditions if one in NSDIMAGERY_CONDITIONS)
    core = tuple(one for one in request.conditions if one not in NSDIMAGERY_CONDITIONS)
    if imagery:
        stem = release_files.expected_betas(request.beta_version, subject)
        yield from _betas(_NOWHERE / f"{stem}.{request.format or FORMATS[0]}", subject, imagery)
        for run in RUNS:
            path = release_files.behaviour_file(_NOWHERE, subject, run.name)
            yield Want(_key(path), "behaviour", subject, imagery)
        yield Want(_key(release_files.valid_file(_NOWHERE, subject)), "masks", subject)
    if core:
        yield from _core(request, subject, core)
    yield Want(_key(release_files.mask_file(_NOWHERE, subject, DEFAULT_ROI)), "masks", subject, request.conditions)
    yield Want(_key(release_files.brain_file(_NOWHERE, subject)), "masks", subject)
    hemispheres = [f"{side}{name}" for name in sorted(RELEASE_ATLASES) for side in ("", "lh.", "rh.")]
    guesses = tuple(_key(release_files.mask_file(_NOWHERE, subject, name)) for name in hemispheres)
    yield Want(_key(release_files.masks_folder(_NOWHERE, subject)), "masks", subject, (), ".nii.gz", guesses)
    for folder, ending in release_files.label_table_places(_NOWHERE, subject).items():
        guesses = tuple(_key(folder / f"{name}{ending}") for name in sorted(RELEASE_ATLASES))
        owner = subject if subject in folder.parts else ""
        yield Want(_key(folder), "label tables", owner, (), ending, guesses)


def _core(request: Request, subject: str, conditions: tuple[str, ...]) -> Iterator[Want]:
    numbers = range(1, CORE_SESSIONS[subject] + 1)
    stem = release_files.expected_nsd_betas(request.beta_version, subject)
    for number in numbers if request.sessions is None else request.sessions:
        if number in numbers:
            yield from _betas(_NOWHERE / f"{stem}{number:02d}.{request.format or FORMATS[0]}", subject, conditions)
            yield Want(_key(release_files.valid_file(_NOWHERE, subject, number)), "masks", subject)
    yield Want(_key(release_files.responses_file(_NOWHERE, subject)), "behaviour", subject, conditions)
    yield Want(_key(release_files.ncsnr_file(_NOWHERE, subject)), "maps", subject)


def _betas(path: Path, subject: str, conditions: tuple[str, ...]) -> Iterator[Want]:
    yield Want(_key(path), "betas", subject, conditions)
    yield Want(_key(release_files.mean_map_file(path)), "maps", subject)


def _of_all(request: Request) -> Iterator[Want]:
    imagery = tuple(one for one in request.conditions if one in NSDIMAGERY_CONDITIONS)
    core = tuple(one for one in request.conditions if one not in NSDIMAGERY_CONDITIONS)
    if imagery:
        yield Want(_key(release_files.design_file(_NOWHERE)), "design", "", imagery)
    for name in STIMULUS_SETS:
        yield Want(_key(release_files.pair_list_file(_NOWHERE, name)), "pair lists", "", imagery)
        yield Want(_key(release_files.target_images_folder(_NOWHERE, name)), "targets", "", (), ".png")
    yield Want(_key(release_files.stim_info_file(_NOWHERE)), "picture table", "", core)
    if core:
        yield Want(_key(release_files.core_design_file(_NOWHERE)), "design")
    if "stimuli" in request.extras:
        yield Want(_key(release_files.pictures_file(_NOWHERE)), "pictures", "", ("--with stimuli",))


def folders_of(wants: Sequence[Want]) -> list[str]:
    """The fewest folders under which all that is wanted lies, for a listing."""
    folders = sorted({want.folder for want in wants})
    return [one for one in folders if not any(one.startswith(f"{other}/") for other in folders)]


def _key(path: Path) -> str:
    return path.relative_to(_NOWHERE).as_posix()
