"""A root: where it is, whom and which sessions it holds, whatever tree they lie in."""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from nsd_imagery.errors import MissingDataError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS, EXPERIMENTS, SUBJECTS, Experiment
from nsd_imagery.links import refuse_without_content
from nsd_imagery.shell import quoted
from nsd_imagery.sources.cache import Cache
from nsd_imagery.sources.captions import with_captions
from nsd_imagery.sources.missing import Asked, Missing, refuse_missing
from nsd_imagery.sources.release import Release
from nsd_imagery.sources.session import Session, validate
from nsd_imagery.sources.source import BetaFile, Listed, Source
from nsd_imagery.spelling import Subjects, subject_of, subjects_of, the_choice, the_word
from nsd_imagery.volumes.anatomy import Anatomy
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import Roi, resolve
from nsd_imagery.volumes.roi_listing import RoiListing, list_rois

ROOT_VARIABLE = "NSD_CACHE_ROOT"

_TREES: tuple[type[Source], ...] = (Release, Cache)

SOURCES = tuple(tree.name for tree in _TREES)


@dataclass(frozen=True, eq=False)
class Root:
    """A root as one operation sees it; what was found once stays, so take a new one (`find_root`) for the next.

    Attributes:
        path: The folder, absolute.
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        source: "release" or "cache", for a root that holds a subject in both; None takes the one that has the subject.
    """

    path: Path
    beta_version: str
    source: str | None = None
    _sessions: dict[tuple[str, tuple[Experiment, ...] | None, tuple[Path, ...]], list[Session]] = field(
        default_factory=dict, init=False, repr=False
    )
    _anatomies: dict[str, Anatomy] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def _trees(self) -> tuple[Source, ...]:
        trees = (tree for tree in _TREES if self.source in (None, tree.name))
        return tuple(tree(self.path, self.beta_version) for tree in trees)

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Subjects of whom the root has betas, or a trial manifest.

        Raises:
            DataError: A table of trials is damaged.
        """
        here = {subject for tree in self._trees for subject in tree.subjects}
        return tuple(subject for subject in SUBJECTS if subject in here)

    def choose(self, subjects: Subjects | None, asked: Asked | None = None) -> tuple[str, ...]:
        """The subjects to work on: those asked for, else all whose betas are in the root.

        Args:
            subjects: Of whom; None for all.
            asked: What is to be made of them; None to ask only whether there are betas.

        Raises:
            UsageError: A name that is no subject.
            MissingDataError: The betas of a subject are not in the root, or none are, or not all that is needed for
                what was asked: all files that lack are named.
        """
        chosen = subjects_of(subjects)
        absent = [subject for subject in chosen or () if subject not in self.subjects]
        if chosen is None and not self.subjects:
            others = [version for version in BETA_VERSIONS if version != self.beta_version]
            other = next((version for version in others if replace(self, beta_version=version).subjects), None)
            hint = f"; --betas {other} is there" if other else ""
            msg = f"{self.path}: no betas ({self.beta_version}); expected {self._expected('subjAA')}{hint}"
            raise MissingDataError(msg)
        names = chosen or self.subjects
        lacking = [file for name in (absent if asked is None else names)
                   for file in self.missing(name, asked or Asked(), is_named=chosen is not None)]  # fmt: skip
        refuse_missing(self.path, lacking, names, self._no_betas(absent) if absent else "")
        return names

    def sessions(
        self,
        subjects: Sequence[str],
        experiments: Iterable[Experiment] | None = None,
        captions: Path | str | None = None,
        without: Collection[Path] = (),
    ) -> list[Session]:
        """All sessions of some subjects with their rows, validated: NSD-Imagery, then NSD core session by session.

        Args:
            subjects: Of whom.
            experiments: Which; default: all that the root holds. Then NSD core without the files that label it is left
                out, and a note says so.
            captions: Folder of COCO's caption files; default: where the root has them, if it does.
            without: Beta files whose sessions are left out.

        Raises:
            UsageError: A subject is in both trees.
            MissingDataError: A file that the labels need is not there.
            DataError: The files contradict each other.
        """
        wanted = None if experiments is None else tuple(experiments)
        sessions = [session for subject in subjects for session in self._sessions_of(subject, wanted, tuple(without))]
        for session in sessions:
            validate(session)
        keys = [session.key for session in sessions]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise _in_both(self.path, twice[0])
        return with_captions(sessions, self.path, captions)

    def beta_files(self, subject: str) -> list[BetaFile]:
        """The beta files of `sessions`, none of which is opened.

        Raises:
            UsageError: The subject is in both trees.
            MissingDataError, DataError: Of a trial manifest that names them.
        """
        home = self._home(subject)
        others = [tree for tree in self._trees if tree is not home]
        core = [file for tree in others for file in tree.beta_files(subject) if file.experiment == "nsd"]
        return [*home.beta_files(subject), *core]

    def missing(self, subject: str, asked: Asked, *, is_named: bool = False) -> list[Missing]:
        """What a subject lacks of what is asked for; of experiments without betas only where the subject was named.

        Raises:
            UsageError: The subject is in both trees.
            MissingDataError, DataError: Of a trial manifest that names files.
        """
        if asked.experiments is not None and not is_named:
            held = {file.experiment for file in self.beta_files(subject)}
            asked = replace(asked, experiments=tuple(one for one in asked.experiments if one in held))
        return self._home(subject).missing(subject, asked)

    def tree_of(self, subjects: Sequence[str]) -> str:
        """The kind of the tree that has all of some subjects, for reports; "cache" where that and another have them."""
        having = [tree.name for tree in self._trees if set(subjects) <= set(tree.subjects)]
        return (having or [self._trees[0].name])[-1]

    def listed(self, subject: str) -> Listed | None:
        """The files that a tree must have for a subject's NSD-Imagery; None where nothing says which."""
        return next((listed for tree in self._trees if (listed := tree.listed(subject))), None)

    def anatomy(self, subject: str) -> Anatomy:
        """The masks and maps of a subject.

        Raises:
            UsageError: The subject is in both trees.
            DataError: The trial manifest is not sound.
        """
        if subject not in self._anatomies:
            self._anatomies[subject] = self._home(subject).anatomy(subject)
        return self._anatomies[subject]

    def _sessions_of(
        self, subject: str, experiments: tuple[Experiment, ...] | None, without: tuple[Path, ...]
    ) -> list[Session]:
        key = subject, experiments, without
        if key not in self._sessions:
            self._sessions[key] = self._read_sessions(subject, experiments, without)
        return self._sessions[key]

    def _read_sessions(
        self, subject: str, experiments: Sequence[Experiment] | None, without: Sequence[Path]
    ) -> list[Session]:
        wanted = EXPERIMENTS if experiments is None else experiments
        sessions = self._home(subject).sessions(subject, wanted, without)
        for tree in self._trees if "nsd" in wanted else ():
            lacking = tree.unlabelled(subject)
            if lacking is not None and sessions and experiments is None:
                what = f"{lacking.relative_to(self.path).as_posix()} is not in the root"
                note = f"NSD core of {subject} is left out: {what}"
                sessions = [replace(session, notes=(*session.notes, note)) for session in sessions]
            else:
                sessions = sessions + tree.core_sessions(subject, without)
        return sessions

    def _no_betas(self, subjects: Sequence[str]) -> str:
        here = ", ".join(self.subjects) or "none"
        or_else = Cache(self.path, self.beta_version).expected(subjects[0])
        return f"no betas of {', '.join(subjects)} ({self.beta_version}); here are: {here} (nor is there {or_else})"

    def _home(self, subject: str) -> Source:
        """The tree that a subject's NSD-Imagery and maps come from."""
        holding = [tree for tree in self._trees if tree.holds(subject)]
        if len(holding) > 1:
            raise _in_both(self.path, subject)
        return (holding or self._trees)[0]

    def _expected(self, subject: str) -> str:
        return ", or ".join(tree(self.path, self.beta_version).expected(subject) for tree in _TREES)


def find_root(root: Path | str | None = None, beta_version: str = BETA_VERSIONS[0], source: str | None = None) -> Root:
    """The root in the folder that was named, else in $NSD_CACHE_ROOT, else in ./cache.

    Args:
        root: The folder.
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        source: "release" or "cache", for a root that holds a subject in both.

    Raises:
        MissingDataError: There is no such folder.
        UsageError: No such beta version or source.
    """
    path = Path(root).expanduser() if root else usual_place()
    refuse_without_content(path)
    if path.is_file():
        msg = f"{path}: is a file; name the folder that holds nsddata/ and nsddata_betas/, or the Guide's nsd_imagery/"
        raise MissingDataError(msg)
    if not path.is_dir():
        said = "" if root else f" (no ROOT was given, so ${ROOT_VARIABLE} or ./cache)"
        msg = (
            f"{path}: no such folder{said}; name the one that holds nsddata/ and nsddata_betas/, "
            f"or make one: nsd-imagery synth {quoted(path)}"
        )
        raise MissingDataError(msg)
    beta_version = the_choice("betas", beta_version, BETA_VERSIONS)
    if source is not None:
        source = the_choice("source", source, SOURCES)
    return Root(path.resolve(), beta_version, source)


def usual_folder() -> Path | None:
    """The folder that a root lies in that nobody named; None if there is none.

    Raises:
        MissingDataError: It is a link that leads to nothing.
    """
    place = usual_place()
    refuse_without_content(place)
    return place if place.is_dir() else None


def find_roi(root: Path | str | None, subject: str | int, name: str, source: str | None = None) -> Roi:
    """The voxels that a ROI name means for a subject; see `volumes.roi`.

    Raises:
        UsageError: No such subject or name, or one that several atlases have.
        MissingDataError: A mask file is not there.
        DataError: A mask file is damaged, or of another grid.
    """
    subject, name = subject_of(subject), the_word("roi", name)
    return resolve(name, Maps(find_root(root, source=source).anatomy(subject)))


def rois(
    root: Path | str | None = None, subjects: Subjects | None = None, source: str | None = None
) -> list[RoiListing]:
    """What can be named as a ROI, by subject, with sizes, and what is missing for the rest; see `volumes.roi`.

    Args:
        root: Folder with the release tree or the Guide's cache tree; default $NSD_CACHE_ROOT, else ./cache.
        subjects: Names or numbers ("subj01", "sub-01", 1), several in a list or with commas; default: all whose
            betas are there.
        source: "release" or "cache", for a root that holds a subject in both.

    Raises:
        UsageError: No such subject or source.
        MissingDataError: There is no such folder, nobody's data in it, or no mask of a subject.
        DataError: nsdgeneral is damaged.
    """
    here = find_root(root, source=source)
    named = subjects_of(subjects) or _of_any_version(here) or here.choose(None)
    listed = [list_rois(Maps(here.anatomy(subject))) for subject in named]
    for listing in listed:
        if not listing.rois:
            why = "; ".join(listing.missing[:1]) or "the release has them in nsddata/ppdata/subjAA/func1pt8mm/roi"
            msg = f"{here.path}: no mask of {listing.subject} can be read: {why}"
            raise MissingDataError(msg)
    return listed


def _of_any_version(root: Root) -> list[str]:
    """Subjects of whom a root has betas: masks are of no version."""
    here = {subject for version in BETA_VERSIONS for subject in replace(root, beta_version=version).subjects}
    return sorted(here)


def usual_place() -> Path:
    """Where a root lies that nobody named: $NSD_CACHE_ROOT, else ./cache, whether it is there or not."""
    return Path(os.environ.get(ROOT_VARIABLE) or "cache").expanduser()


def _in_both(path: Path, what: str) -> UsageError:
    msg = f"{path}: {what} is in the release's tree and in the cache tree: say which (--source release|cache)"
    return UsageError(msg)
