"""A softmax on the way back without its Jacobian, found without knowing the operation.

With p = softmax(s) the right ds is p (dp - Σ p dp): the second term sees a cotangent only through its product with p.
Where y = p, or y = p g row by row, that product is u · y.  So for u orthogonal to y, row by row, a backward without the
second term (or with a wrong multiple of it) is right, and for no other is it.
"""

from collections.abc import Iterator

import numpy as np

from nonlocal_ref.checker.contract import ContractError
from nonlocal_ref.checker.diagnosis.evidence import Evidence, Scene
from nonlocal_ref.checker.report import Proposal

LEAST_ROW = 2


def softmax_jacobian(evidence: Evidence) -> Iterator[Proposal]:
    """Right for cotangents orthogonal to y; or one of the wrong Jacobians, where y is the softmax of this array."""
    yield from log_softmax_jacobian(evidence)
    for axis in softmax_axes(evidence.scene):
        if evidence.shape == evidence.scene.y.shape and sums_to_one(evidence.scene.y, axis):
            yield from wrong_jacobians(evidence, axis)
        yield from right_if_orthogonal(evidence, axis)


def log_softmax_jacobian(evidence: Evidence) -> Iterator[Proposal]:
    """The same where y is the logarithm of a softmax: the right ds is dy - p Σ dy."""
    scene = evidence.scene
    if evidence.shape != scene.y.shape:
        return
    u = scene.cotangents
    for axis in range(u.ndim - 1):
        p = np.exp(scene.y)
        if p.shape[axis] < LEAST_ROW or not sums_to_one(p, axis):
            continue
        total = np.sum(u, axis=axis + 1, keepdims=True)
        candidates = {
            "it is dy itself; log-softmax has a Jacobian": u,
            "it is dy - Σ dy; the weights p are missing": u - total,
            "it is dy minus its mean; it must be taken under the weights p": u - total / p.shape[axis],
            "it is dy - p dy; the sum over dy is missing": u - p * u,
            "it is p (dy - Σ p dy), the way back of softmax, not of its logarithm": p
            * (u - np.sum(p * u, axis=axis + 1, keepdims=True)),
        }
        for told, candidate in candidates.items():
            if evidence.explained_by(candidate.reshape(len(u), -1)[:, evidence.entries]):
                yield Proposal("softmax_jacobian", told)


def wrong_jacobians(evidence: Evidence, axis: int) -> Iterator[Proposal]:
    """What people write for p (dp - Σ p dp)."""
    scene = evidence.scene
    p, x, u = scene.y, scene.values[evidence.position], scene.cotangents
    over = axis % p.ndim + 1

    def total(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.sum(values, axis=over, keepdims=True))

    candidates = {
        "it is dy itself; softmax has a Jacobian": u,
        "it is p dy; the term with Σ p dy is missing": p * u,
        "it is p (1 - p) dy, the diagonal of the Jacobian alone": p * (1 - p) * u,
        "it is p (dy - mean of dy); the mean must be taken under the weights p": p
        * (u - np.mean(u, over, keepdims=True)),
        "it is p (dy - Σ dy); the sum must be taken under the weights p": p * (u - total(u)),
        "it is dy - Σ p dy; the factor p in front is missing": u - total(p * u),
        "it is dy p - Σ p dy; the factor p of the second term is missing": p * u - total(p * u),
        "it is p (dy + Σ p dy); the sign of the second term is turned": p * (u + total(p * u)),
    }
    for other in range(1, u.ndim):
        if other != over:
            told = f"Σ p dy is summed over axis {other - 1}; the softmax runs over axis {over - 1}"
            candidates[told] = p * (u - np.sum(u * p, axis=other, keepdims=True))
    if p.ndim > 1:
        everything = tuple(range(1, u.ndim))
        told = f"Σ p dy is summed over everything, one number for all rows; the softmax runs over axis {over - 1}"
        candidates[told] = p * (u - np.sum(u * p, axis=everything, keepdims=True))
    for told, candidate in candidates.items():
        if evidence.explained_by(candidate.reshape(len(u), -1)[:, evidence.entries]):
            yield Proposal("softmax_jacobian", told)
    for_y = {"x": x * (u - total(u * x)), "x in one place": p * (u - total(u * x))}
    for told, candidate in for_y.items():
        if evidence.explained_by(candidate.reshape(len(u), -1)[:, evidence.entries]):
            yield Proposal("stale_value", f"the scores stand where the softmax of them belongs ({told} for p)")


def right_if_orthogonal(evidence: Evidence, axis: int) -> Iterator[Proposal]:
    """The error vanishes for u orthogonal to y along the axis."""
    scene = evidence.scene
    y, u = scene.y, scene.cotangents
    if y.shape[axis] < LEAST_ROW:
        return
    along = axis % y.ndim + 1
    norm = np.sum(y * y, axis=axis, keepdims=True)
    share = np.sum(u * y, axis=along, keepdims=True) / np.where(norm > 0, norm, 1.0)
    orthogonal = u - share * y
    right, given = evidence.right_for(orthogonal), evidence.given_for(orthogonal)
    if np.any(np.abs(right) > scene.tolerance) and evidence.close(right, given, float(np.max(np.abs(evidence.error)))):
        told = "right for every dy that is orthogonal to y row by row, for no other: in the Jacobian of softmax, "
        yield Proposal("softmax_jacobian", f"{told}p (dp - Σ p dp), the second term is missing or wrong")


def softmax_axes(scene: Scene) -> list[int]:
    """Axes along which y is a softmax (positive, sums to one), or the last if y is a weighted mean of rows."""
    y = scene.y
    found = [axis for axis in range(y.ndim) if y.shape[axis] > 1 and sums_to_one(y, axis)]
    return found or ([y.ndim - 1] if y.ndim > 1 and is_weighted_mean(scene) else [])


def sums_to_one(y: np.ndarray, axis: int) -> bool:
    """Whether y holds weights along an axis."""
    return bool(np.all(y >= 0) and np.allclose(np.sum(y, axis=axis), 1, rtol=1e-6))


def is_weighted_mean(scene: Scene) -> bool:
    """Whether one array can be shifted by a constant and y moves by the same constant: the weights sum to one."""
    for position, leaf in enumerate(scene.leaves):
        if leaf.floating and leaf.values.ndim >= scene.y.ndim and leaf.values.shape[-1] == scene.y.shape[-1]:
            shifted = list(scene.values)
            shifted[position] = scene.values[position] + 1.0
            try:
                moved = scene.value(shifted)
            except ContractError:  # no value there
                continue
            if moved.shape == scene.y.shape and np.allclose(moved - scene.y, 1, rtol=scene.tolerance):
                return True
    return False
