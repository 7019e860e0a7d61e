"""Patches: what lies beyond the border, how much each pixel of a patch counts, and sums over patches.

The distance of two patches is  d²_ij = Σ_k a_k mean_c (x_{i+k} - x_{j+k})²  with  Σ_k a_k = 1: a weighted mean over the
patch and its channels, so that h does not depend on the size of the patch.  The a_k are a product of one factor per
axis, so the sum over k is a sum along one axis after another.
"""

import math
from itertools import product

from nonlocal_ref.backend import Array, array_namespace, device


def axis_weights(size: int, patch_weights: str) -> tuple[float, ...]:
    """One axis' factors of a_k, summing to one: flat, or a Gaussian of standard deviation (size - 1) / 4."""
    if patch_weights == "flat" or size == 1:
        return (1 / size,) * size
    deviation = (size - 1) / 4
    bell = [math.exp(-(((k - size // 2) / deviation) ** 2) / 2) for k in range(size)]
    return tuple(value / sum(bell) for value in bell)


def pad(image: Array, radius: tuple[int, ...], padding: str) -> Array:
    """Continue an image beyond its border, so that every pixel has a whole patch.  (C, *S) -> (C, *(S + 2 radius))."""
    xp = array_namespace(image)
    padded = image
    for axis, margin in enumerate(radius, start=1):
        if margin > 0:
            padded = xp.take(padded, _source(image, axis, margin, padding), axis=axis)
    return padded


def _source(image: Array, axis: int, margin: int, padding: str) -> Array:
    """Which pixel stands at -margin, ..., size + margin - 1.  A margin may be larger than the axis is long."""
    xp = array_namespace(image)
    size = image.shape[axis]
    position = xp.arange(-margin, size + margin, dtype=xp.int32, device=device(image))
    if padding == "edge" or size == 1:
        return xp.clip(position, 0, size - 1)
    if padding == "wrap":
        return position % size
    if padding == "symmetric":  # a b c | c b a: the edge stands twice
        step = position % (2 * size)
        return xp.minimum(step, 2 * size - 1 - step)
    step = position % (2 * size - 2)  # "reflect", a b c | b a: the edge stands once
    return xp.minimum(step, 2 * size - 2 - step)


def patch_sum(x: Array, patch_size: tuple[int, ...], patch_weights: str) -> Array:
    """Sum over the patch around every pixel: plain for "flat", Σ_k a_k x_{i+k} for "gaussian".  (*(S + 2r)) -> (*S)."""
    total = x
    for axis, size in enumerate(patch_size):
        if size == 1:
            continue
        if patch_weights == "flat":
            total = box_sum(total, size, axis)
        else:
            total = weighted_sum(total, axis_weights(size, patch_weights), axis)
    return total


def box_sum(x: Array, width: int, axis: int) -> Array:
    """Sums of ``width`` neighbours along an axis, by doubling: 1, 2, 4, ... and the odd ones on the way.

    About 2 log2(width) additions and never a subtraction, so that neither digits nor a NaN get carried along as in
    differences of running sums.
    """
    total, covered = x, 1
    for bit in format(width, "b")[1:]:
        total = _slice(total, axis, 0, -covered) + _slice(total, axis, covered, 0)
        covered *= 2
        if bit == "1":
            total = _slice(total, axis, 0, -1) + _slice(x, axis, covered, 0)
            covered += 1
    return total


def weighted_sum(x: Array, weights: tuple[float, ...], axis: int) -> Array:
    """Σ_k weights_k x_{i+k} along an axis, one tap at a time."""
    last = len(weights) - 1
    total = _slice(x, axis, 0, -last) * weights[0]
    for k in range(1, last + 1):
        total = total + _slice(x, axis, k, k - last) * weights[k]
    return total


def _slice(x: Array, axis: int, start: int, end: int) -> Array:
    """x without its first ``start`` and its last ``-end`` entries along an axis."""
    region = [slice(None)] * x.ndim
    region[axis] = slice(start, x.shape[axis] + end)
    return x[tuple(region)]


def patch_embedding(
    image: Array, *, patch_size: tuple[int, ...], patch_weights: str = "flat", padding: str = "reflect"
) -> Array:
    """The patches as vectors P_i = sqrt(a_k / C) x_{i+k}, so that |P_i - P_j|² is the distance d²_ij.

    image (C, *S), patch_size one odd number per spatial axis -> P (1, N, C * number of pixels in a patch).
    """
    xp = array_namespace(image)
    channels, *shape = image.shape
    padded = pad(image, tuple(size // 2 for size in patch_size), padding)
    factors = [axis_weights(size, patch_weights) for size in patch_size]
    shifted = []
    for k in product(*map(range, patch_size)):
        a_k = math.prod(factor[step] for factor, step in zip(factors, k, strict=True))
        window = tuple(slice(step, step + size) for step, size in zip(k, shape, strict=True))
        shifted.append(xp.reshape(padded[(slice(None), *window)], (channels, -1)) * math.sqrt(a_k / channels))
    return xp.matrix_transpose(xp.concat(shifted))[None, ...]
