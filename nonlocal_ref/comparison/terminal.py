"""A report for the terminal: printable ASCII alone, accuracy first, no wider than it has to be."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from nonlocal_ref.comparison.cells import Table
from nonlocal_ref.comparison.tables import all_tables, opening

NARROWEST = 30  # a terminal with fewer columns gets lines of so many
GAP = 2  # blanks before every column

Rows = Sequence[Sequence[str]]


def to_terminal(report: dict[str, Any], width: int | None = None, *, shown: int = 0) -> str:
    """The report as text for a terminal.

    Parameters
    ----------
    report : dict
        What `compare` returned, or `read_report`.
    width : int, optional
        Columns of the terminal; tables that are wider are broken.  None means that there is no limit.
    shown : int
        How many sentences of the opening are on the terminal already.

    Returns
    -------
    str
        The headline, or first that there is no GPU, and what was left out; then the tables.
    """
    sentences = [paragraph(sentence, width) for sentence in opening(report)[shown:]]
    return "\n\n".join(["\n".join(sentences), *(table_text(table, width) for table in all_tables(report))])


def table_text(table: Table, width: int | None = None) -> str:
    """A heading, notes, and columns as wide as they need to be; where that is too wide, in pieces."""
    rows = [table.columns, *table.rows] if any(table.columns) else table.rows
    rows = [[plain(cell) for cell in row] for row in rows]
    lines = list(columns(rows, table.words))
    if width is not None and max(map(len, lines)) > max(width, NARROWEST):
        lines = list(narrow(rows, table.words, max(width, NARROWEST)))
    return "\n".join([*(paragraph(sentence, width) for sentence in (table.title, *table.notes)), *lines])


def plain(text: str) -> str:
    """Printable ASCII, the rest as question marks: a report may be anybody's, and a terminal obeys what it gets."""
    return re.sub(r"[^ -~]", "?", text)


def paragraph(text: str, width: int | None) -> str:
    """A sentence in lines that fit; a word that is too long is broken."""
    return plain(text) if width is None else textwrap.fill(plain(text), max(width, NARROWEST), break_on_hyphens=False)


def columns(rows: Rows, words: int) -> Iterable[str]:
    """The first ``words`` columns to the left, numbers to the right."""
    widths = widths_of(rows)
    for row in rows:
        cells = [
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield (" " * GAP + (" " * GAP).join(cells)).rstrip()


def widths_of(rows: Rows) -> list[int]:
    """The widest cell of each column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def narrow(rows: Rows, words: int, width: int) -> Iterable[str]:
    """A table that is too wide: the last column filled, the numbers in blocks, or one row after another."""
    widths = [GAP + cell for cell in widths_of(rows)]
    if words == len(widths):
        return with_last_column_filled(rows, width)
    room = width - sum(widths[:words])
    if max(widths[words:]) <= room:
        return in_blocks(rows, words, widths, room)
    return one_row_after_another(rows, words, width)


def with_last_column_filled(rows: Rows, width: int) -> Iterable[str]:
    """Text alone: the last column beside the others in several lines, or below them where they take too much."""
    indent = sum(GAP + cell for cell in widths_of(rows)[:-1]) + GAP
    for row, start in zip(rows, columns([row[:-1] for row in rows], len(rows[0])), strict=True):
        if 2 * indent <= width:
            yield from filled(row[-1], width, start.ljust(indent), indent)
        else:
            yield from filled("  ".join(row[:-1]), width, " " * GAP, 2 * GAP)
            yield from filled(row[-1], width, " " * 3 * GAP, 3 * GAP)


def in_blocks(rows: Rows, words: int, widths: Sequence[int], room: int) -> Iterable[str]:
    """As many columns of numbers at a time as there is room for, each time beside the words."""
    blocks: list[list[int]] = [[]]
    for place in range(words, len(widths)):
        if sum(widths[other] for other in [*blocks[-1], place]) > room:
            blocks.append([])
        blocks[-1].append(place)
    for number, block in enumerate(blocks):
        if number > 0:
            yield ""
        yield from columns([[*row[:words], *(row[place] for place in block)] for row in rows], words)


def one_row_after_another(rows: Rows, words: int, width: int) -> Iterable[str]:
    """The words of a row, then a line for every number, by its name."""
    heads, *body = rows
    yield from filled("  ".join(heads[:words]), width, " " * GAP, 2 * GAP)
    for row in body:
        yield from filled("  ".join(row[:words]), width, " " * GAP, 2 * GAP)
        for head, cell in zip(heads[words:], row[words:], strict=True):
            yield from filled(f"{head}: {cell}", width, " " * 2 * GAP, 3 * GAP)


def filled(text: str, width: int, start: str, indent: int) -> list[str]:
    """Lines that fit; the first begins with ``start``, the others with blanks."""
    rest = " " * indent
    lines = textwrap.wrap(text, width, initial_indent=start, subsequent_indent=rest, break_on_hyphens=False)
    return lines or [start.rstrip()]
