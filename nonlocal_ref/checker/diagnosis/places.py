"""The right numbers in another place: transposed, flipped, rolled, reordered, or in the place of another argument."""

from collections.abc import Iterator
from itertools import combinations, permutations
from math import factorial, prod

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence, usable
from nonlocal_ref.checker.diagnosis.factors import axes_in_words
from nonlocal_ref.checker.report import Proposal

MOST_AXES = 5
MOST_SPLIT = 1024  # entries of an array whose axes are split
SHORT = 16  # an axis that is rolled by every shift


def another_argument(evidence: Evidence) -> Iterator[Proposal]:
    """What came is right for another array."""
    for other in evidence.others():
        if other.shape == evidence.shape and evidence.close(other.right, evidence.given[:, other.entries]):
            yield Proposal("another_argument", f"it is the gradient of {other.name}{exchanged(evidence, other)}")
            return
    for other in evidence.others():
        same_size = other.leaf.values.size == evidence.leaf.values.size and other.shape != evidence.shape
        if same_size and evidence.close(other.right, evidence.given[:, other.entries]):
            yield Proposal("another_argument", f"it is the gradient of {other.name} in another shape")
            return


def exchanged(evidence: Evidence, other: Evidence) -> str:
    """Whether the other one got this one's in turn."""
    if not usable(evidence.scene, other.position):
        return "; are two gradients exchanged?"
    turned = evidence.close(evidence.right, other.given[:, evidence.entries])
    return ", and that of " + other.name + " is this one: the two are exchanged" if turned else ""


def permuted(evidence: Evidence) -> Iterator[Proposal]:
    """Every number is there, at another place."""
    for text, moved in (*rearrangements(evidence.shape), *split_and_moved(evidence.shape, evidence.scene.y.shape)):
        back = np.argsort(moved)  # given = right[moved], so right = given[back]
        if evidence.close(evidence.right, evidence.given[:, back][:, evidence.entries], largest(evidence)):
            yield Proposal("permuted", text)
            return
    yield from reordered(evidence)


def reordered(evidence: Evidence) -> Iterator[Proposal]:
    """Along one axis the slices stand in another order, or one of them stands in the place of all."""
    if not evidence.complete:
        return
    for axis, length in enumerate(evidence.shape):
        if length < 2:
            continue
        came, right = (
            np.moveaxis(x.reshape(-1, *evidence.shape), axis + 1, 0).reshape(length, -1)
            for x in (evidence.given, evidence.right)
        )
        found = [
            next((j for j in range(length) if evidence.close(part, right[j], largest(evidence))), None) for part in came
        ]
        if None in found or found == list(range(length)) or not np.any(evidence.right):
            continue
        if sorted(int(j or 0) for j in found) == list(range(length)):
            yield Proposal("permuted", f"along axis {axis} the slices stand in the order {found}")
        elif len(set(found)) == 1:
            told = f"every slice along axis {axis} is the one at {found[0]}; does backward read a loop variable late?"
            yield Proposal("stale_value", told)
        return


def cotangent_permuted(evidence: Evidence) -> Iterator[Proposal]:
    """It would be right for a dy that is transposed, flipped, rolled or reshaped first."""
    scene = evidence.scene
    flat = scene.cotangents.reshape(len(scene.cotangents), -1)
    for text, moved in rearrangements(scene.y.shape):
        if evidence.explained_by(evidence.right_for(flat[:, moved])):
            if text.startswith("transposed") and is_plain_sum(evidence):
                yield Proposal("missing_sum", f"the sum over dy goes over the wrong axis (dy {text})")
            yield Proposal("permuted", f"it would be right if dy were {text} first")
            return


def forward_for_transpose(evidence: Evidence) -> Iterator[Proposal]:
    """J dy in the place of Jᵀ dy: a matrix is not transposed on the way back."""
    scene = evidence.scene
    if not evidence.complete or evidence.leaf.values.size != scene.y.size or scene.y.size < 2:
        return
    flat = scene.cotangents.reshape(len(scene.cotangents), -1)
    if evidence.explained_by(flat @ evidence.jacobian.T):
        told = "dy is multiplied by the matrix of the way forth; on the way back it must be transposed"
        yield Proposal("permuted", told)


def forward_along_an_axis(evidence: Evidence) -> Iterator[Proposal]:
    """The same along one axis alone: A dy Wᵀ in the place of Aᵀ dy Wᵀ."""
    scene = evidence.scene
    if not evidence.complete:
        return
    whole = evidence.jacobian.reshape((*scene.y.shape, *evidence.shape))
    flat = scene.cotangents.reshape(len(scene.cotangents), -1)
    for out, length in enumerate(scene.y.shape):
        for axis, other in enumerate(evidence.shape):
            turned = np.swapaxes(whole, out, scene.y.ndim + axis)
            if length == other > 1 and evidence.explained_by(flat @ turned.reshape(evidence.jacobian.shape)):
                told = f"along axis {axis} it is multiplied by the matrix of the way forth"
                yield Proposal("permuted", f"{told}; on the way back that must be transposed")
                return


def is_plain_sum(evidence: Evidence) -> bool:
    """Whether the right gradient is dy summed over axes, as that of a bias."""
    found = evidence.jacobian
    return evidence.leaf.values.size < evidence.scene.y.size and bool(
        np.all((np.abs(found) < 1e-6) | (np.abs(found - 1) < 1e-6))
    )


def largest(evidence: Evidence) -> float:
    """The largest error there is to explain."""
    return float(np.max(np.abs(evidence.error), initial=0.0))


def rearrangements(shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """(what was done, p) with rearranged.ravel() = x.ravel()[p], for all that people do to an array by mistake."""
    index = np.arange(prod(shape)).reshape(shape)
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    reshaped: list[tuple[str, np.ndarray]] = []
    if len(shape) <= MOST_AXES and factorial(len(shape)) > 1:
        for order in permutations(range(len(shape))):
            if order == tuple(range(len(shape))):
                continue
            turned = index.transpose(order)
            if turned.shape == shape:
                yield transposed(order), turned.ravel()
            else:
                told = "reshaped where its axes must be moved"
                reshaped += [(told, turned.ravel()), (told, np.argsort(turned.ravel()))]
    for count in range(1, len(axes) + 1):
        for some in combinations(axes, count):
            yield f"flipped along {axes_in_words(some)}", np.flip(index, some).ravel()
    for axis in axes:
        for shift in shifts(shape[axis]):
            half = ": its halves are exchanged" if 2 * shift == shape[axis] and shape[axis] > 2 else ""
            if shape[axis] > 2:  # of two, rolling is flipping
                yield f"rolled by {shift} along axis {axis}{half}", np.roll(index, shift, axis).ravel()
    for order in permutations(range(len(shape))) if len(shape) <= 3 else ():
        turned = index.transpose(order)
        if turned.shape == shape and order != tuple(range(len(shape))):
            for axis in axes:
                yield f"{transposed(order)} and flipped along axis {axis}", np.flip(turned, axis).ravel()
    yield from reshaped


def split_and_moved(shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """An axis is split (into heads) and moved on the way forth, and on the way back only reshaped."""
    size = prod(shape)
    if size > MOST_SPLIT:
        return
    splits = [(*shape[:axis], part, n // part, *shape[axis + 1 :]) for axis, n in enumerate(shape) for part in parts(n)]
    splits += [y_shape] if prod(y_shape) == size else []
    for split in splits:
        if len(split) > MOST_AXES:
            continue
        for order in permutations(range(len(split))):
            moved = np.arange(size).reshape(split).transpose(order).ravel()
            if order != tuple(range(len(split))):
                told = f"as {split} its axes must come in the order {order}; is it reshaped, and they are not moved?"
                yield told, moved
                yield told, np.argsort(moved)


def parts(length: int) -> list[int]:
    """Numbers of equal parts."""
    return [part for part in range(2, length) if length % part == 0]


def shifts(length: int) -> list[int]:
    """By how much an axis may have been rolled: by anything where it is short."""
    return list(range(1, length)) if length <= SHORT else [1, length // 2, length - 1]


def transposed(order: tuple[int, ...]) -> str:
    """A permutation of axes in words."""
    moved = [axis for axis, came_from in enumerate(order) if axis != came_from]
    if len(moved) == 2:
        return f"transposed: axes {moved[0]} and {moved[1]} are exchanged"
    return f"transposed: its axes come in the order {order}"
