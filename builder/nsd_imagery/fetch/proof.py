"""Whether a file that came is the bucket's, and its way into the tree."""

import errno
import filecmp
import os
import shutil
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from nsd_imagery.atomic import replacing, sync_folder
from nsd_imagery.errors import DataError
from nsd_imagery.fetch.etags import is_md5
from nsd_imagery.fetch.parts import PartialFile
from nsd_imagery.fetch.plan import PlannedFile
from nsd_imagery.fetch.record import PROVEN, SIZE_ONLY
from nsd_imagery.fetch.soundness import refuse_unsound


@dataclass(frozen=True)
class Verdict:
    """Of a file that is whole.

    Attributes:
        how: `PROVEN` or `SIZE_ONLY`; empty where it is not what its ETag stands for.
        error: Why it gets no name.
        md5: Of the whole, where its ETag should be that and is not.
    """

    how: str
    error: DataError | None = None
    md5: bytes = b""


def judge(
    file: PlannedFile, partial: PartialFile, mask: Path | None, first_md5: bytes | None, unpacking: Future[None] | None
) -> Verdict:
    """Judge a file that is whole, and have it on disk for good if nothing is wrong with it.

    An MD5 that the ETag is not, and that is the same when the file is fetched a second time, is that of the bucket's
    contents: the ETags of encrypted objects are no MD5s.

    Args:
        file: The file.
        partial: Its data.
        mask: Of the subject, if there is one.
        first_md5: What it was when it was fetched the first time.
        unpacking: Of a packed file.
    """
    agrees = partial.agrees()
    if agrees is False:
        md5 = partial.md5() if is_md5(partial.object.etag) else b""
        if not md5 or md5 != first_md5:
            error = DataError(f"{partial.path}: is not what its ETag stands for, also when fetched again")
            return Verdict("", error, md5)
    how = PROVEN if agrees else SIZE_ONLY
    try:
        if unpacking is not None:
            unpacking.result()
        refuse_unsound(partial.path, file.want, mask)
    except DataError as error:
        return Verdict(how, error)
    partial.sync()
    return Verdict(how)


def of_key(error: DataError, partial: PartialFile, bucket: str) -> DataError:
    """An error that names a file by its key, as the path where it lay means nothing to anybody."""
    return DataError(str(error).replace(str(partial.path), f"{partial.object.key} as it came from {bucket}"))


def same_bytes(path: Path, other: Path) -> bool:
    """Whether two files hold the same."""
    return filecmp.cmp(path, other, shallow=False)


def move(old: Path, new: Path) -> None:
    """Give a file its name, also where that is on another disk, as the folder of the betas may be."""
    try:
        os.replace(old, new)  # noqa: PTH105 (its errors name both)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with replacing(new) as file, old.open("rb") as source:
            shutil.copyfileobj(source, file)
        return
    sync_folder(new.parent)
