"""How the rounding of sums that are out of sight is observed: by running again one unit in the last place away."""

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.checker.contract import Call, ContractError, Gradients
from nonlocal_ref.checker.leaves import Arguments, Values

RUNS = 2


def moved_by_one_ulp(arguments: Arguments, values: Values, rng: np.random.Generator) -> Values:
    """Every entry of every floating leaf one unit in the last place up or down; zeros stay zero."""
    moved = []
    for leaf, x in zip(arguments.leaves, values, strict=True):
        if leaf.floating:
            away = np.where(rng.integers(2, size=x.shape) == 1, np.inf, -np.inf).astype(x.dtype)
            moved.append(np.where(x == 0, x, np.nextafter(x, away)))
        else:
            moved.append(x)
    return moved


def sample_gradients(
    call: Call, cotangents: list[np.ndarray], rng: np.random.Generator
) -> tuple[list[Gradients], list[Gradients]]:
    """The gradients for every cotangent, and ε|g| + δg (and what underflows) for each of their entries."""
    gradients = [call.gradients(u) for u in cotangents]
    apart = [{position: np.zeros_like(dx) for position, dx in found.items()} for found in gradients]
    for _ in range(RUNS):
        try:
            neighbour = call.again(moved_by_one_ulp(call.arguments, call.values, rng))
            others = [neighbour.gradients(u) for u in cotangents]
        except ContractError:  # one unit away the operation has no value: nothing to see
            continue
        for distance, found, other in zip(apart, gradients, others, strict=True):
            for position in distance.keys() & other.keys():
                distance[position] = np.maximum(distance[position], np.abs(found[position] - other[position]))
    noise: list[Gradients] = []
    for distance, found in zip(apart, gradients, strict=True):
        precision = {position: call.precision(position) for position in found}
        noise.append({p: precision[p].eps * np.abs(dx) + distance[p] + precision[p].tiny for p, dx in found.items()})
    return gradients, noise


def output_noise(call: Call, neighbours: list[Values]) -> Array:
    """ε|y| + δy for every entry of y."""
    apart = np.zeros(call.y_values.shape)
    for values in neighbours:
        try:
            apart = np.maximum(apart, np.abs(call.again(values).y_values - call.y_values))
        except ContractError:  # as above
            continue
    return float(np.finfo(call.y_values.dtype).eps) * np.abs(call.y_values) + apart
