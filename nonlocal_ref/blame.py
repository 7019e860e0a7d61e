"""Where in other people's code an exception comes from."""

import importlib
import sysconfig
import traceback
from pathlib import Path
from textwrap import shorten

LONGEST = 300  # characters of what an exception says
PACKAGE = Path(__file__).parent
IMPORTS = Path(importlib.__file__).parent
STANDARD = Path(sysconfig.get_path("stdlib"))
INSTALLED = {"site-packages", "dist-packages"}


def in_one_line(error: BaseException) -> str:
    """What it says, and where it was raised: "ValueError: no (in forward, my_block.py line 3)"."""
    place = place_of(error)
    return f"{message_of(error)} ({place})" if place else message_of(error)


def message_of(error: BaseException) -> str:
    """What it says, in one line: "ValueError: no"."""
    lines = traceback.format_exception_only(error)  # holds where str(error) fails
    said = " ".join((lines[-1] if isinstance(error, SyntaxError) else lines[0]).split())  # the others are notes
    return shorten(said, LONGEST, placeholder=" ...")


def place_of(error: BaseException) -> str:
    """Function, file and line that was running: the innermost of theirs, or of a library where that is all there is."""
    if isinstance(error, SyntaxError) and error.filename:  # raised by the one who reads it
        return f"{Path(error.filename).name} line {error.lineno}"
    frame = frame_of(error)
    return f"in {frame.name}, {Path(frame.filename).name} line {frame.lineno}" if frame else ""


def frame_of(error: BaseException) -> traceback.FrameSummary | None:
    """That function, file and line; None where nothing of theirs was running."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_file_of_others(frame.filename)]
    theirs = [frame for frame in frames if not is_library(frame.filename)]
    return (theirs or frames)[-1] if frames else None


def is_file_of_others(file: str) -> bool:
    """Whether it is no part of this package, nor of the import system."""
    ours = Path(file).is_relative_to(PACKAGE) or Path(file).is_relative_to(IMPORTS)
    return not (ours or file.startswith("<frozen"))


def is_library(file: str) -> bool:
    """Whether it was installed rather than written here."""
    path = Path(file)
    return path.is_relative_to(STANDARD) or not INSTALLED.isdisjoint(path.parts)
