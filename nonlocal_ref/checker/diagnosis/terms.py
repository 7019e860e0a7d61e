"""A term that is missing: a path that this argument takes as well, or what a mean or a norm adds."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence
from nonlocal_ref.checker.diagnosis.factors import axes_in_words
from nonlocal_ref.checker.report import Proposal

LEAST_MORE = 8  # equations than free numbers, or a term is found by chance


def path_straight_through(evidence: Evidence) -> Iterator[Proposal]:
    """right - came is dy itself, or came is dy itself."""
    scene = evidence.scene
    if evidence.shape != scene.y.shape or scene.y.size < 2:
        return
    straight = scene.cotangents.reshape(len(scene.cotangents), -1)[:, evidence.entries]
    if evidence.close(evidence.error, straight):
        yield Proposal("missing_term", f"dy is missing in it: {evidence.name} also goes straight to y (a residual)")
    elif evidence.close(-evidence.error, straight):
        yield Proposal(
            "missing_term", f"dy is in it once too often; {evidence.name} does not go straight to y so often"
        )
    elif evidence.explained_by(straight) and has_path_straight_through(evidence):
        yield Proposal("missing_term", "it is dy alone, the path straight through; the other paths are missing")


def has_path_straight_through(evidence: Evidence) -> bool:
    """Whether the Jacobian is the identity and something else, not the identity times something."""
    own = evidence.jacobian[evidence.entries, np.arange(len(evidence.entries))]
    rest = evidence.jacobian - (np.arange(evidence.scene.y.size)[:, None] == evidence.entries)
    return bool(np.any(rest)) and bool(np.max(np.abs(own), initial=0.0) > 0) and not is_diagonal(evidence)


def is_diagonal(evidence: Evidence) -> bool:
    """Whether the operation works entry by entry."""
    if evidence.values.size != evidence.scene.y.size:
        return False
    rows = np.arange(evidence.scene.y.size)[:, None] != evidence.entries
    size = float(np.max(np.abs(evidence.jacobian), initial=0.0))
    return bool(np.max(np.abs(evidence.jacobian[rows]), initial=0.0) <= evidence.scene.tolerance * size)


def gradient_of_another_path(evidence: Evidence) -> Iterator[Proposal]:
    """What is missing, or too much, is the gradient of another array."""
    for other in evidence.others():
        if other.shape != evidence.shape or not np.any(other.right):
            continue
        if len(other.entries) != len(evidence.entries) or np.any(other.entries != evidence.entries):
            continue
        if evidence.close(evidence.error, other.right):
            told = f"what {other.name} gets is missing in it: does {evidence.name} take that path as well?"
            yield Proposal("missing_term", told)
        elif evidence.close(-evidence.error, other.right):
            yield Proposal("another_argument", f"the gradient of {other.name} is added to it")


def one_of_two_uses(evidence: Evidence) -> Iterator[Proposal]:
    """What is missing is what backward gives for dy transposed: x xᵀ uses x twice."""
    u = evidence.scene.cotangents
    square = u.ndim > 2 and u.shape[-1] == u.shape[-2] > 1
    if square and evidence.close(evidence.error, evidence.given_for(np.swapaxes(u, -1, -2))):
        told = f"one of two uses of {evidence.name} is missing: the same for dy transposed must be added"
        yield Proposal("missing_term", told)


def nothing_for_some_entries(evidence: Evidence) -> Iterator[Proposal]:
    """Some entries get nothing, all others are right."""
    came, right = evidence.came, evidence.right
    size = evidence.scene.tolerance * float(np.max(np.abs(right), initial=0.0))
    nothing = ~np.any(came, axis=0) & (np.max(np.abs(right), axis=0, initial=0.0) > size)
    if np.any(nothing) and np.any(came) and np.max(np.abs(came - right)[:, ~nothing], initial=0.0) <= size:
        where = [int(i) for i in np.unravel_index(int(evidence.entries[np.argmax(nothing)]), evidence.shape)]
        told = f"{np.count_nonzero(nothing)} of its entries get nothing, from {where} on; the others are right"
        yield Proposal("missing_term", told)


def one_factor_of_a_product(evidence: Evidence) -> Iterator[Proposal]:
    """y = x f(x), entry by entry, and what came is f(x) dy: the term x f'(x) dy is missing."""
    scene = evidence.scene
    if evidence.shape != scene.y.shape or not is_diagonal(evidence):
        return
    x, y = evidence.values.ravel(), scene.y.ravel()
    if np.all(x):
        u = scene.cotangents.reshape(len(scene.cotangents), -1)
        if evidence.explained_by((u * (y / x))[:, evidence.entries]):
            yield Proposal("missing_term", "it is y / x dy: of the product x f(x) the factor f is not differentiated")


def statistics_as_constants(evidence: Evidence) -> Iterator[Proposal]:
    """Along some axes the error is a + b x (or b y): a mean, a variance or a norm depends on the array as well."""
    if not evidence.complete:
        return
    shape = evidence.shape
    error, right = (x.reshape(-1, *shape) for x in (evidence.error, evidence.right))
    tolerance = evidence.scene.tolerance
    axes = [axis for axis in range(len(shape)) if shape[axis] > 1]
    x = evidence.values
    same_shape = evidence.scene.y.shape == shape
    bases: list[tuple[str, list[np.ndarray]]] = [("a constant", [np.ones(shape)])]
    bases += [("a multiple of the array itself", [x])]
    bases += [("a multiple of y", [evidence.scene.y])] if same_shape else []
    bases += [("a constant and a multiple of the array itself", [np.ones(shape), x])]
    for what, basis in bases:
        for count in range(len(axes), 0, -1):  # a larger group has fewer free numbers
            for some in combinations(axes, count):
                group = int(np.prod([shape[axis] for axis in some]))
                if (error.size // group) * (group - len(basis)) < LEAST_MORE or group <= len(basis):
                    continue
                if in_span(error, basis, some, tolerance) and not in_span(right, basis, some, tolerance):
                    told = f"what is missing is {what} along {axes_in_words(some)}: a mean, a variance or a norm"
                    yield Proposal("missing_term", f"{told} over them depends on {evidence.name} as well")
                    return


def in_span(error: np.ndarray, basis: list[np.ndarray], axes: tuple[int, ...], tolerance: float) -> bool:
    """Whether error (cotangents, *shape) is, group by group, a sum of multiples of the arrays in the basis."""
    rest = tuple(axis for axis in range(error.ndim - 1) if axis not in axes)
    group = int(np.prod([error.shape[axis + 1] for axis in axes]))
    rows = error.transpose(*(axis + 1 for axis in rest), 0, *(axis + 1 for axis in axes))
    rows = rows.reshape(-1, len(error), group)
    spanning = np.stack([b.transpose(*rest, *axes).reshape(-1, group) for b in basis], axis=-1)
    size = float(np.max(np.abs(error), initial=0.0))
    for some_rows, span in zip(rows, spanning, strict=True):
        left = some_rows.T - span @ (np.linalg.pinv(span) @ some_rows.T)
        if float(np.max(np.abs(left), initial=0.0)) > 10 * tolerance * size:
            return False
    return True
