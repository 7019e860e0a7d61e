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


def inverse_bandwidth(h: float, x: Array) -> float:
    """1 / h as a factor for differences of pixels of ``x``, limited so that their squares stay finite.

    The limit stands for an h of 3.6e-15 in float32 and 1e-115 in float64; h = inf gives 0.
    """
    return min(1 / h, float(largest(x) ** 0.375))
