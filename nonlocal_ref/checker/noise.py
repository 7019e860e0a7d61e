"""How the rounding of sums that are out of sight is observed: by running again one unit in the last place away.

Where that shows nothing (a softmax with p = 1 rounds the same way every time), what may have cancelled is looked for
elsewhere on the line: `steepest_slope`.
"""

from collections.abc import Callable, Iterator

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.checker.contract import Call, ContractError, Gradients
from nonlocal_ref.checker.leaves import Arguments, Values

RUNS = 4
NEARBY, A_LITTLE = 4, 2.0**-20
STRIDE, STRIDES, HALVINGS = 4.0, 30, 8  # 4^30 = 10^18 first steps: a softmax that is saturated turns over on the way


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


def moved_a_little(arguments: Arguments, values: Values, cotangents: np.ndarray) -> Iterator[tuple[Values, np.ndarray]]:
    """Every entry of the floating leaves and of the cotangents a millionth away: every sum is rounded anew."""
    rng = np.random.default_rng(0)  # which way is of no account

    def moved(x: np.ndarray) -> np.ndarray:
        return x * (1 + A_LITTLE * rng.uniform(-1, 1, size=x.shape))

    for _ in range(NEARBY):
        leaves = zip(arguments.leaves, values, strict=True)
        yield [moved(x) if leaf.floating else x for leaf, x in leaves], moved(cotangents)


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


def steepest_slope(distance: Callable[[float, float], Array], far: Array, step: float) -> Array:
    """The steepest slope of y between t = 0 and where y is another one: K of them, for K ways to measure y.

    ``distance(s, t)`` is how far y(t) is from y(s), ``far`` is how far counts as another y.  The walk takes steps four
    times as long each; the steepest of them is then halved towards where y moves most.  What a flat y adds up inside,
    and takes away again, is as large as the slopes it has there.
    """
    near, t, slopes, steepest = 0.0, step, np.zeros_like(far), (0.0, step)
    for _ in range(STRIDES):
        slope = distance(near, t) / abs(t - near)
        if not np.all(np.isfinite(slope)):  # out of the domain of op
            break
        if np.sum(slope) > np.sum(slopes):
            steepest = near, t
        slopes = np.maximum(slopes, slope)
        if np.all(distance(0.0, t) >= far):
            break
        near, t = t, STRIDE * t
    near, t = steepest
    for _ in range(HALVINGS):
        middle = (near + t) / 2
        first, second = distance(near, middle), distance(middle, t)
        slopes = np.fmax(slopes, np.fmax(first, second) / abs(t - middle))
        near, t = (near, middle) if np.sum(first) > np.sum(second) else (middle, t)
    return slopes
