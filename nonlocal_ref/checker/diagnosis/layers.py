"""An array and the weight that it is multiplied by, h = x W, wherever that is in the operation.

The gradient D of h is not known, but it is in both gradients: dW = Σ xᵀ D and, of this path, dx = D Wᵀ.  So

    Σ xᵀ dx = dW Wᵀ,    and with a bias    Σ dx = db Wᵀ

hold for the right gradients, whatever comes after h.  What is missing in one of them can be held against the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence
from nonlocal_ref.checker.diagnosis.inside import arrays_inside
from nonlocal_ref.checker.report import Cause, Proposal

MOST_PATHS = 8
LEAST_CHANNELS = 2  # or too few equations
SHORT = 16  # an axis along which every index is tried


@dataclass(frozen=True)
class Layer:
    """h = x W, with W (in, out), also where it is stored (out, in)."""

    inputs: Evidence
    weights: Evidence
    turned: bool  # stored (out, in)
    axis: int = -1  # the channels of x

    @property
    def x(self) -> np.ndarray:
        """The input, its channels last."""
        return np.moveaxis(self.inputs.values, self.axis, -1)

    def against(self, gradients: np.ndarray) -> np.ndarray:
        """Σ xᵀ dx over all positions, for each cotangent."""
        dx = gradients.reshape(len(gradients), *self.inputs.shape)
        return against(self.x, np.moveaxis(dx, self.axis % self.x.ndim + 1, -1))

    @property
    def w(self) -> np.ndarray:
        """The weight."""
        return self.stored(self.weights.values)

    def stored(self, w: np.ndarray) -> np.ndarray:
        """From how it is stored to (in, out)."""
        return np.swapaxes(w, -1, -2) if self.turned else w

    def dw(self, gradients: np.ndarray) -> np.ndarray:
        """Gradients of W for each cotangent."""
        return self.stored(gradients.reshape(-1, *self.weights.shape))

    def through(self) -> np.ndarray:
        """dW Wᵀ for the right dW: what Σ xᵀ dx must be."""
        return np.asarray(self.dw(self.weights.right) @ self.w.T)

    def alone(self) -> bool:
        """Whether x goes this way and no other."""
        return self.inputs.close(self.through(), self.against(self.inputs.right))


def layers_of(inputs: Evidence, others: list[Evidence], axis: int = -1) -> Iterator[Layer]:
    """Every array that may be the weight of this one."""
    if len(inputs.shape) < 2 or not inputs.complete:
        return
    for other in others[:MOST_PATHS]:
        if len(other.shape) != 2 or not other.complete or other.position == inputs.position:
            continue
        for turned in (False, True):
            if other.shape[int(turned)] == inputs.shape[axis]:
                yield Layer(inputs, other, turned, axis)


def all_layers(evidence: Evidence) -> Iterator[list[Layer]]:
    """Those of an array with its channels last, and those with its channels first, or after a batch axis."""
    others = list(evidence.others())
    for axis in (-1, 0 if len(evidence.shape) == 2 else 1):
        layers = list(layers_of(evidence, others, axis))
        if layers:
            yield layers


def against(x: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """Σ xᵀ dx over all positions, for each cotangent."""
    rows = x.reshape(-1, x.shape[-1])
    return np.asarray(rows.T @ dx.reshape(len(dx), *rows.shape))


def a_path_through_a_weight(evidence: Evidence) -> Iterator[Proposal]:
    """What is missing is what goes through one of the weights, or through several."""
    for layers in all_layers(evidence):
        error, came = (layers[0].against(x) for x in (evidence.error, evidence.came))
        for some in combinations_of(paths(layers)):
            names = " and ".join(name for name, _ in some)
            total = np.sum([term for _, term in some], axis=0)
            if evidence.close(error, total):
                yield Proposal("missing_term", f"the path through {names} is missing in it")
                return
            if evidence.close(came, total):
                yield Proposal("missing_term", f"only the path through {names} is in it; another one is missing")
                return


def paths_with_a_factor(evidence: Evidence) -> Iterator[Proposal]:
    """One of the paths through weights, or two, come with a factor each, the others are right."""
    for layers in all_layers(evidence):
        if layers[0].x.shape[-1] < LEAST_CHANNELS:  # one number is some multiple of any other
            continue
        error = layers[0].against(evidence.error)
        for some in combinations_of(paths(layers), 2):
            columns = np.stack([term.ravel() for _, term in some], axis=1)
            factors, _, rank, _ = np.linalg.lstsq(columns, error.ravel(), rcond=1e-10)
            if rank == len(some) and evidence.close((columns @ factors).reshape(error.shape), error):
                times = [f"{name} comes {1 - f:.5g} times" for (name, _), f in zip(some, factors, strict=True)]
                told = f"the path through {', that through '.join(times)}, the others are right"
                yield Proposal("constant_factor", told)
                return


def paths(layers: list[Layer]) -> list[tuple[str, np.ndarray]]:
    """What Σ xᵀ dx has of each weight, and of a residual."""
    evidence = layers[0].inputs
    terms = [(layer.weights.name, layer.through()) for layer in layers]
    if evidence.shape == evidence.scene.y.shape:
        terms.append(("the residual", layers[0].against(evidence.scene.cotangents)))
    return [term for term in terms if np.any(term[1])]


def combinations_of(terms: list[tuple[str, np.ndarray]], most: int = 3) -> Iterator[tuple[tuple[str, np.ndarray], ...]]:
    """One of them, two, ..., no weight twice."""
    for count in range(1, min(most, len(terms)) + 1):
        for some in combinations(terms, count):
            if len({name for name, _ in some}) == count:
                yield some


def another_weight(evidence: Evidence) -> Iterator[Proposal]:
    """On the way back through one weight another one is read, or the same without a transpose."""
    others = list(evidence.others())
    for layer in (layer for layers in all_layers(evidence) for layer in layers):
        dw, error = layer.dw(layer.weights.right), layer.against(evidence.error)
        read = [(other.name, layer.stored(other.values)) for other in others if other.shape == layer.weights.shape]
        for name, w in [*read, ("", layer.w.T)]:
            if w.shape != layer.w.shape or not evidence.close(error, dw @ (layer.w - w).T):
                continue
            if name:
                told = f"{name} stands where {layer.weights.name} belongs; is a loop variable, or the wrong name, read?"
                yield Proposal("stale_value", told)
            else:
                yield Proposal("permuted", f"{layer.weights.name} must be transposed on the way back")
            return


def weights_not_transposed(evidence: Evidence) -> Iterator[Proposal]:
    """Several square weights are not transposed on the way back to their common input."""
    for layers in all_layers(evidence):
        for turned in (False, True):
            square = [layer for layer in layers if layer.turned == turned and layer.w.shape[0] == layer.w.shape[1]]
            terms = [(layer.weights.name, layer.dw(layer.weights.right) @ (layer.w - layer.w.T).T) for layer in square]
            for some in combinations_of(terms, len(terms)):
                error = layers[0].against(evidence.error)
                if len(some) > 1 and evidence.close(error, np.sum([term for _, term in some], axis=0)):
                    names = ", ".join(name for name, _ in some)
                    yield Proposal("permuted", f"{names} must be transposed on the way back")
                    return


def other_inputs_of_a_layer(evidence: Evidence) -> Iterator[Proposal]:
    """The gradient of a weight, or of a bias, is what other inputs would give: a part of x, another array."""
    for inputs in evidence.others():
        for layer in layers_of(inputs, [evidence]):
            if not layer.alone():
                continue
            came = layer.dw(evidence.came) @ layer.w.T
            for name, told, x in other_inputs(layer):
                if evidence.close(came, against(x, inputs.right)):
                    yield Proposal(name, told)
                    return
        if len(evidence.shape) != 1:
            continue
        for layer in layers_of(inputs, list(inputs.others())):
            if layer.w.shape[1] != evidence.shape[0] or not evidence.complete:
                continue
            rows = inputs.right.reshape(-1, *inputs.shape)
            axes = tuple(range(1, rows.ndim - 1))
            if not evidence.close(evidence.right @ layer.w.T, rows.sum(axis=axes)):
                continue
            for told, part in parts(inputs.shape):
                if evidence.close(evidence.came @ layer.w.T, np.sum(rows * part, axis=axes)):
                    yield Proposal("missing_sum", f"{told} of {inputs.name} gives to it")
                    return


def other_inputs(layer: Layer) -> Iterator[tuple[Cause, str, np.ndarray]]:
    """What may have been read for x."""
    x, name = layer.x, layer.inputs.name
    for told, part in parts(x.shape):
        yield "missing_sum", f"{told} of {name} gives to it", x * part
    scene = layer.inputs.scene
    for other, value in arrays_inside(scene):
        if value.shape == x.shape and other != name:
            yield "stale_value", f"{other} stands where {name} belongs; is the name bound again?", value
    for axis in range(x.ndim - 1):
        if x.shape[axis] > 1:
            yield "permuted", f"it would be right if {name} were flipped along axis {axis}", np.flip(x, axis)
        for shift in (1, -1):
            told = (
                f"it would be right if {name} were one step off along axis {axis}; is the step before, or after, read?"
            )
            yield "stale_value", told, np.roll(x, shift, axis)
            last = np.repeat(np.take(x, [-1 if shift > 0 else 0], axis), x.shape[axis], axis)
            yield (
                "stale_value",
                f"one slice of {name} along axis {axis} is read for all; is a loop variable read late?",
                last,
            )


def parts(shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Masks: one index of an axis, or all but one."""
    for axis in range(len(shape) - 1):
        if not 1 < shape[axis] <= SHORT:
            continue
        for index in range(shape[axis]):
            one = (np.indices(shape)[axis] == index).astype(np.float64)
            yield f"only the part of axis {axis} at the index {index}", one
            if shape[axis] > 2:
                yield f"all but the part of axis {axis} at the index {index}", 1 - one
