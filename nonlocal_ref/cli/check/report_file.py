"""The report of a check as JSON."""

import json
from math import isfinite
from typing import Any

import nonlocal_ref as nl
from nonlocal_ref.testing import ConformanceReport

SCHEMA, SCHEMA_VERSION = "nonlocal_ref check", 1  # the number counts up when a key changes its meaning or goes away


def to_json(report: ConformanceReport, what: str, variant: str) -> str:
    """Everything in the report; a number that is not finite is null."""
    content = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "version": nl.__version__,
        "ok": bool(report),
        "what": what,
        "variant": variant,
        "subject": report.subject,
        "traps": list(report.traps),
        "findings": [finding._asdict() for finding in report.findings],
        "problems": list(report.problems),
        "notes": list(report.notes),
        "rows": [
            {
                "name": row.name,
                "shape": list(row.shape),
                "right": bool(row.right),
                "ratio": number(row.ratio),
                "limit": row.limit,
                "index": list(row.index),
                "implementation": number(row.got),
                "reference": number(row.expected),
            }
            for row in report
        ],
        "gradient_check": None if report.gradient_check is None else str(report.gradient_check),
        "seed": report.seed,
        "call": report.call,
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def number(x: Any) -> float | None:
    """The number, if JSON has a word for it."""
    return float(x) if isfinite(x) else None
