"""The gradient of a scale from another array than the normalised one: dgamma = Σ dx_hat x, where x_hat belongs.

Where x is a x_hat + b for each channel, that is a dgamma + b dbeta, whatever comes after the norm.
"""

from collections.abc import Iterator

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence
from nonlocal_ref.checker.diagnosis.inside import arrays_inside
from nonlocal_ref.checker.report import Proposal

LEAST_ROWS = 5  # for two unknown numbers


def moved_and_scaled(evidence: Evidence) -> Iterator[Proposal]:
    """Entry by entry the right gradient and that of an array of the same shape, with a factor each."""
    for other in evidence.others():
        if other.shape != evidence.shape or not np.array_equal(other.entries, evidence.entries):
            continue
        own, shift = evidence.right_matrix, other.jacobian[evidence.outputs]
        both = np.stack([own, shift], axis=-1).transpose(1, 0, 2)  # (entries, outputs, 2)
        rows = np.count_nonzero(np.any(both, axis=-1), axis=1)
        if np.any(rows < LEAST_ROWS) or np.any(np.linalg.matrix_rank(both) < 2):
            continue
        came = evidence.given_matrix.T[..., None]
        factors = np.linalg.pinv(both) @ came
        if evidence.close((both @ factors)[..., 0], came[..., 0]) and np.all(np.abs(factors[:, 1]) > 1e-6):
            told = f"it is the right one and that of {other.name}, with a factor each for every entry"
            yield Proposal("stale_value", f"{told}: is the array before (or after) a norm read?")
            return


def another_array_is_read(evidence: Evidence) -> Iterator[Proposal]:
    """Every output gives to one entry, and what it gives is an array that can be named."""
    came, right = evidence.given_matrix, evidence.right_matrix
    scene = evidence.scene
    least = 1e-9 * float(np.max(np.abs(right), initial=0.0))
    if scene.y.size < LEAST_ROWS or np.any(np.count_nonzero(np.abs(right) > least, axis=1) != 1):
        return
    entry = np.argmax(np.abs(right), axis=1)
    given = np.take_along_axis(came, entry[:, None], axis=1)[:, 0]
    if not evidence.close(np.abs(given), np.sum(np.abs(came), axis=1)):
        return
    for name, value in arrays_inside(scene):
        if value.shape == scene.y.shape and np.any(value) and evidence.close(value.ravel()[evidence.outputs], given):
            told = (
                f"dy is multiplied by {name}, where something else belongs; is another array read, or the name rebound?"
            )
            yield Proposal("stale_value", told)
            return
