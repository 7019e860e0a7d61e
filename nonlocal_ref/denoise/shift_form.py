"""Non-local means by offsets: y_i = Σ_o w_{i,i+o} x_{i+o} / Σ_o w_{i,i+o}, one offset o at a time, every i at once.

Per offset: squared difference between the image and itself shifted, sum over patches, exp, accumulate.  There is no
N x N matrix.  Offsets come in pairs: the distance from i to j = i + o is the distance from j to i = j - o, so half of
the window is enough.
"""

import math
from collections.abc import Callable, Iterator
from itertools import count, product
from typing import Any

from nonlocal_ref.backend import Array, add_at, array_namespace, device, lower_at
from nonlocal_ref.denoise.patches import pad, patch_sum
from nonlocal_ref.denoise.settings import Settings, bandwidth_factors, largest, reach
from nonlocal_ref.ops import constant

NOTHING = -1e4  # exp of it is 0 in every dtype

Offset = tuple[int, ...]
Region = tuple[Any, ...]


def denoise_by_shifts(image: Array, settings: Settings, progress: Callable[[int, int], object]) -> Array:
    """Σ_j w_ij x_j / Σ_j w_ij over the search window of every i.  image (C, *S) -> the same."""
    xp = array_namespace(image)
    shape = image.shape[1:]
    offsets = half_window(shape, settings.patch_distance)
    padded = pad(image, tuple(size // 2 for size in settings.patch_size), settings.padding)
    steps = count(1)
    total = len(offsets) if settings.center == "one" else 2 * len(offsets)

    def distances() -> Iterator[tuple[list[tuple[Region, Region]], Array]]:
        for offset in offsets:
            yield both_ends(shape, offset), patch_distances(padded, offset, settings)
            progress(next(steps), total)

    # Weights are relative to that of the nearest candidate, exp(-(distance - nearest)): the factor cancels in the
    # quotient, and exp cannot underflow everywhere.  With center "one" the nearest is the centre itself, at distance 0.
    nearest = None
    if settings.center != "one":
        nearest = xp.full(shape, xp.inf, dtype=image.dtype, device=device(image))
        for ends, distance in distances():
            for i, _ in ends:
                nearest = lower_at(nearest, i, distance)

    _, rest = bandwidth_factors(settings.h, image)
    own = 0 if settings.center == "zero" and offsets else 1  # a pixel without any other candidate keeps its value
    numerator = image * own
    denominator = xp.full(shape, own, dtype=image.dtype, device=device(image))
    for ends, distance in distances():
        for (i, j), w in zip(ends, weights_at(ends, distance, nearest, rest), strict=True):
            numerator = add_at(numerator, i, w * image[j])
            denominator = add_at(denominator, i, w)
    return numerator / denominator


def half_window(shape: tuple[int, ...], patch_distance: tuple[int, ...]) -> list[Offset]:
    """One offset of each pair (o, -o) in the window, those that do not leave the image everywhere; not 0 itself."""
    window = product(*(range(-radius, radius + 1) for radius in reach(shape, patch_distance)))
    return [offset for offset in window if offset > (0,) * len(shape)]


def both_ends(shape: tuple[int, ...], offset: Offset) -> list[tuple[Region, Region]]:
    """The pixels i whose partner j = i + offset is inside too: the regions (i, j), and (j, i) for the way back."""
    axes = list(zip(shape, offset, strict=True))
    here = (..., *(slice(max(0, -o), size - max(0, o)) for size, o in axes))
    there = (..., *(slice(max(0, o), size - max(0, -o)) for size, o in axes))
    return [(here, there), (there, here)]


def patch_distances(padded: Array, offset: Offset, settings: Settings) -> Array:
    """max(d²_ij - 2σ², 0) / h² for every i whose j = i + offset is inside; for a tiny h, that part of it which fits.

    The factors 1 / h², 1 / C and, for flat patches, 1 / (pixels in a patch) enter before the square: nothing overflows
    that need not, and h = inf is no special case.  What is left of 1 / h² then enters in `weights_at`.
    """
    xp = array_namespace(padded)
    channels, *shape = padded.shape
    samples = channels * (math.prod(settings.patch_size) if settings.patch_weights == "flat" else 1)
    inverse_h, _ = bandwidth_factors(settings.h, padded)
    (here, there), _ = both_ends(tuple(shape), offset)
    difference = (padded[there] - padded[here]) * (inverse_h / math.sqrt(samples))
    squares = xp.sum(difference * difference, axis=0)
    distance = patch_sum(squares, settings.patch_size, settings.patch_weights)
    if settings.sigma == 0:
        return distance
    noise = min(2 * (settings.sigma * inverse_h) * (settings.sigma * inverse_h), largest(padded))
    return xp.maximum(distance - noise, constant(0, distance))


def weights_at(
    ends: list[tuple[Region, Region]], distance: Array, nearest: Array | None, rest: float = 1.0
) -> list[Array]:
    """exp((nearest_i - distance) rest) for each end i of the pairs; one and the same if the nearest is the centre."""
    if nearest is None:
        return [_exp_of_multiple(-distance, rest)] * 2
    return [_exp_of_multiple(nearest[i] - distance, rest) for i, _ in ends]


def _exp_of_multiple(x: Array, factor: float) -> Array:
    """exp(factor x) for x <= 0, where factor x may be beyond all numbers."""
    xp = array_namespace(x)
    if factor == 1:  # as good as always
        return xp.exp(x)
    return xp.exp(xp.maximum(x, constant(NOTHING / factor, x)) * factor)
