"""What a folder holds: its files without those that systems and editors leave there, which nobody asked for."""

from pathlib import Path

from nsd_imagery.links import refuse_without_content

_LEFT_BY_SYSTEMS = frozenset({"Thumbs.db", "desktop.ini", "Icon\r", "@eaDir", "$RECYCLE.BIN", "lost+found"})


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of ours, nor a user's data: `._x`, `.DS_Store`, `.nfs…`."""
    return name.startswith(".") or name in _LEFT_BY_SYSTEMS


def visible(folder: Path, pattern: str = "*") -> list[Path]:
    """What lies directly in a folder by names of a pattern, sorted; nothing where there is no such folder.

    Folders are not told from files, nor links by what they lead to.

    Raises:
        MissingDataError: The folder is a link without content, or leads through one.
    """
    refuse_without_content(folder)
    return sorted(path for path in folder.glob(pattern) if not is_hidden(path.name))
