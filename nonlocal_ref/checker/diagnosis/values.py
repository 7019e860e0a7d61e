"""The right formula at the wrong values: y used for x, a name bound again, something kept from another call."""

from collections.abc import Iterator

import numpy as np

from nonlocal_ref.checker.contract import ContractError
from nonlocal_ref.checker.diagnosis.evidence import Evidence, Scene
from nonlocal_ref.checker.diagnosis.inside import arrays_inside
from nonlocal_ref.checker.diagnosis.terms import is_diagonal
from nonlocal_ref.checker.leaves import Values
from nonlocal_ref.checker.report import Cause, Proposal

DEGREE = 3
LEAST_POINTS = 6
NUDGE = 0.25
MOST_UNKNOWN = 64  # values of an earlier call are looked for in so many unknowns
MOST_STEPS = 8
MOST_LINES = 8  # along which that is done
MOST_SOLVED = 2  # arrays whose values are looked for


def right_at_other_values(evidence: Evidence) -> Iterator[Proposal]:
    """It is the measured gradient at other values of one array."""
    scene = evidence.scene
    for name, text, values in replaced(scene):
        if evidence.is_gradient_at(values, evidence.came, float(np.max(np.abs(evidence.error)))):
            yield Proposal(name, f"it would be right if {text}")
            return


def replaced(scene: Scene) -> Iterator[tuple[Cause, str, Values]]:
    """Other values that a name may have had when backward read it."""
    for position, leaf in enumerate(scene.leaves):
        if not leaf.floating or leaf.values.size == 0:
            continue
        x = scene.values[position]
        changed: list[tuple[Cause, str, np.ndarray]] = []
        if x.shape == scene.y.shape:
            changed.append(
                ("stale_value", f"{leaf.name} had the values of y; is y used for it, or the name rebound?", scene.y)
            )
        for other, other_leaf in enumerate(scene.leaves):
            if other != position and other_leaf.floating and other_leaf.values.shape == x.shape:
                told = f"{leaf.name} had the values of {other_leaf.name}; is the wrong name read?"
                changed.append(("stale_value", told, scene.values[other]))
        if x.ndim > 1 and x.shape[-1] == x.shape[-2]:
            told = f"{leaf.name} were transposed; is a transpose missing, or one too many?"
            changed.append(("permuted", told, np.swapaxes(x, -1, -2)))
        for axis in range(x.ndim):
            if x.shape[axis] > 1:
                last = np.repeat(np.take(x, [-1], axis=axis), x.shape[axis], axis=axis)
                told = f"every slice of {leaf.name} along axis {axis} were the last one; is a loop variable read late?"
                changed.append(("stale_value", told, last))
                told = f"{leaf.name} were flipped along axis {axis}"
                changed.append(("permuted", told, np.flip(x, axis)))
        for name, text, value in changed:
            values = list(scene.values)
            values[position] = value
            yield name, text, values


def x_for_y(evidence: Evidence) -> Iterator[Proposal]:
    """Entry by entry: the derivative is a polynomial in y (1 - y², y (1 - y)), and x was put in; or the other way."""
    scene = evidence.scene
    if not evidence.complete or scene.y.size < LEAST_POINTS or not is_diagonal(evidence):
        return
    right = np.sum(evidence.jacobian, axis=0)
    u = scene.cotangents.reshape(len(scene.cotangents), -1)
    x, y = scene.values[evidence.position].ravel(), scene.y.ravel()
    for read, belongs, told in ((x, y, "x stands where y belongs"), (y, x, "y stands where x belongs")):
        for degree in range(1, DEGREE + 1):
            powers = np.vander(belongs, degree + 1)
            coefficients, _, rank, _ = np.linalg.lstsq(powers, right, rcond=None)
            fits = rank == degree + 1 and evidence.close(powers @ coefficients, right)
            if fits and evidence.explained_by(u * (np.vander(read, degree + 1) @ coefficients)):
                yield Proposal("stale_value", f"{told} in its derivative, a polynomial of degree {degree}")
                return


def another_input_of_the_last_layer(evidence: Evidence) -> Iterator[Proposal]:
    """A weight: each output gives it a multiple of a row of y, or of another array, not of the layer's input."""
    scene = evidence.scene
    if not evidence.complete or len(evidence.shape) != 2 or scene.y.ndim < 2:
        return
    lead, channels = scene.y.shape[:-1], scene.y.shape[-1]
    index = np.unravel_index(evidence.outputs, scene.y.shape)
    for axis in (0, 1):  # W (out, in) or (in, out)
        if evidence.shape[axis] != channels:
            continue
        whole = [
            np.moveaxis(x.reshape(-1, *evidence.shape), axis + 1, 1)
            for x in (evidence.given_matrix, evidence.right_matrix)
        ]
        came, right = (x[np.arange(len(index[-1])), index[-1]] for x in whole)
        elsewhere = np.arange(channels) != index[-1][:, None]
        if any(np.any(np.abs(x[elsewhere]) > scene.tolerance * np.max(np.abs(x), initial=0.0)) for x in whole):
            continue  # an output of the last layer gives to its own channel alone
        for name, source in arrays_inside(scene):
            if source.shape == (*lead, evidence.shape[1 - axis]) and source.dtype.kind == "f":
                rows = source[index[:-1]]
                if all_along(came, rows, evidence) and not all_along(right, rows, evidence):
                    told = f"{name} stands where the input of the layer belongs; is the name bound again?"
                    yield Proposal("stale_value", told)
                    return


def all_along(vectors: np.ndarray, rows: np.ndarray, evidence: Evidence) -> bool:
    """Whether each vector is a multiple of its row, and holds all that its output gives."""
    norm = np.sum(rows * rows, axis=1, keepdims=True)
    along = rows * (np.sum(vectors * rows, axis=1, keepdims=True) / np.where(norm > 0, norm, 1.0))
    telling = np.count_nonzero(rows, axis=1) > 1  # along a row of one number lies whatever has one number there
    return bool(np.any(vectors[telling])) and evidence.close(along, vectors)


def does_not_see_the_values(evidence: Evidence) -> Iterator[Proposal]:
    """What came does not change with the values of an array, and it is right for other values of it."""
    scene = evidence.scene
    here = scene.gradients(scene.cotangents[0])
    tried = 0
    for position, leaf in enumerate(scene.leaves):
        if not leaf.floating or not 0 < leaf.values.size <= MOST_UNKNOWN:
            continue
        values = list(scene.values)
        values[position] = scene.values[position] + NUDGE * leaf.scale * scene.rng.normal(size=leaf.values.shape)
        try:
            found = scene.gradients(scene.cotangents[0], values)
        except ContractError:  # no value there
            continue
        if evidence.position not in found or not np.array_equal(found[evidence.position], here[evidence.position]):
            continue
        if evidence.is_gradient_at(values, evidence.right):  # nor must it
            continue
        tried += 1
        if tried > MOST_SOLVED:
            return
        solved = solve_for(evidence, position)
        if solved is not None and np.allclose(solved, 1, rtol=scene.tolerance):
            yield Proposal("scale_twice", f"it would be right for {leaf.name} = 1; is {leaf.name} forgotten?")
            return
        if solved is not None:
            shown = ", ".join(f"{value:.4g}" for value in solved.ravel()[:3])
            told = f"it does not change when {leaf.name} does, and would be right for {leaf.name} = {shown}"
            more = ", ..." if solved.size > 3 else ""
            yield Proposal("stale_value", f"{told}{more}; is a value of an earlier call read?")
            return


def solve_for(evidence: Evidence, position: int) -> np.ndarray | None:
    """Values of one array for which the measured gradient is what came, by Gauss and Newton; None if there are none."""
    scene = evidence.scene
    x = scene.values[position].copy()
    unknown = x.size
    rows = len(evidence.outputs)
    lines = -(-2 * unknown // max(rows, 1))  # twice as many equations as unknowns
    if min(lines, rows) == 0 or lines > min(MOST_LINES, len(evidence.entries)):
        return None
    directions = np.zeros((lines, evidence.values.size))
    directions[:, evidence.entries] = scene.rng.normal(size=(lines, len(evidence.entries)))
    came = np.concatenate([evidence.given_matrix @ v[evidence.entries] for v in directions])
    values = list(scene.values)

    def gradient(at: np.ndarray) -> np.ndarray:
        values[position] = at
        return np.concatenate([evidence.right_along(v, values)[evidence.outputs] for v in directions])

    step = scene.leaves[position].scale * scene.evaluation.eps ** (1 / 4)
    for _ in range(MOST_STEPS):
        now = gradient(x)
        if not np.all(np.isfinite(now)):
            return None
        if evidence.close(now, came):
            values[position] = x
            return x if evidence.is_gradient_at(values, evidence.came) else None
        slopes = []
        for entry in range(unknown):
            v = np.zeros(unknown)
            v[entry] = step
            slopes.append((gradient(x + v.reshape(x.shape)) - now) / step)
        matrix = np.stack(slopes, axis=1)
        if not np.all(np.isfinite(matrix)):
            return None
        move, _, rank, _ = np.linalg.lstsq(matrix, came - now, rcond=1e-8)
        off = float(np.max(np.abs(came - now)))
        if rank == 0 or float(np.max(np.abs(matrix @ move - (came - now)))) > 0.9 * off:
            return None  # no way there
        x = x + move.reshape(x.shape)
    return None
