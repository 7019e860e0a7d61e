"""The choices behind one call of the denoiser, checked and spelled out per axis."""

from dataclasses import dataclass

from nonlocal_ref.backend import Array, array_namespace

PATCH_WEIGHTS = ("flat", "gaussian")
PADDINGS = ("reflect", "symmetric", "edge", "wrap")
CENTERS = ("one", "max", "zero")


@dataclass(frozen=True)
class Settings:
    """What both forms need to know; the two sizes have one entry per spatial axis."""

    patch_size: tuple[int, ...]
    patch_distance: tuple[int, ...]
    h: float
    sigma: float = 0.0
    patch_weights: str = "flat"
    padding: str = "reflect"
    center: str = "one"


def reach(shape: tuple[int, ...], patch_distance: tuple[int, ...]) -> tuple[int, ...]:
    """How far the search window goes along each axis before it would leave the image on both sides."""
    return tuple(min(radius, size - 1) for radius, size in zip(patch_distance, shape, strict=True))


def largest(x: Array) -> float:
    """The largest number that the dtype of ``x`` holds."""
    return float(array_namespace(x).finfo(x.dtype).max)


def bandwidth_factors(h: float, x: Array) -> tuple[float, float]:
    """1 / h² in two parts, (before, after): (δ / h)² = (before δ)² after, for differences δ of pixels of ``x``.

    The first is 1 / h and the second 1, but for an h below 3.6e-15 in float32 and 1e-115 in float64: then the first
    stays there, so that the squares of usual differences stay finite, and the second has the rest.  h = inf gives 0.
    """
    before = min(1 / h, float(largest(x) ** 0.375))
    rest = 1 / (h * before) if before < 1 / h else 1.0
    return before, min(rest * rest, largest(x) / 4)
