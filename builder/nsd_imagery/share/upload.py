"""Files on their way up to a private repo, with a look at it directly before each."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from nsd_imagery.errors import AccessError, NSDImageryError
from nsd_imagery.share.remote import Link, asking, commit_id, state, url_of
from nsd_imagery.share.said import ERRORS, ours

_SHOWN = 3


@dataclass
class Upload:
    """Files on their way up to a repo, each request of which comes directly after a look that found it private.

    Attributes:
        link: To the hub.
        going: The paths that go up now.
        gone: The paths of which something went up, in that order.
    """

    link: Link
    going: Sequence[str] = ()
    gone: dict[str, None] = field(default_factory=dict)

    def check(self) -> None:
        """Go on only with a private repo; make one private that no longer is.

        Raises:
            AccessError: It became public.
            HubError: There is no telling.
        """
        if state(self.link).private:
            self.gone |= dict.fromkeys(self.going)
            return
        unmade = _make_private(self.link)
        page = f"{url_of(self.link.repo)}/settings"
        now = "it is private again"
        if unmade:
            now = f"it could not be made private again ({unmade}): do that at {page} now"
        paths = list(self.gone)
        more = f" and {len(paths) - _SHOWN} before them" if len(paths) > _SHOWN else ""
        msg = (
            f"{self.link.repo} became public while this push sent it files, and NSD's terms do not allow that; {now}, "
            f"and nothing more is sent; gone up by then: {', '.join(paths[-_SHOWN:]) or 'nothing'}{more}; find out at "
            f"{page} who opened it"
        )
        raise AccessError(msg)

    def send(self, path: str, content: Path) -> CommitOperationAdd:
        """Bring a large file to the storage of the hub; the commit to come names it."""
        self.going = (path,)
        made = CommitOperationAdd(path, content)
        with asking(self.link):
            self.link.api.preupload_lfs_files(self.link.repo, [made], repo_type="dataset")
        return made

    def commit(
        self,
        sent: Sequence[CommitOperationAdd],
        texts: Mapping[str, bytes],
        stale: Sequence[str],
        title: str,
        parent: str,
    ) -> str:
        """Commit what was sent, with texts, and without stale files. Returns the commit."""
        self.going = tuple(texts) or tuple(file.path_in_repo for file in sent)
        added = [*sent, *(CommitOperationAdd(path, content) for path, content in texts.items())]
        with asking(self.link):
            done = self.link.api.create_commit(
                self.link.repo,
                [*added, *map(CommitOperationDelete, stale)],
                commit_message=title,
                repo_type="dataset",
                parent_commit=parent or None,
            )
        return commit_id(self.link, done.oid)


@contextmanager
def upload(link: Link) -> Iterator[Upload]:
    """Allow files to go up, and look once more when they have."""
    made = Upload(link)
    link.watch.before = made.check
    try:
        yield made
    finally:
        link.watch.before = None
    made.going = ()
    made.check()


def _make_private(link: Link) -> str:
    """Make a repo private. Returns why it is not, and nothing where it is."""
    try:
        with asking(link):
            link.api.update_repo_settings(link.repo, repo_type="dataset", private=True)
        return "" if state(link).private else "it is said to be public still"
    except (NSDImageryError, *ERRORS) as error:
        return str(ours(link.repo, error))
