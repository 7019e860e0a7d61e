"""Files that are there whole or not at all: written beside their place under another name, then renamed."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from nonlocal_ref.cli.usage import fail


def check_file(command: str, argument: str, path: Path) -> None:
    """Leave with one line where a file cannot be written, before anything is computed."""
    if path.is_dir():
        fail(command, f"argument {argument}: must be a file to write, got the folder {str(path)!r}")
    if not path.parent.is_dir():
        fail(command, f"argument {argument}: must be in a folder that exists, got {str(path)!r}")
    probe = _beside(path)
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        fail(command, f"argument {argument}: must be writable, got {str(path)!r}: {error.strerror}", error)


@contextmanager
def output_folder(command: str, argument: str, folder: Path, names: Iterable[str]) -> Iterator[None]:
    """A folder to write files to, made where it is missing; what was made goes away again where the work fails."""
    missing = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = f"got {str(folder)!r}: {error.strerror}"
            fail(command, f"argument {argument}: must be a folder to write to, {why}", error)
        for name in names:
            check_file(command, argument, folder / name)
        yield
    except BaseException:
        for place in missing:  # innermost first
            with suppress(OSError):  # not made, or not empty
                place.rmdir()
        raise


def write_files(command: str, argument: str, contents: Mapping[Path, bytes]) -> None:
    """Write all files, then give them their names; an error or an interruption leaves nothing half-written."""
    parts = {path: _beside(path) for path in contents}
    try:
        for path, part in parts.items():
            part.write_bytes(contents[path])
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        fail(command, f"argument {argument}: cannot write {error.filename!r}: {error.strerror}", error)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A hidden name in the same folder, so that renaming is one step of the file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")
