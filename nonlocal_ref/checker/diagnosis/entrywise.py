"""Right but for a factor of its own for every output, or for every entry: a derivative taken at other values.

y = f(a), entry by entry: backward begins with dy f'(a).  With f' of something else there, every output gives what it
must, times its own factor.  And x = entry by entry the first step: every entry gets what it must, times its own.
"""

from collections.abc import Callable, Iterator

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence
from nonlocal_ref.checker.diagnosis.factors import number
from nonlocal_ref.checker.diagnosis.inside import FUNCTIONS
from nonlocal_ref.checker.report import Proposal

LEAST_ROWS = 3  # with two numbers or more in each, that are off by one factor
FEW = 3  # entries that are told one by one
NEAR = 1e-6
DERIVATIVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "1 - y² (of tanh)": lambda y: 1 - y * y,
    "y (1 - y) (of a sigmoid)": lambda y: y * (1 - y),
    "y (of exp)": lambda y: y,
    "1 / 2y (of a root)": lambda y: 1 / (2 * y),
    "2 sqrt(y) (of a square)": lambda y: 2 * np.sqrt(y),
    "-y² (of 1 / x)": lambda y: -y * y,
    "1 / exp(y) (of a logarithm)": lambda y: np.exp(-y),
    "1 - exp(-y) (of a softplus)": lambda y: 1 - np.exp(-y),
}


def a_derivative_forgotten(evidence: Evidence) -> Iterator[Proposal]:
    """The factor of each output is a known derivative, as a function of y, or one over it."""
    factors = fitted(evidence.given_matrix, evidence.right_matrix, evidence)
    if factors is None:
        return
    known = np.isfinite(factors)
    factor, y = factors[known], evidence.scene.y.ravel()[evidence.outputs][known]
    if np.all(np.abs(factor - factor[0]) < NEAR):
        return
    for told, derivative in DERIVATIVES.items():
        slope = derivative(y)
        if np.allclose(factor * slope, 1, rtol=NEAR, atol=0):
            yield Proposal("missing_term", f"the derivative of the last step, {told}, is missing in the product")
        elif np.allclose(factor, slope, rtol=NEAR, atol=0):
            yield Proposal("scale_twice", f"the derivative of the last step, {told}, is applied twice")


def a_factor_for_each_output(evidence: Evidence) -> Iterator[Proposal]:
    """Each row of the two matrices."""
    factors = fitted(evidence.given_matrix, evidence.right_matrix, evidence)
    if factors is not None and telling(evidence.right_matrix):
        yield named(factors, evidence.outputs, evidence.scene.y.shape, "output")


def a_factor_for_each_entry(evidence: Evidence) -> Iterator[Proposal]:
    """Each column; the derivative of a usual function at the entry, or one over it, is forgotten or applied twice."""
    factors = fitted(evidence.given_matrix.T, evidence.right_matrix.T, evidence)
    if factors is None or not telling(evidence.right_matrix.T):
        return
    known = np.isfinite(factors)
    for shift, slope in slopes(evidence):
        if np.allclose((factors * slope)[known], 1, rtol=NEAR, atol=0):
            yield Proposal("missing_term", f"the derivative of {shift} is missing in the product")
            return
    yield named(factors, evidence.entries, evidence.shape, "entry")


def slopes(evidence: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    """Derivatives of what may come next, at the measured entries: of the values, or of the values and a bias."""
    for shift in (0.0, *(x for x in evidence.scene.values if x.shape == evidence.shape[-1:])):
        values = (evidence.values + shift).ravel()[evidence.entries]
        for name, (_, derivative) in FUNCTIONS.items():
            yield name, derivative(values)


def fitted(came: np.ndarray, right: np.ndarray, evidence: Evidence) -> np.ndarray | None:
    """One factor for each row, NaN where both are zero; None where they do not fit."""
    size = np.sum(right * right, axis=1)
    factors = np.divide(np.sum(came * right, axis=1), size, out=np.full(len(right), np.nan), where=size > 0)
    fit = np.any(came) and evidence.close(came, np.where(size > 0, factors, 0.0)[:, None] * right)
    return factors if fit else None


def telling(right: np.ndarray) -> bool:
    """Whether most rows have two numbers or more: one number is some multiple of any other."""
    several = np.sum(np.abs(right) > 1e-9 * np.max(np.abs(right), initial=0.0), axis=1) > 1
    return int(np.count_nonzero(several)) >= max(LEAST_ROWS, np.count_nonzero(np.any(right, axis=1)) / 2)


def named(factors: np.ndarray, where: np.ndarray, shape: tuple[int, ...], what: str) -> Proposal:
    """What such factors say."""
    finite = np.isfinite(factors)
    known = factors[finite]
    if np.all((np.abs(known) < NEAR) | (np.abs(known - 1) < NEAR)):
        return Proposal("index_ignored", f"every {what} is right, or gives nothing; is a gate closed that is open?")
    off = np.abs(known - 1) >= NEAR
    if np.count_nonzero(off) <= min(FEW, len(known) // 4):
        places = [str([int(i) for i in np.unravel_index(place, shape)]) for place in where[finite][off]]
        given = ", ".join(number(float(factor)) for factor in known[off])
        verb, they = ("is", "it") if len(places) == 1 else ("are", "they")
        told = f"only {'what comes from y at ' if what == 'output' else ''}{', '.join(places)} {verb} wrong"
        return Proposal("constant_factor", f"{told}: {given} times what {they} must be")
    shown = ", ".join(f"{factor:.5g}" for factor in known[:3])
    told = f"every {what} has its own factor, {shown}, ..."
    if along_fewer_axes(factors, where, shape):
        return Proposal("constant_factor", f"{told}, the same along an axis")
    return Proposal("stale_value", f"{told}: is a derivative taken at other values than on the way forth?")


def along_fewer_axes(factors: np.ndarray, where: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether the factors are the same along an axis."""
    if len(where) != np.prod(shape):
        return False
    whole = factors.reshape(shape)
    largest = np.fmax.reduce(np.abs(whole), axis=None)  # fmax and fmin overlook NaN
    return any(
        length > 1
        and np.fmax.reduce(np.fmax.reduce(whole, axis) - np.fmin.reduce(whole, axis), axis=None) < NEAR * largest
        for axis, length in enumerate(shape)
    )
