"""The report in one line."""

from typing import Any

from nonlocal_ref.checker.report import METHOD_NAMES

Entry = dict[str, Any]


def largest_errors(rows: list[Entry]) -> dict[str, float]:
    """For each way to measure the largest relative error of a gradient that is not zero, the most exact way first."""
    found: dict[str, float] = {}
    for row in rows:
        if row["relative_error"] is not None:
            found[row["method"]] = max(found.get(row["method"], 0.0), row["relative_error"])
    return dict(sorted(found.items(), key=lambda item: item[1]))


def headline(report: Entry) -> str:
    """Every gradient is right: 214 checked, largest relative error 3e-15 by complex step."""
    checked = report["checked"]
    if report["ok"]:
        errors = [
            f"{error:.0e} by {METHOD_NAMES[method]}" for method, error in report["largest_relative_error"].items()
        ]
        return f"every gradient is right: {checked} checked, largest relative error {', '.join(errors) or '0'}"
    parts = [
        f"{report['wrong']} wrong",
        f"{report['inconclusive']} undecided",
        f"{len(report['problems'])} other problems",
    ]
    return f"NOT every gradient is right: {checked} checked, {', '.join(part for part in parts if part[:2] != '0 ')}"
