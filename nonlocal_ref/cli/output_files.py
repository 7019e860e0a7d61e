"""The files of a command: refused in one line before anything is computed, then there whole or not at all."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from nonlocal_ref.cli.usage import fail
from nonlocal_ref.machine.whole_files import behind_links, check_writable, write_whole


def check_file(command: str, argument: str, path: Path) -> None:
    """Leave with one line where a file cannot be written, before anything is computed."""
    if str(path) == "-":  # elsewhere that is the standard output, where the report stands already
        fail(command, f"argument {argument}: must be the name of a file, got '-'")
    try:
        if path.is_dir():
            fail(command, f"argument {argument}: must be a file to write, got the folder {str(path)!r}")
        if not behind_links(path).parent.is_dir():
            fail(command, f"argument {argument}: must be in a folder that exists, got {str(path)!r}")
        check_writable(path)
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
    """Write all files, or leave with one line and nothing half-written."""
    try:
        write_whole(contents)
    except OSError as error:
        name = error.filename or ", ".join(map(str, contents))  # a full device and a broken pipe come without one
        fail(command, f"argument {argument}: cannot write {name!r}: {error.strerror}", error)
