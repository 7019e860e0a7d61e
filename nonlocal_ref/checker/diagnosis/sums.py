"""A sum over a broadcast axis that is missing: one part of it came, or all parts unsummed."""

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np
from array_api_compat import is_array_api_obj

from nonlocal_ref.backend import to_numpy
from nonlocal_ref.checker.diagnosis.evidence import Evidence, Scene
from nonlocal_ref.checker.diagnosis.factors import axes_of
from nonlocal_ref.checker.report import Proposal

MOST_AXES = 6
SHORT = 8  # an axis along which every index is tried


def one_part_of_the_sum(evidence: Evidence) -> Iterator[Proposal]:
    """It is right for a dy that is zero but at one index of an axis (or of several)."""
    scene = evidence.scene
    shape = scene.y.shape
    axes = [axis for axis in range(len(shape)) if shape[axis] > 1]
    choices: list[tuple[tuple[int, ...], int]] = [((axis,), index) for axis in axes for index in indices(shape[axis])]
    choices += [
        (some, index)
        for count in range(2, len(axes) + 1)
        for some in combinations(axes, count)
        for index in (0, -1)
        if len(shape) <= MOST_AXES
    ]
    for some, index in choices:
        part = np.zeros_like(scene.cotangents)
        where = tuple(index if axis in some else slice(None) for axis in range(len(shape)))
        part[(slice(None), *where)] = scene.cotangents[(slice(None), *where)]
        if np.any(evidence.came) and evidence.explained_by(evidence.right_for(part)):
            place = {0: "first", -1: "last"}.get(index, f"index {index}")
            told = f"only the part of {axes_of('dy', some)} at the {place} came; the sum over the others is missing"
            yield Proposal("missing_sum", told)
            return


def indices(length: int) -> list[int]:
    """The ends of an axis, and where it is short all between."""
    return [0, -1, *(range(1, length - 1) if length <= SHORT else ())]


def added_once_each(evidence: Evidence) -> Iterator[Proposal]:
    """Where an entry is used several times only one use arrives: assigned, where it must be added."""
    came, right = evidence.given_matrix, evidence.right_matrix
    tolerance = evidence.scene.tolerance * float(np.max(np.abs(right), initial=0.0))
    uses, arrived = np.abs(right) > tolerance, np.abs(came) > tolerance
    kept = np.all(np.abs(came - right)[arrived] <= tolerance)
    if kept and np.all(arrived.sum(axis=0) == np.minimum(uses.sum(axis=0), 1)) and np.any(arrived != uses):
        told = "an entry that is used several times gets the gradient of one use; they must be added"
        yield Proposal("missing_sum", told)


def one_place_of_several(evidence: Evidence) -> Iterator[Proposal]:
    """An entry is used at several places along an axis of y, and what one of them gives overwrites the others."""
    if len(evidence.outputs) < evidence.scene.y.size or not evidence.scene.y.size:
        return
    came, right = evidence.given_matrix, evidence.right_matrix
    tolerance = evidence.scene.tolerance * float(np.max(np.abs(right), initial=0.0))
    uses, arrived = np.abs(right) > tolerance, np.abs(came) > tolerance
    if not np.all(np.abs(came - right)[arrived] <= tolerance):
        return
    for axis, index in enumerate(np.unravel_index(evidence.outputs, evidence.scene.y.shape)):
        used_at, arrived_at = (
            np.stack([np.any(x[index == place], axis=0) for place in range(evidence.scene.y.shape[axis])])
            for x in (uses, arrived)
        )
        one_each = np.all(arrived_at.sum(axis=0) == np.minimum(used_at.sum(axis=0), 1))
        places = np.any(arrived_at & (used_at.sum(axis=0) > 1), axis=1)  # one alone is a part of the sum, not the last
        if one_each and np.count_nonzero(places) > 1 and np.all(arrived == (uses & arrived_at[index])):
            told = f"an entry that is used at several places along axis {axis} of y gets the gradient of one of them"
            yield Proposal("missing_sum", f"{told}; is it assigned (=) where it must be added (+=)?")
            return


def wrong_shape(scene: Scene, position: int) -> Iterator[Proposal]:
    """A gradient of another shape: whose it is, or what must be done to it."""
    leaf = scene.leaves[position]
    shape = leaf.values.shape
    right = scene.right(position, scene.cotangents)
    entries = scene.entries(position)
    if not all(is_array_api_obj(found.get(position)) for found in scene.returned):
        return
    came = [to_numpy(found[position]) for found in scene.returned]
    shapes = {x.shape for x in came}
    if len(shapes) > 1 or any(x.dtype.kind not in "fiu" or not np.all(np.isfinite(x)) for x in came):
        return
    given = np.stack(came).astype(np.float64)
    own = given.shape[1:]

    def fits(candidate: np.ndarray, wanted: np.ndarray, where: np.ndarray) -> bool:
        size = float(np.max(np.abs(wanted), initial=0.0))
        off = np.abs(candidate.reshape(len(candidate), -1)[:, where] - wanted)
        return bool(np.max(off, initial=0.0) <= scene.tolerance * size)

    if own == shape:
        return
    owners = [
        other
        for other in scene.returned[0]
        if other != position
        and scene.leaves[other].values.shape == own
        and fits(given, scene.right(other, scene.cotangents), scene.entries(other))
    ]
    names = [scene.leaves[other].name for other in owners]
    if owners and np.shape(scene.returned[0][owners[0]]) != own:  # that one did not get it
        yield Proposal("another_argument", f"it is the gradient of {names[0]}, with its shape; are two exchanged?")
    for order in permutations(range(len(own))) if len(own) <= MOST_AXES else ():
        turned = given.transpose(0, *(axis + 1 for axis in order))
        if turned.shape[1:] == shape and fits(turned, right, entries):
            yield Proposal("permuted", f"it has shape {own}; with its axes in the order {order} it is right")
            return
    for axes in (axes for count in range(1, len(own) + 1) for axes in combinations(range(len(own)), count)):
        summed = given.sum(axis=tuple(axis + 1 for axis in axes))
        for candidate, also in ((summed, ""), (_reversed(summed), " and transposed")):
            if candidate[0].size == leaf.values.size and fits(candidate, right, entries):
                yield Proposal(
                    "missing_sum", f"it has shape {own}; summed over {axes_of('it', axes)}{also} it is right"
                )
                return
    if given[0].size == leaf.values.size and fits(given, right, entries):
        yield Proposal("permuted", f"its numbers are right, its shape is {own}; it must be {shape}")
    elif owners:
        yield Proposal("another_argument", f"it is the gradient of {names[0]}")


def _reversed(x: np.ndarray) -> np.ndarray:
    """The axes after the first in the opposite order."""
    return x.transpose(0, *range(x.ndim - 1, 0, -1))
