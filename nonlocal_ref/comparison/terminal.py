"""A report for the terminal: ASCII alone, accuracy first."""

from collections.abc import Iterable, Sequence
from typing import Any

from nonlocal_ref.comparison.cells import Table
from nonlocal_ref.comparison.tables import all_tables, opening


def to_terminal(report: dict[str, Any]) -> str:
    """The report as text for a terminal.

    Parameters
    ----------
    report : dict
        What `compare` returned, or `read_report`.

    Returns
    -------
    str
        The headline, or first that there is no GPU; then the tables.
    """
    text = "\n\n".join(["\n".join(opening(report)), *(table_text(table) for table in all_tables(report))])
    return text.encode("ascii", "replace").decode()


def table_text(table: Table) -> str:
    """A heading, a note, and columns as wide as they need to be."""
    rows = [table.columns, *table.rows] if any(table.columns) else table.rows
    return "\n".join([table.title, *table.notes, *columns(rows, table.words)])


def columns(rows: Sequence[Sequence[str]], words: int) -> Iterable[str]:
    """The first ``words`` columns to the left, numbers to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
