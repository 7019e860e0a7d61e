"""A mask, a ReLU gate or a pooling index that the way back ignores: gradient where there must be none."""

from collections.abc import Iterator

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence, Scene
from nonlocal_ref.checker.report import Proposal

LEAST_SHARED = 2  # entries that are off by one factor


def gate_of_dy(scene: Scene, position: int) -> Iterator[Proposal]:
    """backward(2 dy) = 2 backward(dy), but backward(-dy) is not -backward(dy): it looks at the sign of dy."""
    first = scene.cotangents[0]
    once, twice, turned = (scene.call.gradients(factor * first) for factor in (1, 2, -1))
    if not all(position in found for found in (once, twice, turned)):
        return
    size = scene.tolerance * float(np.max(np.abs(once[position]), initial=0.0))
    doubled = np.max(np.abs(twice[position] - 2 * once[position]), initial=0.0) <= size
    if doubled and np.max(np.abs(turned[position] + once[position]), initial=0.0) > size:
        told = "it depends on the sign of dy: a gate (of a ReLU) must look at the input, never at dy"
        yield Proposal("index_ignored", told)


def gradient_where_none_belongs(evidence: Evidence) -> Iterator[Proposal]:
    """Entry by entry of the two matrices: equal (up to a factor), or one of them is zero; came is not zero alone."""
    came, right = evidence.given_matrix, evidence.right_matrix
    least = 1e-9 * max(float(np.max(np.abs(came), initial=0.0)), float(np.max(np.abs(right), initial=0.0)))
    some, wanted = np.abs(came) > least, np.abs(right) > least
    extra, both = some & ~wanted, some & wanted
    if not np.any(extra) or not np.any(wanted):
        return
    close = evidence.scene.tolerance * np.maximum(np.abs(came), np.abs(right))
    share = 1.0
    if not np.all(np.abs(came - right)[both] <= close[both]):
        if np.count_nonzero(both) < LEAST_SHARED:
            return
        share = float(np.sum(came[both] * right[both]) / np.sum(right[both] ** 2))
        if not np.all(np.abs(came - share * right)[both] <= close[both]):
            return
    where = np.argwhere(extra)[0]
    y_index = index_of(int(evidence.outputs[where[0]]), evidence.scene.y.shape)
    entry = index_of(int(evidence.entries[where[1]]), evidence.shape)
    told = f"entry {entry} gets a gradient from y{y_index}, which does not depend on it; is a mask, a ReLU gate or the"
    factor = "" if share == 1.0 else f" (and the others get {share:.5g} times theirs)"
    yield Proposal("index_ignored", f"{told} index of a maximum ignored?{factor}")


def right_where_open(evidence: Evidence) -> Iterator[Proposal]:
    """Right for every output that depends on the array; outputs that do not depend on it give something too."""
    came, right = evidence.given_matrix, evidence.right_matrix
    least = 1e-9 * float(np.max(np.abs(right), initial=0.0))
    open_rows = np.max(np.abs(right), axis=1, initial=0.0) > least
    if not np.any(open_rows) or np.all(open_rows):
        return
    closed_came = float(np.max(np.abs(came[~open_rows]), initial=0.0))
    if closed_came > least and evidence.close(came[open_rows], right[open_rows], closed_came):
        told = (
            "right for the outputs that depend on it; those that do not (a ReLU that is closed, a mask) give a gradient"
        )
        yield Proposal("index_ignored", f"{told} as well")


def index_of(flat: int, shape: tuple[int, ...]) -> str:
    """An index in brackets."""
    return str([int(i) for i in np.unravel_index(flat, shape)])
