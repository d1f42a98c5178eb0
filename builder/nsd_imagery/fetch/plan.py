"""A download before it is made: what the bucket has of what is wanted, what is here already, and whether it fits."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nsd_imagery.errors import AccessError, FolderError, MissingDataError, SpaceError
from nsd_imagery.experiment import NSDGENERAL_VOXELS
from nsd_imagery.fetch.bucket import Bucket
from nsd_imagery.fetch.etags import agrees, is_md5
from nsd_imagery.fetch.masked_files import Regions, bytes_about, bytes_of_voxels, instead_of
from nsd_imagery.fetch.parts import n_bytes_begun
from nsd_imagery.fetch.reads import Object
from nsd_imagery.fetch.record import PROVEN, SIZE_ONLY, Entry, read_record, state_folder
from nsd_imagery.fetch.wanted import FORMATS, Request, Want, folders_of, wanted
from nsd_imagery.identity import identity
from nsd_imagery.links import is_there
from nsd_imagery.sources.caption_files import caption_files

State = Literal["there", "to fetch", "not public", "not in the bucket"]

_SPARE = 16 << 20
"""Bytes that stay free on the disk."""


@dataclass(frozen=True)
class PlannedFile:
    """A file that is wanted.

    Attributes:
        want: What it is for.
        object: It in the bucket; of one that is not there, or not public, only the key is known.
        state: What is to become of it.
        begun: Bytes of it that a download that was stopped left.
        instead: The name of the file here that has the same in another format, where no format was asked for.
        entry: What the record is to say of one that is there.
        masked: Of a beta file of which only some voxels are fetched, how many bytes that is, about; else None.
    """

    want: Want
    object: Object
    state: State
    begun: int = 0
    instead: str = ""
    entry: Entry | None = None
    masked: int | None = None

    @property
    def size(self) -> int:
        """Bytes that are fetched of it, about where it is masked."""
        return self.object.size if self.masked is None else self.masked


@dataclass(frozen=True)
class Plan:
    """What a download would do.

    Attributes:
        root: The folder.
        source: The bucket, as messages name it.
        files: All that is wanted, in the order of `wanted`, those of a folder sorted by key.
        bytes_free: On the disk of the root.
    """

    root: Path
    source: str
    files: tuple[PlannedFile, ...]
    bytes_free: int

    @property
    def to_fetch(self) -> list[PlannedFile]:
        """The files that are to be fetched: masks that betas are held against, then the others by size."""

        def order(file: PlannedFile) -> tuple[bool, int]:
            is_needed_first = file.want.kind == "masks" and bool(file.want.needed_by)
            return not is_needed_first, file.object.size

        return sorted((file for file in self.files if file.state == "to fetch"), key=order)

    @property
    def of_whole_files(self) -> "Plan":
        """The plan without the files of which only some voxels are fetched."""
        return replace(self, files=tuple(file for file in self.files if file.masked is None))

    @property
    def notes(self) -> list[str]:
        """What is to be known of it beside the files."""
        return [*self._of_masked, *self._of_captions]

    @property
    def _of_masked(self) -> list[str]:
        betas = [file for file in self.to_fetch if file.want.kind == "betas" and file.masked is None]
        less = sum(bytes_of_voxels(NSDGENERAL_VOXELS[file.want.subject]) for file in betas)
        if less >= sum(file.size for file in betas):
            return []
        return [f"less of the betas, with --masked: about {less / 1e6:,.0f} MB, the voxels of nsdgeneral"]

    @property
    def _of_captions(self) -> list[str]:
        if caption_files(self.root, None):
            return []
        return ["captions are not in the bucket, but COCO's own: unpack annotations_trainval2017.zip "
                "(https://cocodataset.org) in the root; all else works without"]  # fmt: skip

    @property
    def bytes_to_fetch(self) -> int:
        """Of these, without what a download that was stopped left."""
        return sum(file.size - file.begun for file in self.to_fetch)

    def refuse_full_disk(self) -> None:
        """Stop where there is too little room.

        Raises:
            SpaceError: There is.
        """
        needed = self.bytes_to_fetch + _SPARE
        if self.to_fetch and needed > self.bytes_free:
            msg = (
                f"{self.root}: {self.bytes_to_fetch / 1e6:,.0f} MB are to be fetched, but {self.bytes_free / 1e6:,.0f} "
                "MB are free on its disk; free some, or name fewer subjects, conditions or sessions"
            )
            raise SpaceError(msg)


def make_plan(bucket: Bucket, root: Path, request: Request) -> Plan:
    """Ask the bucket what it has, and look at what is in the root; nothing is fetched.

    Raises:
        AccessError: The bucket is not public.
        MissingDataError: The bucket lacks what nothing can be made without, or a file here is a link without content.
        FolderError: A file in the root is another one than the bucket's.
        SourceError: The bucket cannot be reached, or answers with something else.
    """
    wants = wanted(request)
    found = _found(bucket, root, wants)
    record = read_record(root)
    regions = None if request.rois is None else Regions(root, request.rois)
    files = [
        _looked_at(root, file, record.get(file.object.key), request)
        if regions is None or file.want.kind != "betas"
        else _looked_at_masked(bucket.name, file, regions)
        for file in found
    ]
    place = next(parent for parent in (root, *root.parents) if parent.is_dir())
    return Plan(root, bucket.name, tuple(files), shutil.disk_usage(place).free)


def _found(bucket: Bucket, root: Path, wants: Sequence[Want]) -> list[PlannedFile]:
    """What the bucket has of what is wanted, each file once; of what it lacks, what cannot be done without."""
    folders = folders_of(wants)
    listings = dict(zip(folders, bucket.listings(folders), strict=True))
    told = [listing for listing in listings.values() if not isinstance(listing, AccessError)]
    objects = {one.key: one for listing in told for one in listing}
    untold = tuple(f"{folder}/" for folder, listing in listings.items() if isinstance(listing, AccessError))
    objects |= _by_heads(bucket, [want for want in wants if f"{want.folder}/".startswith(untold)], bool(told))
    if not objects:
        bucket.head([want.key for want in wants if not want.ending][:1])  # a web page looks like an empty listing
    held_out = [want.key for want in wants if _is_held_out(want) and want.key in objects]
    private = _private(bucket, [key for key in held_out if not (root / key).is_file()])
    planned: dict[str, PlannedFile] = {}
    for want in wants:
        keys = [key for key in objects if want.takes(key)]
        for key in sorted(keys):
            planned.setdefault(key, PlannedFile(want, objects[key], "not public" if key in private else "to fetch"))
        if not keys and want.needed_by:
            planned[want.key] = PlannedFile(want, Object(want.key, 0, ""), "not in the bucket")
    _refuse_missing(bucket, list(planned.values()))
    return list(planned.values())


def _alone(want: Want) -> tuple[str, ...]:
    return () if want.ending else (want.key,)


def _is_held_out(want: Want) -> bool:
    """Whether it is of the files of which some are listed and not public: betas of NSD core's last sessions."""
    return want.kind == "betas" and "perception" in want.needed_by


def _by_heads(bucket: Bucket, wants: Sequence[Want], is_told: bool) -> dict[str, Object]:
    """What the bucket has of what is wanted from folders whose files it does not tell.

    Raises:
        AccessError: It tells of no folder, and gives none of these files.
    """
    keys = list(dict.fromkeys(key for want in wants for key in (want.guesses or _alone(want))))
    heads = bucket.head(keys)
    if keys and not is_told and all(isinstance(head, AccessError) for head in heads):
        msg = f"{bucket.name}: is not public: it neither says what it holds nor gives any of the {len(keys)} files"
        raise AccessError(msg)
    return {one.key: one for one in heads if isinstance(one, Object)}


def _private(bucket: Bucket, keys: Sequence[str]) -> set[str]:
    return {key for key, head in zip(keys, bucket.head(keys), strict=True) if isinstance(head, AccessError)}


def _refuse_missing(bucket: Bucket, files: Sequence[PlannedFile]) -> None:
    """Stop where nothing could be made of what would come; sessions of NSD core may be fewer than were asked for."""
    gone = [file for file in files if file.state == "not in the bucket"]
    betas = [file for file in files if file.want.kind == "betas"]
    core = {file.want.subject for file in betas if _is_held_out(file.want) and file.state == "to fetch"}
    fatal = [file for file in gone if not (_is_held_out(file.want) and file.want.subject in core)]
    if not fatal:
        return
    needed = dict.fromkeys(condition for file in fatal for condition in file.want.needed_by)
    what = f"{bucket.name}: {len(fatal)} of the files that {', '.join(needed)} cannot do without are not in it:"
    raise MissingDataError("\n  ".join([what, *(file.object.key for file in fatal)]))


def _looked_at(root: Path, file: PlannedFile, noted: Entry | None, request: Request) -> PlannedFile:
    """The file, with what the root has of it.

    Raises:
        FolderError: The root has another one in its place.
    """
    if file.state != "to fetch":
        return file
    path = root / file.object.key
    if path.is_dir():
        msg = f"{path}: is a folder, and the bucket has a file in its place: move it away, or name another ROOT"
        raise FolderError(msg)
    if is_there(path):
        entry = _of_the_bucket(path, file.object, noted)
        if entry is not None:
            return replace(file, state="there", entry=entry)
    elif file.want.kind == "betas" and request.format is None:
        stem = path.name.removesuffix(f".{FORMATS[0]}")
        others = (path.with_name(f"{stem}.{ending}") for ending in FORMATS[1:])
        if other := next(filter(is_there, others), None):
            return replace(file, state="there", instead=other.name)
    return replace(file, begun=n_bytes_begun(state_folder(root, file.object.key), file.object))


def _looked_at_masked(source: str, file: PlannedFile, regions: Regions) -> PlannedFile:
    """The file, with what the root has of its voxels; whole files are taken as they are."""
    if file.state != "to fetch":
        return file
    if there := instead_of(source, regions, file.want.subject, file.object):
        return replace(file, state="there", instead=there)
    return replace(file, masked=bytes_about(regions, file.want.subject, file.object))


def _of_the_bucket(path: Path, there: Object, noted: Entry | None) -> Entry | None:
    """What the record is to say of a file that is here; None if it is to be fetched, and held against what came.

    A file that was fetched and not touched since is replaced where the bucket has another by now.

    Raises:
        FolderError: It is another one than the bucket's, and nobody fetched it.
    """
    here = identity(path)
    if noted is not None and (noted.size, noted.etag, noted.identity) == (there.size, there.etag, here):
        return noted
    has_size = path.stat().st_size == there.size
    same = has_size and agrees(path, there.etag)
    if same is not False:
        return Entry(there.size, there.etag, PROVEN if same else SIZE_ONLY, here)
    if (has_size and is_md5(there.etag)) or (noted is not None and is_as_fetched(path, noted)):
        return None
    raise another_file(path, there)


def is_as_fetched(path: Path, noted: Entry) -> bool:
    """Whether a file in the root still is what was fetched, also where the root was copied meanwhile."""
    return noted.identity == identity(path) or (path.stat().st_size == noted.size and bool(agrees(path, noted.etag)))


def another_file(path: Path, there: Object) -> FolderError:
    """For a file in the root that is not the bucket's, and of which nobody says that it may be replaced."""
    size = path.stat().st_size
    how = f"has {size:,} bytes and the bucket's {there.size:,}" if size != there.size else "holds something else"
    return FolderError(f"{path}: is another file than the bucket's (it {how}): move it away, or name another ROOT")
