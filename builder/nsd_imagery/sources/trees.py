"""Which tree a subject's data comes from, the release's or the Guide's cache; both yield the same kind of rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import EXPERIMENTS, SUBJECTS, Experiment
from nsd_imagery.sources import cache, cache_rows, nsd, nsdimagery, release
from nsd_imagery.sources.session import Session
from nsd_imagery.volumes.anatomy import Anatomy

SOURCES = ("release", "cache")


def subjects(root: Path, beta_version: str, source: str | None) -> tuple[str, ...]:
    """Subjects of whom the root has betas of a version, or a trial manifest."""
    in_release = release.subjects_with_betas(root, beta_version) if source != "cache" else ()
    in_cache = cache_rows.subjects(root) if source != "release" else ()
    return tuple(subject for subject in SUBJECTS if subject in in_release or subject in in_cache)


def read_sessions(
    root: Path, subject: str, beta_version: str, experiments: Sequence[Experiment] | None, source: str | None
) -> list[Session]:
    """The sessions of a subject: NSD-Imagery's, then NSD core's; see `root.read_sessions`.

    Raises:
        UsageError: Both trees have the subject's NSD-Imagery, and `source` does not say which to take.
        MissingDataError: A file that the labels need is not there.
        DataError: Files contradict each other.
    """
    wanted = EXPERIMENTS if experiments is None else experiments
    if _source_of(root, subject, beta_version, source) == "cache":
        sessions = [s for s in cache_rows.read_sessions(root, subject, beta_version) if s.experiment in wanted]
        if source == "cache" or "nsd" not in wanted:
            return sessions
        return _with_core(root, subject, beta_version, sessions, experiments)
    has_imagery = "nsdimagery" in wanted and release.nsdimagery_betas(root, subject, beta_version) is not None
    sessions = [nsdimagery.read_session(root, subject, beta_version)] if has_imagery else []
    return _with_core(root, subject, beta_version, sessions, experiments) if "nsd" in wanted else sessions


def anatomy(root: Path, subject: str, beta_version: str, source: str | None) -> Anatomy:
    """The masks and maps of a subject.

    Raises:
        UsageError: As `read_sessions`.
        DataError: The trial manifest is not sound.
    """
    if _source_of(root, subject, beta_version, source) == "cache":
        return cache.anatomy(root, subject, cache_rows.manifest_mask(root, subject))
    return release.anatomy(root, subject)


def _source_of(root: Path, subject: str, beta_version: str, source: str | None) -> str:
    in_cache = subject in cache_rows.subjects(root)
    if source is None and in_cache and release.nsdimagery_betas(root, subject, beta_version) is not None:
        msg = f"{root}: {subject} is in the release's tree and in the cache tree: say which (--source release|cache)"
        raise UsageError(msg)
    return source or ("cache" if in_cache else "release")


def _with_core(
    root: Path, subject: str, beta_version: str, sessions: list[Session], experiments: Sequence[Experiment] | None
) -> list[Session]:
    """Sessions, and those of NSD core in the release's tree; a note instead where those have no labels."""
    if not release.nsd_betas(root, subject, beta_version):
        return sessions
    lacking = nsd.unlabelled(root, subject)
    if lacking is not None and sessions and experiments is None:
        note = f"NSD core of {subject} is left out: {lacking.relative_to(root).as_posix()} is not in the root"
        return [replace(session, notes=(*session.notes, note)) for session in sessions]
    return sessions + nsd.read_sessions(root, subject, beta_version)
