"""Which known mistake gives the implementation's numbers.

First the forward value: it is held against every other reading (traps.py), then against every pair of them.  Then the
gradients, which must be those of the reading that was found; what is left is held against the mistakes that only
gradients have.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from nonlocal_ref.pairwise import SOFTMAX_VARIANTS
from nonlocal_ref.testing.magnitudes import Values
from nonlocal_ref.testing.readings import Reading
from nonlocal_ref.testing.report import Finding
from nonlocal_ref.testing.traps import GRADIENT_MISTAKES, NEVER_TRAINS, READINGS, Sizes

NOISE = 1000.0  # units of rounding, where a gradient is zero but for rounding
FEWEST = 12  # entries; one number, fitted to fewer, may fit by chance
EPS_STEP = 1e-4  # far above rounding, far below a sum of exponentials
CLOSER = 30.0  # a mistake explains the numbers if it is so much closer to them than the reference


@dataclass(frozen=True)
class Subject:
    """One operation or block on one example, with its right values and a way to compute them under other readings."""

    output: str  # "y" or "z"
    right: Reading
    sizes: Sizes
    expected: Values  # the output first, then the gradients: "dx", "dtheta.weight", ...
    magnitudes: Values
    compute: Callable[[Reading], tuple[np.ndarray, Callable[[], Values]]]  # the output, and a way to its gradients


def diagnose(subject: Subject, got: Values, wrong: set[str], eps: float) -> tuple[list[Finding], set[str]]:
    """Findings, and the names of the wrong arrays that none of them explains."""
    findings: list[Finding] = []
    expected, left = subject.expected, set(wrong)
    if subject.output in wrong:
        found = explain_output(subject, got[subject.output], eps)
        if found is None:
            return [], left
        findings, reading = found
        readings = [reading, replace(reading, shift_has_gradient=True)][: 2 if reading.softmax_shifted else 1]
        for same_output in readings:
            output, gradients = subject.compute(same_output)
            expected = {subject.output: output} | gradients()
            left = {name for name in got if not near(subject, name, got[name], expected[name], eps)}
            if not left:
                break
    more, unexplained = explain_gradients(subject, got, expected, left, eps)
    if not findings and not more and unexplained:
        return explain_everything(subject, got, unexplained, eps)
    known = {finding.name for finding in findings}
    return findings + [finding for finding in more if finding.name not in known], unexplained


def explain_output(subject: Subject, got: np.ndarray, eps: float) -> tuple[list[Finding], Reading] | None:
    """The reading whose output is that of the implementation; one mistake is tried before two."""
    off = _distance(got, subject.expected[subject.output])
    for candidates in (_single(subject), softmax_eps(subject, got), _pairs(subject)):
        best, least = None, np.inf
        for findings, reading in candidates:
            output, _ = subject.compute(reading)
            distance = _distance(got, output)
            if distance < least and distance * CLOSER < off and near(subject, subject.output, got, output, eps):
                best, least = (findings, reading), distance
        if best is not None:
            return best
    return None


def explain_everything(subject: Subject, got: Values, wrong: set[str], eps: float) -> tuple[list[Finding], set[str]]:
    """The reading that gives all gradients, where the output does not tell: W_z or gamma is zero."""
    for findings, reading in (*_single(subject), *_pairs(subject)):
        output, gradients = subject.compute(reading)
        if near(subject, subject.output, got[subject.output], output, eps):
            expected = gradients()
            if all(near(subject, name, got[name], expected[name], eps) for name in got.keys() - {subject.output}):
                return findings, set()
    return [], wrong


def explain_gradients(
    subject: Subject, got: Values, expected: Values, wrong: set[str], eps: float
) -> tuple[list[Finding], set[str]]:
    """Mistakes of the gradients alone, with the right output or with that of a known reading."""
    findings = []
    wrong = wrong - {subject.output}
    idle = {name for name in wrong - {"dx"} if not np.any(got[name])}
    if idle and subject.output == "z":
        everything = not any(np.any(got[name]) for name in got.keys() - {subject.output, "dx"})
        who = "no parameter gets a gradient" if everything else f"no gradient for {listed(idle, expected)}"
        findings.append(Finding(NEVER_TRAINS, f"{who}; is it detached, or never used?"))
        wrong = wrong - idle
    gradients = {name: value for name, value in expected.items() if name in got.keys() - {subject.output}}
    for name, mistake in GRADIENT_MISTAKES if wrong and subject.sizes.batch > 1 else ():
        what, values = mistake(gradients, subject.sizes.batch)
        if all(near(subject, key, got[key], values[key], eps) for key in gradients.keys() - idle):
            return [*findings, Finding(name, what)], set()
    return findings, wrong


def listed(gradients: set[str], order: Values) -> str:
    """Names of the arrays that these are the gradients of, in their usual order."""
    return ", ".join(name[1:] for name in order if name in gradients)


def softmax_eps(subject: Subject, got: np.ndarray) -> Iterator[tuple[list[Finding], Reading]]:
    """An eps in the sum of the softmax, of whatever size: the one that comes nearest, by Newton's steps."""
    expected = subject.expected[subject.output]
    if subject.right.variant not in SOFTMAX_VARIANTS or got.shape != expected.shape or not np.all(np.isfinite(got)):
        return
    if got.size < FEWEST:
        return
    for shifted, when in ((False, ""), (True, ", after the largest logit of the row was subtracted")):
        reading, eps = replace(subject.right, softmax_shifted=shifted), 0.0
        for _ in range(5):
            here, ahead = (subject.compute(replace(reading, softmax_eps=e))[0] for e in (eps, eps + EPS_STEP))
            slope = (ahead - here) / EPS_STEP
            size = float(np.sum(slope * slope))
            eps += float(np.sum(slope * (got - here))) / size if size > 0 else 0.0
            if not 0 < eps < 1:
                break
        else:
            written = min((float(f"{eps:.0e}"), float(f"{eps:.1e}"), eps), key=lambda e: abs(e - eps) > 0.01 * eps)
            what = f"an eps is added to the sum of the softmax, {written:.3g}{when}; rows must sum to one"
            yield [Finding("eps in the softmax", what)], replace(reading, softmax_eps=written)


def _single(subject: Subject) -> Iterator[tuple[list[Finding], Reading]]:
    for name, mistake in READINGS:
        for what, changes in mistake(subject.right, subject.sizes):
            reading = replace(subject.right, **changes)
            if reading != subject.right:
                yield [Finding(name, what)], reading


def _pairs(subject: Subject) -> Iterator[tuple[list[Finding], Reading]]:
    changes = [
        (Finding(name, what), fields)
        for name, mistake in READINGS
        for what, fields in mistake(subject.right, subject.sizes)
        if replace(subject.right, **fields) != subject.right
    ]
    for (one, fields), (other, more) in combinations(changes, 2):
        if not fields.keys() & more.keys():
            yield [one, other], replace(subject.right, **fields, **more)


def _distance(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference; inf for NaN or another shape."""
    if got.shape != expected.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        distance = float(np.max(np.abs(got - expected), initial=0.0))
    return float("inf") if np.isnan(distance) else distance


def near(subject: Subject, name: str, got: np.ndarray, expected: np.ndarray, eps: float) -> bool:
    """Equal to half the digits, but for rounding: a mistake is off by much more."""
    size = float(np.max(np.abs(expected), initial=0.0))
    noise = float(np.max(subject.magnitudes[name], initial=0.0)) * eps * NOISE
    return bool(_distance(got, expected) <= eps**0.5 * size + noise)
