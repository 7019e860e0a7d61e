"""Files that are there whole or not at all: written beside their place under another name, then renamed.

A link is followed, so that it stays one.  What is there and is no regular file, as a pipe or a device, is written into:
a file under its name would take its place.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path


def write_whole(contents: Mapping[Path, bytes]) -> None:
    """Write all files, then give them their names; an error or an interruption leaves nothing half-written.

    OSError where one cannot be written.  A file that is replaced hands its mode on.
    """
    places = {path: behind_links(path) for path in contents if not is_special(path)}
    parts = {path: beside(place) for path, place in places.items()}
    try:
        for path, part in parts.items():
            write_with_mode(part, contents[path], mode_of(places[path]))
        for path in contents.keys() - places.keys():
            path.write_bytes(contents[path])
        for path, part in parts.items():
            part.replace(places[path])
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """OSError where `write_whole` could not write this file; nothing is changed, and no pipe is opened."""
    if is_special(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(None, "Permission denied", str(path))
        return
    probe = beside(behind_links(path))
    probe.touch(exist_ok=False)
    probe.unlink()


def is_special(path: Path) -> bool:
    """Whether it is there and is neither a file nor a folder, links followed."""
    return path.exists() and not path.is_file() and not path.is_dir()


def behind_links(path: Path) -> Path:
    """The file itself, which need not be there yet."""
    return Path(os.path.realpath(path))


def beside(place: Path) -> Path:
    """A hidden name in the same folder, so that renaming is one step of the file system."""
    return place.with_name(f".{place.name}.{os.getpid()}.part")


def mode_of(place: Path) -> int | None:
    """Who may read and write a file; None where there is none yet."""
    return stat.S_IMODE(place.stat().st_mode) if place.exists() else None


def write_with_mode(part: Path, content: bytes, mode: int | None) -> None:
    """Write a new file; where a mode is given nobody else reads it before it has that."""
    if mode is not None:
        part.touch(0o600)
    part.write_bytes(content)
    if mode is not None:
        part.chmod(mode)
