"""A report as JSON, and back."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from nonlocal_ref.comparison.comparing import SCHEMA, SCHEMA_VERSION

ROW_KEYS = {"variant": str, "size": str, "backend": str, "dtype": str, "method": str, "stage": str}
SPEED_KEYS = {"variant": str, "size": str, "backend": str, "dtype": str, "direction": str}


class ReportError(ValueError):
    """A file that is no report of this version; str(error) says why."""


def to_json(report: dict[str, Any]) -> str:
    """The report as JSON; numbers that JSON has no word for do not occur in one.

    Parameters
    ----------
    report : dict
        What `compare` returned, or `read_report`.

    Returns
    -------
    str
        One JSON object.
    """
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def read_report(file: str | Path) -> dict[str, Any]:
    """Read a report that `compare` wrote.

    Parameters
    ----------
    file : str or Path
        A JSON file.

    Returns
    -------
    dict
        As `compare` returns it.

    Raises
    ------
    ReportError
        If it cannot be read, is no JSON, no report, or one of another version.
    """
    name = Path(file).name or str(file)
    try:
        report = json.loads(Path(file).read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        msg = f"cannot read {name!r}: {error.strerror}"
        raise ReportError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{name!r} is not JSON: {error}"
        raise ReportError(msg) from error
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        msg = f"{name!r} is no report of nonlocal-ref compare: it has no schema {SCHEMA!r}"
        raise ReportError(msg)
    found = report.get("schema_version")
    if type(found) is not int or found != SCHEMA_VERSION:  # True and 1.0 are equal to 1
        msg = f"{name!r} has schema_version {found!r}, this program reads {SCHEMA_VERSION}: make it anew"
        raise ReportError(msg)
    _check_entries(name, report, "rows", ROW_KEYS, ("ratio",))
    _check_entries(name, report, "speed", SPEED_KEYS, ("median_s",))
    if not isinstance(report.get("environment"), dict) or any(
        "pass" not in row or type(row["pass"]) not in (bool, type(None)) for row in report["rows"]
    ):
        msg = f"{name!r} is damaged: environment or rows[].pass is not what it must be"
        raise ReportError(msg)
    return report


def _refuse(word: str) -> NoReturn:
    msg = f"{word} is no JSON number"
    raise ValueError(msg)


def _check_entries(
    name: str, report: dict[str, Any], list_name: str, words: Mapping[str, type], numbers: tuple[str, ...]
) -> None:
    """Refuse a list whose entries lack what `differences` reads."""
    entries = report.get(list_name)
    if isinstance(entries, list) and all(
        isinstance(entry, dict)
        and all(isinstance(entry.get(key), kind) for key, kind in words.items())
        and all(key in entry and (entry[key] is None or _is_size(entry[key])) for key in numbers)
        for entry in entries
    ):
        return
    msg = f"{name!r} is damaged: {list_name} must be a list of entries with {', '.join([*words, *numbers])}"
    raise ReportError(msg)


def _is_size(value: object) -> bool:
    """Whether it is a number that a ratio or a time can be: JSON also has 1e400, -1 and true."""
    return type(value) in (int, float) and 0 <= value <= sys.float_info.max  # type: ignore[operator]
