"""From what an implementation gave to a report: error ratios, the mistakes that explain them, the gradient check."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nonlocal_ref.arguments import FLOATS, check_choice, check_number
from nonlocal_ref.backend import load_backend
from nonlocal_ref.checker import gradcheck
from nonlocal_ref.testing.diagnosis import Subject, diagnose
from nonlocal_ref.testing.implementation import Outcome
from nonlocal_ref.testing.magnitudes import LIMIT, Values, error_ratios
from nonlocal_ref.testing.report import ConformanceError, ConformanceReport, Finding, Row

FLOAT32_EPS = float(np.finfo(np.float32).eps)
BALANCE = 0.1  # of the errors of rounding at least so many go the rarer way
SMALLEST_UNIT = 0.02  # in units of 2^-24 and the magnitude, the worst entry of float32 arithmetic is larger


@dataclass
class Judgement:
    """What is known so far; ``finish`` makes the report of it."""

    name: str
    seed: int
    limit: float
    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    gradient_check: Any = None

    def add(self, outcome: Outcome, subject: Subject, dtype: str, mode: str = "") -> None:
        """Judge one run; ``mode`` is put before the names of its arrays."""
        self.problems += [f"{mode}{problem}" for problem in outcome.problems if problem not in self.problems]
        self.notes += [note for note in outcome.notes if note not in self.notes]
        wrong, off_in_float32 = set(), False
        for name, got in outcome.values.items():
            eps = float(max(np.finfo(dtype).eps, np.finfo(outcome.dtypes[name]).eps))
            row = compare(f"{mode}{name}", got, subject.expected[name], subject.magnitudes[name], eps, self.limit)
            self.rows.append(row)
            if not row.right:
                wrong.add(name)
                off_in_float32 |= row.ratio * eps > self.limit * FLOAT32_EPS
        coarser = sorted({kind.name for kind in outcome.dtypes.values() if np.finfo(kind).eps > np.finfo(dtype).eps})
        if coarser:
            self.notes.append(
                f"{mode}it gives {', '.join(coarser)} for {dtype} arrays, and is judged by that precision"
            )
        if not wrong:
            return
        eps = float(max(np.finfo(dtype).eps, *(np.finfo(kind).eps for kind in outcome.dtypes.values())))
        findings, unexplained = diagnose(subject, outcome.values, wrong, eps)
        if not findings and not off_in_float32 and dtype == "float64" and looks_single(outcome.values, subject, wrong):
            what = "it agrees as far as single precision goes; is something inside cast to float32?"
            findings, unexplained = [Finding("float32 inside", what)], set()
        known = set(self.findings)
        self.findings += [Finding(name, f"{mode}{what}") for name, what in findings if (name, what) not in known]
        if unexplained:
            names = [f"{mode}{name}" for name in outcome.values if name in unexplained]
            self.notes.append(f"no known mistake gives these numbers: {', '.join(names)}")

    def check_gradients(self, op: Callable[..., Any], *args: Any) -> None:
        """See whether a gradient that is wrong in no known way is the derivative of the implementation's own value."""
        if self.gradient_check is None and not self.findings and not self.problems:
            self.gradient_check = gradcheck(op, *args, rng=self.seed)

    def finish(self) -> ConformanceReport:
        """The report; ConformanceError where it is not true."""
        report = ConformanceReport(
            self.name,
            tuple(self.rows),
            tuple(dict.fromkeys(self.findings)),
            tuple(self.problems),
            tuple(self.notes),
            self.seed,
            self.gradient_check,
        )
        if not report:
            raise ConformanceError(report)
        return report


def looks_single(values: Values, subject: Subject, wrong: set[str]) -> bool:
    """Whether wrong arrays are rounded to float32, or off as its arithmetic is: up and down, by units of 2^-24."""
    if any(np.array_equal(values[name], values[name].astype(np.float32)) for name in wrong):
        return True
    off = [(values[name] - subject.expected[name]) * np.sign(subject.expected[name]) for name in wrong]
    tiny = float(np.finfo(np.float32).tiny)
    units = [x / (FLOAT32_EPS / 2 * subject.magnitudes[name] + tiny) for name, x in zip(wrong, off, strict=True)]
    flat = np.concatenate([x.ravel() for x in units])
    up, down = np.sum(flat > 0), np.sum(flat < 0)
    return bool(min(up, down) >= BALANCE * (up + down) and np.max(np.abs(flat)) >= SMALLEST_UNIT)


def compare(
    name: str, got: np.ndarray, expected: np.ndarray, magnitude: np.ndarray, eps: float, limit: float = LIMIT
) -> Row:
    """The worst entry of one array."""
    ratios = error_ratios(got, expected, magnitude, eps)
    if ratios.size == 0:
        return Row(name, got.shape, 0.0, limit, (), 0.0, 0.0)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(ratios)), ratios.shape))
    return Row(name, got.shape, float(ratios[index]), limit, index, float(got[index]), float(expected[index]))


def read_settings(backend: Any, dtype: Any, ratio: Any) -> None:
    """Refuse settings that both kinds of check share, before the implementation is called."""
    load_backend(backend)
    check_choice("dtype", dtype, FLOATS)
    check_number("ratio", ratio, lambda value: 0 < value < float("inf"), "positive and finite")


def name_of(function: Any) -> str:
    """What to call an implementation in the report."""
    return getattr(function, "__name__", type(function).__name__)


def gradients_by_name(backward: Any, cotangent: np.ndarray, names: tuple[str, ...]) -> Values:
    """What a reference backward gives, by name."""
    return dict(zip(names, backward(cotangent), strict=True))
