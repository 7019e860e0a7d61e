"""What several reports say in the same words: what something is, where it is not finite, tables, long lines."""

from collections.abc import Collection, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

WIDTH = 96  # a page shows 100 columns; where a report is part of another one it is indented by 4


def kind(x: Any) -> str:
    """What came, in a few words: "a tuple of 2", "an array of shape (2, 3)", "an int"."""
    if isinstance(x, (tuple, list)):
        return f"a {type(x).__name__} of {len(x)}"
    name = type(x).__name__
    try:
        if is_array_api_obj(x) and not isinstance(x, np.generic):
            return f"an array of shape {tuple(x.shape)}"
    except Exception:  # somebody's own object, of which any attribute may raise anything
        return f"a {name}"
    return "None" if x is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def first_not_finite(values: np.ndarray) -> str:
    """The first entry that is NaN or inf, and where: "nan at [0, 2]"."""
    where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    return f"{values[where]} at {list(where)}"


def columns(rows: Sequence[Sequence[str]], to_the_right: Collection[int]) -> list[str]:
    """One line a row, all cells of a column as wide as the widest; numbers stand to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in to_the_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def sentence(label: str, text: str) -> str:
    """The label and the text, in lines that fit a page; those after the first stand under the text."""
    indent = " " * len(label)
    return fill(f"{label}{text}", WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
