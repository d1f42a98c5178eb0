"""What is asked of a bucket, and what comes of it."""

from dataclasses import dataclass, field

from nsd_imagery.errors import NSDImageryError


@dataclass(frozen=True)
class Object:
    """A file in the bucket.

    Attributes:
        key: Its path.
        size: Bytes.
        etag: As the server has it, in quotes; another one where the contents are others.
        modified: When it was put there, as 2021-09-08T07:06:05Z; "" where the server does not say.
    """

    key: str
    size: int
    etag: str
    modified: str = field(default="", compare=False)


@dataclass(frozen=True, eq=False)
class Read:
    """Bytes [start, stop) of a file, which must still be the one of an ETag."""

    key: str
    etag: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Arrived:
    """What came of a read.

    Attributes:
        read: What was asked.
        start: Where in the file `data` begins.
        data: The next bytes of the read.
        error: Why no more of it comes; then there is no data.
    """

    read: Read
    start: int
    data: memoryview
    error: NSDImageryError | None = None

    @property
    def is_last(self) -> bool:
        """Whether nothing more comes of this read."""
        return self.error is not None or self.start + len(self.data) == self.read.stop
