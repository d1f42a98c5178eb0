"""A root: where it is, whom and which sessions it holds, whatever tree they lie in."""

import os
from collections.abc import Sequence
from pathlib import Path

from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS, SUBJECTS, Experiment
from nsd_imagery.sources import release, trees
from nsd_imagery.sources.captions import with_captions
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.trees import SOURCES
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.roi import Roi, resolve

ROOT_VARIABLE = "NSD_CACHE_ROOT"


def find_root(root: Path | str | None) -> Path:
    """The folder that holds the data: the argument, else $NSD_CACHE_ROOT, else ./cache.

    Raises:
        MissingDataError: There is no such folder.
    """
    path = Path(root or os.environ.get(ROOT_VARIABLE) or "cache").expanduser()
    if path.is_file():
        msg = f"{path}: is a file; name the folder that holds nsddata/ and nsddata_betas/, or the Guide's nsd_imagery/"
        raise MissingDataError(msg)
    if not path.is_dir():
        said = "" if root else f" (no ROOT was given, so ${ROOT_VARIABLE} or ./cache)"
        msg = (
            f"{path}: no such folder{said}; name the one that holds nsddata/ and nsddata_betas/, "
            f"or make one: nsd-imagery synth {path}"
        )
        raise MissingDataError(msg)
    return path.resolve()


def find_subjects(
    root: Path, subjects: Sequence[str] | None, beta_version: str, source: str | None = None
) -> tuple[str, ...]:
    """The subjects to work on: those asked for, else all whose betas are in the root.

    Raises:
        UsageError: A name that is no subject, no beta version or no source.
        MissingDataError: The betas of a subject are not in the root, or none are.
    """
    one_of("betas", beta_version, BETA_VERSIONS)
    subjects = [subjects] if isinstance(subjects, str) else subjects
    if source is not None:
        one_of("source", source, SOURCES)
    here = trees.subjects(root, beta_version, source)
    for subject in subjects or ():
        one_of("subject", subject, SUBJECTS)
        if subject not in here:
            where = _expected(beta_version, subject)
            known = ", ".join(here) or "none"
            msg = f"{root}: no betas of {subject} ({beta_version}); here are: {known}; expected {where}"
            raise MissingDataError(msg)
    if not here:
        other = [
            version for version in BETA_VERSIONS if version != beta_version and trees.subjects(root, version, source)
        ]
        hint = f"; --betas {other[0]} is there" if other else ""
        msg = f"{root}: no betas ({beta_version}); expected {_expected(beta_version, 'subjAA')}{hint}"
        raise MissingDataError(msg)
    return tuple(dict.fromkeys(subjects)) if subjects else here


def find_roi(root: Path | str | None, subject: str, name: str, source: str | None = None) -> Roi:
    """The voxels that a ROI name means for a subject; see `volumes.roi`.

    Raises:
        UsageError: No such subject or name, or one that several atlases have.
        MissingDataError: A mask file is not there.
        DataError: A mask file is damaged, or of another grid.
    """
    one_of("subject", subject, SUBJECTS)
    return resolve(name, trees.anatomy(find_root(root), subject, BETA_VERSIONS[0], source))


def read_sessions(
    root: Path,
    subjects: Sequence[str],
    beta_version: str,
    experiments: Sequence[Experiment] | None = None,
    source: str | None = None,
    captions: Path | str | None = None,
) -> list[Session]:
    """All sessions of some subjects with their rows, validated: NSD-Imagery, then NSD core session by session.

    Args:
        root: Where the data is.
        subjects: Of whom.
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        experiments: Which; default: all that the root holds. Then NSD core without the files that label it is left out,
            and a note says so.
        source: "release" or "cache", for a root that holds a subject in both.
        captions: Folder of COCO's caption files; default: where the root has them, if it does.

    Raises:
        UsageError: A subject is in both trees.
        MissingDataError: A file that the labels need is not there.
        DataError: The files contradict each other.
    """
    sessions = [
        session
        for subject in subjects
        for session in trees.read_sessions(root, subject, beta_version, experiments, source)
    ]
    for session in sessions:
        validate(session)
    keys = [session.key for session in sessions]
    if twice := [key for key in keys if keys.count(key) > 1]:
        msg = f"{root}: {twice[0]} is in the release's tree and in the cache tree: say which (--source release|cache)"
        raise UsageError(msg)
    return with_captions(sessions, root, captions)


def validate(session: Session) -> None:
    """Check what must hold of any source's rows: no trial_id and no volume comes twice.

    Raises:
        DataError: It does not hold.
    """
    rows = session.rows
    for column in ("trial_id", "beta_index"):
        if len(rows[column].unique()) != len(rows):
            msg = f"{session.beta_path}: two rows have one {column}"
            raise DataError(msg)


def _expected(beta_version: str, subject: str) -> str:
    manifest = f"nsd_imagery/metadata/trial_manifest_{subject}.csv"
    return f"{release.expected_betas(beta_version, subject)}.hdf5 or .nii.gz, or the Guide's {manifest}"
