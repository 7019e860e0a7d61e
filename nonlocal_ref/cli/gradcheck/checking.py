"""Every case on every backend in every precision -> a report of plain values, the same for the same seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import nonlocal_ref as nl
from nonlocal_ref.checker import LeafReport, Report
from nonlocal_ref.cli.gradcheck.cases import Case, all_cases
from nonlocal_ref.cli.gradcheck.curve import error_over_step
from nonlocal_ref.cli.gradcheck.summary import headline, largest_errors
from nonlocal_ref.comparison.devices import Backend
from nonlocal_ref.machine.folders import without_folders
from nonlocal_ref.machine.software import package_versions, python_name

SCHEMA, SCHEMA_VERSION = "nonlocal_ref gradcheck", 1  # the number counts up when a key changes its meaning or goes away
LEAST_SEEN = 10.0  # a gradient that stands less than one digit out of its rounding is zero: nothing to be relative to

Entry = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    variants: Sequence[str] = nl.VARIANTS
    dims: Sequence[int] = (1, 2, 3)
    dtypes: Sequence[str] = ("float64",)
    backends: Sequence[str] = ("numpy",)
    mode: str = "fast"
    method: str = "auto"
    seed: int = 0
    quick: bool = False


def check_everything(request: Request, tick: Callable[[int, int], None] = lambda done, total: None) -> Entry:
    """Check, and measure the curve; ValueError where a backend is not usable here, or not in this precision."""
    backends = [Backend(name) for name in request.backends]
    for backend, dtype in product(backends, request.dtypes):
        check_precision(backend, dtype)
    cases = all_cases(list(request.variants), list(request.dims), quick=request.quick)
    if request.method == "complex":  # the exact forms refuse complex arrays
        cases = [case for case in cases if case.holomorphic]
    steps = list(product(backends, request.dtypes, cases))
    rows: list[Entry] = []
    problems: list[Entry] = []
    with threadpool_limits(limits=1):  # the examples are small: a second thread would only wait
        for done, (backend, dtype, case) in enumerate(steps):
            tick(done, len(steps))
            place = {"backend": backend.name, "dtype": dtype, "group": case.group, "operation": case.name}
            found, broken = check_case(case, backend, dtype, request)
            rows += [place | row for row in found]
            problems += [place | problem for problem in broken]
    tick(len(steps), len(steps))
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("right", "wrong", "inconclusive")}
    report = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "version": nl.__version__,
        "ok": not problems and bool(rows) and counts["right"] == len(rows),
        "checked": len(rows),
        **counts,
        "zero": sum(row["zero"] for row in rows),
        "largest_relative_error": largest_errors(rows),
        "asked": {
            key: list(value) if isinstance(value, (tuple, list)) else value for key, value in vars(request).items()
        },
        "environment": {"python": python_name(), "packages": package_versions()},
        "rows": rows,
        "problems": problems,
        "curve": error_over_step(request.seed),
    }
    return {"headline": headline(report)} | report


def check_precision(backend: Backend, dtype: str) -> None:
    """Refuse a device that has no such numbers, before every single check fails for that."""
    try:
        with backend.holding(dtype):
            nl.to_backend(np.zeros(1), backend.name, dtype)
    except (TypeError, ValueError) as error:  # PyTorch raises the one, array-api-strict the other
        msg = f"{backend.name} does not hold {dtype}, pass another --dtype"
        raise ValueError(msg) from error


def check_case(case: Case, backend: Backend, dtype: str, request: Request) -> tuple[list[Entry], list[Entry]]:
    """One row for each gradient, and what is wrong besides numbers: a promise not kept, a gradient left out."""
    host = case.arguments(request.seed)
    try:
        with backend.holding(dtype):
            args = [nl.to_backend(argument, backend.name, dtype) for argument in host]
            report = nl.gradcheck(
                case.op, *args, rng=request.seed, mode=request.mode, method=request.method, names=case.names
            )
    except Exception as error:  # a library or a device fails in its own way
        return [], [
            {"culprit": "", "message": f"raised {type(error).__name__}: {without_folders(str(error))}", "report": ""}
        ]
    left_out = sorted(set(report.constants) - case.constants)
    problems = [{"culprit": problem.culprit, "message": problem.message} for problem in report.problems]
    problems += [{"culprit": name, "message": "gets no gradient"} for name in left_out]
    return [row_of(leaf, report) for leaf in report], [problem | {"report": str(report)} for problem in problems]


def row_of(leaf: LeafReport, report: Report) -> Entry:
    """A gradient as plain values; a number that there is none of is None."""
    size = max(abs(leaf.analytic), abs(leaf.numeric))
    zero = leaf.status == "right" and (leaf.zero or size <= LEAST_SEEN * leaf.bound)
    numbers = {
        "backward_gives": leaf.analytic,
        "measured": leaf.numeric,
        "error": leaf.error,
        "allowed": leaf.bound,
        "relative_error": None if zero or not size else leaf.error / size,
        "relative_allowed": None if zero or not size else leaf.bound / size,
    }
    return {
        "argument": leaf.name.removeprefix("params."),
        "shape": list(leaf.shape),
        "verdict": leaf.status,
        "zero": bool(zero),
        **{key: value if value is not None and isfinite(value) else None for key, value in numbers.items()},
        "method": leaf.method,
        "kinks": leaf.kinked,
        "notes": list(leaf.notes),
        "report": "" if leaf.status == "right" else str(report),
    }
