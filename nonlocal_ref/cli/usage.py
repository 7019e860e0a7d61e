"""What a command was asked for and cannot do: one line that names the argument, what came and what fits."""

import argparse
import importlib
import math
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn

from nonlocal_ref.backend import load_backend

TOUR = "scikit-image matplotlib imageio pillow tqdm jinja2"  # the extra "tour": the package itself is not on PyPI


class UsageError(Exception):
    """A command cannot do what it was asked for; str(error) is the line to print."""


class Paragraphs(argparse.HelpFormatter):
    """Fills each paragraph to the width of the terminal; one with indented lines (a table, examples) stays as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        def fill(paragraph: str) -> str:
            if "\n  " in paragraph or paragraph.startswith("  "):
                return textwrap.indent(paragraph, indent)
            return textwrap.fill(paragraph, width, initial_indent=indent, subsequent_indent=indent)

        return "\n\n".join(fill(paragraph) for paragraph in text.strip("\n").split("\n\n"))


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, and an exception; options are not abbreviated, paragraphs stay paragraphs."""

    def __init__(self, **options: Any) -> None:
        settings: dict[str, Any] = {"allow_abbrev": False, "formatter_class": Paragraphs}
        super().__init__(**(settings | options))

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        msg = f"{self.prog}: error: {message} (see {self.prog} --help)"
        raise UsageError(msg)


def fail(command: str, message: str, cause: BaseException | None = None) -> NoReturn:
    """Leave a command with one line."""
    one_line = " ".join(message.split())
    msg = f"nonlocal-ref {command}: error: {one_line}"
    raise UsageError(msg) from cause


def need(command: str, *modules: str) -> None:
    """Import libraries of the extra "tour", or leave with the line that installs them all."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            package = module.partition(".")[0]
            why = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be imported ({error})"
            fail(command, f"{package} {why}; install what it needs with: pip install {TOUR}", error)


def use_backend(command: str, name: str) -> None:
    """Leave with one line where a backend is not usable here."""
    try:
        load_backend(name)
    except ValueError as error:
        fail(command, f"argument --backend: {error}", error)


def number(least: float, most: float, *, hint: str = "") -> Callable[[str], float]:
    """Parse a number from ``least`` to ``most``; with ``most`` infinite, a number greater than ``least``."""
    what = f"greater than {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if least < value <= most or (value == least and not math.isinf(most)):  # NaN is neither
            return value
        msg = f"must be a number {what}{hint}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)

    return parse


def whole_number(least: int, *, odd: bool = False) -> Callable[[str], int]:
    """Parse a whole number of at least ``least``; an odd one where a patch needs a centre."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value >= least and (value % 2 == 1 or not odd):
            return value
        msg = f"must be {'an odd' if odd else 'a'} whole number of at least {least}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)

    return parse
