"""A report as Markdown."""

from typing import Any

from nonlocal_ref.comparison.cells import Table
from nonlocal_ref.comparison.tables import all_tables, opening


def to_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown, for an issue or a page of the documentation.

    Parameters
    ----------
    report : dict
        What `compare` returned, or `read_report`.

    Returns
    -------
    str
        One page.
    """
    parts = [
        "# nonlocal-ref compare",
        *map(escaped, opening(report)),
        *(table_text(table) for table in all_tables(report)),
    ]
    return "\n\n".join(parts) + "\n"


def table_text(table: Table) -> str:
    """A heading, a note, a pipe table."""
    heads = "| " + " | ".join(map(escaped, table.columns)) + " |"
    rule = "|" + "|".join(" :-- " if place < table.words else " --: " for place in range(len(table.columns))) + "|"
    rows = ["| " + " | ".join(map(escaped, row)) + " |" for row in table.rows]
    notes = [escaped(" ".join(table.notes))] if table.notes else []
    return "\n\n".join([f"## {table.title}", *notes, "\n".join([heads, rule, *rows])])


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is."""
    for character in "\\|<*`[":
        text = text.replace(character, "\\" + character)
    return text
