"""A table before it is text, Markdown or HTML, and how numbers stand in its cells."""

from typing import Any, NamedTuple

Entry = dict[str, Any]

NONE = "-"
BROKE = "it broke: "  # before the error that a measurement ended with


class Table(NamedTuple):
    """A heading, sentences, and cells; the first ``words`` columns are no numbers."""

    title: str
    notes: list[str]
    columns: list[str]
    rows: list[list[str]]
    words: int


def duration(seconds: float | None) -> str:
    """A time in the unit that suits it, as in 12.3 ms."""
    if seconds is None:
        return NONE
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def rate(value: float | None) -> str:
    """A rate with three digits, as in 45.6; the unit stands in the head of the column."""
    return NONE if value is None else f"{value:.3g}"


def share(part: float, whole: float) -> str:
    """A part of one as in 64 %."""
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def mebibytes(count: int) -> str:
    """Bytes as in 6.27 MiB."""
    return f"{count / 2**20:.3g} MiB"
