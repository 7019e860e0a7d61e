"""The report for a terminal: one line for each kind of operation, or for each gradient; errors on a scale."""

from collections.abc import Iterable
from math import log10
from typing import Any

from nonlocal_ref.checker.report import METHOD_NAMES
from nonlocal_ref.comparison.terminal import columns

Entry = dict[str, Any]

LOWEST, STEP = -16, 2  # the scale begins at 1e-16; characters a power of ten
WIDTH = -LOWEST * STEP + 1
MARKS = "".join(f"1e{exponent}".ljust(4 * STEP) for exponent in range(LOWEST, 0, 4)) + "1e0"
MOST_REPORTS = 3  # printed in full; the JSON report has all of them
FLOAT32 = "float32: derivatives are measured on float64 copies; the float32 gradients are held to 30 eps = 4e-06."


def to_terminal(report: Entry, *, every: bool = False) -> str:
    """The headline, the table, what is wrong in the checker's own words, and the curve in numbers."""
    rows = report["rows"]
    parts = [report["headline"]]
    parts += [section(heading, found, every=every) for heading, found in by_place(rows).items()]
    parts.append("\n".join(notes(report)))
    bad = [row for row in rows if row["verdict"] != "right"]
    if bad and not every:
        parts.append("\n".join(["What is not right, one line for each gradient", *table(map(line_of, bad))]))
    parts += [f"{entry['culprit']} {entry['message']}, in {where(entry)}".strip() for entry in report["problems"]]
    told = dict.fromkeys(
        f"{where(entry)}\n{entry['report']}" for entry in (*bad, *report["problems"]) if entry["report"]
    )
    parts += list(told)[:MOST_REPORTS]
    if len(told) > MOST_REPORTS:
        parts.append(f"and {len(told) - MOST_REPORTS} more such reports, all of them in --json FILE")
    return "\n\n".join(parts)


def by_place(rows: list[Entry]) -> dict[str, list[Entry]]:
    """The rows of each backend and precision."""
    found: dict[str, list[Entry]] = {}
    for row in rows:
        found.setdefault(f"{row['backend']}, {row['dtype']}", []).append(row)
    return found


def section(heading: str, rows: list[Entry], *, every: bool) -> str:
    """One table of gradients, with a heading."""
    if every:
        return "\n".join([heading, *table(map(line_of, rows))])
    groups: dict[str, list[Entry]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    return "\n".join([heading, *table(line_of_group(name, found) for name, found in groups.items())])


def table(lines: Iterable[list[str]]) -> Iterable[str]:
    """Columns under their heads."""
    heads = ["operation", "argument", "verdict", "error", MARKS, "allowed", "method"]
    rows = [heads, *lines]
    widest = max(len(row[3]) for row in rows)
    return columns([[*row[:3], row[3].rjust(widest), *row[4:]] for row in rows], words=len(heads))


def line_of(row: Entry) -> list[str]:
    """The cells of one gradient."""
    return [
        row["operation"],
        row["argument"],
        row["verdict"],
        error_text(row),
        scale([row]),
        allowed_text(row),
        METHOD_NAMES[row["method"]],
    ]


def line_of_group(name: str, rows: list[Entry]) -> list[str]:
    """Several gradients: the worst one's numbers, and where all the errors lie."""
    worst = max(rows, key=lambda row: (row["verdict"] != "right", row["relative_error"] or 0.0))
    verdicts = {row["verdict"] for row in rows} - {"right"}
    argument = f"{worst['argument']}, worst of {len(rows)}"
    verdict = " and ".join(sorted(verdicts, reverse=True)) or "right"
    _, _, _, error, _, allowed, method = line_of(worst)
    return [name, argument, verdict, error, scale(rows), allowed, method]


def error_text(row: Entry) -> str:
    """An error as in 3e-15; 0 where the gradient is zero within its rounding."""
    if row["relative_error"] is not None:
        return f"{row['relative_error']:.0e}" if row["relative_error"] else "0"
    return "0" if row["zero"] else "-"


def allowed_text(row: Entry) -> str:
    """A bound as in 1e-07."""
    if row["relative_allowed"] is not None:
        return f"{row['relative_allowed']:.0e}"
    return "rounding" if row["zero"] else "-"


def scale(rows: list[Entry]) -> str:
    """A mark for each error between 1e-16 and 1, the bar where the first one would be too large; zeros have none."""
    places = [" "] * WIDTH
    limits = [place_of(row["relative_allowed"]) for row in rows if row["relative_allowed"] is not None]
    if limits:
        places[min(limits)] = "|"
    for row in rows:
        if row["relative_error"] is not None:
            places[place_of(row["relative_error"])] = "o" if row["verdict"] == "right" else "X"
    return "".join(places)


def place_of(number: float) -> int:
    """Where a number stands on the scale; what lies beyond an end stands at the end."""
    return 0 if number <= 0 else round(min(max(log10(number), LOWEST), 0) * STEP) - LOWEST * STEP


def notes(report: Entry) -> list[str]:
    """What the table leaves unsaid."""
    said = ["o: the error of a gradient, relative to it; |: the smallest error that would be too large here."]
    if report["zero"]:
        said.append(
            f"{report['zero']} gradients are zero but for rounding, as that of a bias before a softmax or batch norm; "
            "there is nothing to be relative to."
        )
    if "float32" in report["asked"]["dtypes"]:
        said.append(FLOAT32)
    if report["asked"]["method"] == "auto" and "central" in report["largest_relative_error"]:
        said.append("A central difference cannot see more: the exact forms refuse the complex step.")
    return [*said, curve_in_words(report["curve"])]


def curve_in_words(curve: Entry) -> str:
    """The best that each way to measure can do, and at which step."""
    best = []
    for name, errors in curve["errors"].items():
        if name == "complex":  # flat over the smaller half of the steps
            half = len(errors) // 2
            best.append(f"{METHOD_NAMES[name]} {max(errors[half:]):.0e} for every h up to {curve['steps'][half]:.0e}")
        else:
            error, step = min(zip(errors, curve["steps"], strict=True))
            best.append(f"{METHOD_NAMES[name]} {error:.0e} at h = {step:.0e}")
    return f"The best that can be measured: {'; '.join(best)}. --picture FILE draws it."


def where(entry: Entry) -> str:
    """Which operation, on what."""
    return f"{entry['operation']} ({entry['backend']}, {entry['dtype']})"
