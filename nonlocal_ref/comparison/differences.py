"""Two reports side by side: what passed and does no longer, what became more or less exact, faster or slower."""

from typing import Any

from nonlocal_ref.comparison.cells import Table, duration
from nonlocal_ref.comparison.terminal import paragraph, table_text

Entry = dict[str, Any]

ROW = ("variant", "size", "backend", "dtype", "method", "stage")
TIMED = ("variant", "size", "backend", "dtype", "direction")
RATIO_NEWS, TIME_NEWS = 2.0, 1.2  # smaller changes are noise


def differences(before: Entry, after: Entry) -> Entry:
    """What changed from one report to another.

    Parameters
    ----------
    before, after : dict
        Reports, as `compare` returns or `read_report` reads them.

    Returns
    -------
    dict
        ``common`` rows; ``verdicts`` and ``ratios`` that changed, ``speed`` that changed, keys ``only_before`` and
        ``only_after``, ``environment`` entries that differ, and how many rows of ``after`` are ``failing``.
    """
    old, new = ({key(row, ROW): row for row in report["rows"]} for report in (before, after))
    old_speed, new_speed = ({key(entry, TIMED): entry for entry in report["speed"]} for report in (before, after))
    common = [place for place in old if place in new]
    return {
        "common": len(common),
        "verdicts": [
            pair(place, old, new, "pass") for place in common if old[place].get("pass") != new[place].get("pass")
        ],
        "ratios": [
            pair(place, old, new, "ratio")
            for place in common
            if changed(old[place]["ratio"], new[place]["ratio"], RATIO_NEWS, least=1.0)
        ],
        "speed": [
            pair(place, old_speed, new_speed, "median_s")
            for place in old_speed
            if place in new_speed and changed(old_speed[place]["median_s"], new_speed[place]["median_s"], TIME_NEWS)
        ],
        "only_before": [" ".join(place) for place in old if place not in new],
        "only_after": [" ".join(place) for place in new if place not in old],
        "environment": [
            {"what": name, "before": before["environment"].get(name), "after": after["environment"].get(name)}
            for name in dict.fromkeys([*before["environment"], *after["environment"]])
            if before["environment"].get(name) != after["environment"].get(name)
        ],
        "failing": sum(row.get("pass") is False for row in after["rows"]),
    }


def key(entry: Entry, names: tuple[str, ...]) -> tuple[str, ...]:
    """What makes two entries the same measurement."""
    return tuple(entry[name] for name in names)


def pair(place: tuple[str, ...], old: dict[Any, Entry], new: dict[Any, Entry], name: str) -> Entry:
    """What one number was before and is now."""
    return {"what": " ".join(place), "before": old[place].get(name), "after": new[place].get(name)}


def changed(old: float | None, new: float | None, factor: float, least: float = 0.0) -> bool:
    """Whether two numbers differ by more than a factor; below ``least`` all are the same."""
    if old is None or new is None:
        return old is not new
    small, large = sorted((max(old, least), max(new, least)))
    return large > factor * small


def differences_text(found: Entry, width: int | None = None) -> str:
    """The changes as text for a terminal with so many columns."""
    words = {True: "PASS", False: "FAIL", None: "no verdict"}
    parts = [
        paragraph(headline(found), width),
        table("Verdicts that changed", found["verdicts"], lambda value: words[value], width),
        table(f"Error ratios that changed by more than {RATIO_NEWS:g}x", found["ratios"], number, width),
        table(f"Warm medians that changed by more than {TIME_NEWS:g}x", found["speed"], duration, width),
        table("Environment", found["environment"], str, width),
        *(
            table_text(Table(title, [], [""], [[place] for place in found[name]], 1), width)
            for title, name in (("Only in the first", "only_before"), ("Only in the second", "only_after"))
            if found[name]
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def headline(found: Entry) -> str:
    """One line."""
    news = f"{len(found['verdicts'])} of {found['common']} common rows changed their verdict"
    if not found["common"]:
        news = "No row stands in both reports"
    return f"{news}; {found['failing']} rows of the second report fail."


def number(value: float | None) -> str:
    """An error ratio as in 2.63."""
    return "none" if value is None else f"{value:.3g}"


def table(title: str, changes: list[Entry], show: Any, width: int | None) -> str:
    """Before and after."""
    if not changes:
        return ""
    rows = [[change["what"], show(change["before"]), show(change["after"])] for change in changes]
    return table_text(Table(title, [], ["", "before", "after"], rows, 1), width)
