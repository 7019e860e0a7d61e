"""Classic non-local means: `non_local_means`, the door to its two forms."""

import math
from collections.abc import Callable
from typing import Any

from nonlocal_ref.arguments import (
    check_array,
    check_callable,
    check_choice,
    check_floating,
    check_integer,
    check_number,
    is_choice,
)
from nonlocal_ref.backend import Array, array_namespace, device, dtype_name
from nonlocal_ref.denoise.global_form import MEMORY_LIMIT, denoise_globally, memory_needed
from nonlocal_ref.denoise.settings import CENTERS, PADDINGS, PATCH_WEIGHTS, Settings
from nonlocal_ref.denoise.shift_form import denoise_by_shifts

METHODS = ("auto", "shift", "global")


def non_local_means(
    image: Array,
    *,
    patch_size: int | tuple[int, ...] = 7,
    patch_distance: int | tuple[int, ...] = 11,
    h: float,
    sigma: float = 0.0,
    channel_axis: int | None = None,
    patch_weights: str = "flat",
    padding: str = "reflect",
    window: str = "clipped",
    center: str = "one",
    aggregation: str = "pixel",
    method: str = "auto",
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Array:
    """Denoise a signal, picture or volume: each pixel becomes the average of those whose patches look like its own.

    y_i = Σ_j w_ij x_j / Σ_j w_ij over the j in the search window of i, with w_ij = exp(-max(d²_ij - 2 sigma², 0) / h²)
    and d²_ij = Σ_k a_k mean_c (x_{i+k} - x_{j+k})² the mean squared difference of the patches at i and j, Σ_k a_k = 1.

    Parameters
    ----------
    image : array, float32 or float64
        One to three spatial axes, and a channel axis if `channel_axis` says so.  A colour picture without its
        `channel_axis` is a volume.
    patch_size : int or tuple of int
        Side of the patches that are compared: odd; one number, or one per spatial axis.
    patch_distance : int or tuple of int
        Radius of the search window, which has up to 2 * patch_distance + 1 pixels a side: one number, or one per
        spatial axis.  With 0 on an axis, pixels look only along the others.
    h : float
        How different patches may be, in the unit of the image: a larger h smooths more.  For noise of standard
        deviation s, 0.8 * s is a good start.  ``inf`` gives the mean over the window.
    sigma : float
        Standard deviation of the noise, in the unit of the image.  Two patches that differ by their noise alone have
        d² = 2 sigma² on average; this much is forgiven.
    channel_axis : int, optional
        Axis of the channels, which share one weight: d² is their mean.  None: there is none.
    patch_weights : {"flat", "gaussian"}
        The a_k: all the same, or a Gaussian of standard deviation (patch_size - 1) / 4 along each axis.
    padding : {"reflect", "symmetric", "edge", "wrap"}
        What patches see beyond the border: the image mirrored without (dcb|abcd|cba) or with (cba|abcd|dcb) its edge
        repeated, the edge alone (aaa|abcd|ddd), or the image again (bcd|abcd|abc).
    window : {"clipped"}
        Where the search window ends: at the border of the image.  Padding never becomes a candidate.
    center : {"one", "max", "zero"}
        Weight of the pixel itself, j = i: 1, as the formula says; the largest of the other weights; or none, j = i is
        left out.  A pixel without any other candidate keeps its value.
    aggregation : {"pixel"}
        A patch decides about the pixel in its centre.
    method : {"auto", "shift", "global"}
        "shift": one offset of the window at a time.  "global": one embedded Gaussian operation, every pair of pixels
        in memory.  "auto" is "shift".  The result is the same up to rounding.
    workers : {None, 1}
        Number of threads.
    progress : callable, optional
        Called as progress(done, total) after each of the steps.

    Returns
    -------
    array
        The denoised image: shape, dtype, namespace and device of `image`.

    Raises
    ------
    TypeError
        If `image` is no float32 or float64 array, or a size is no integer, or `h` or `sigma` no number, or `progress`
        not callable.
    ValueError
        If the number of axes, a size, `h`, `sigma` or an option does not fit, or is not built yet; if
        ``method="global"`` is asked for with `sigma` > 0 or center "max", which no inner product can express, or for an
        image whose N x N matrices need more than 4 GiB; or if patches more than twice as large as the image would pad
        it to more than that.

    Notes
    -----
    The values are never rescaled: `h`, `sigma` and `image` share one unit.

    Cost, for N pixels and W of them in a window.  The shift form computes N W / 2 distances, each a square, some
    2 log2(patch_size) additions per axis ("gaussian": patch_size) and an exp; centers "max" and "zero" compute them
    twice.  It keeps some ten copies of the image.  The global form takes N² patch_size ** axes multiplications and
    keeps four N x N matrices.

    With "max" and "zero" only the ratios of weights matter, so they are computed relative to the nearest candidate: a
    small `h` then gives the value of that candidate, not 0 / 0.

    NaN and inf: in the shift form they reach the pixels whose window, widened by half a patch, contains them, and no
    others.  In the global form they reach all.

    Squares have limits.  Differences must keep below 1e19 h in float32 and 1e154 h in float64, or below 6e4 and 1e38,
    whichever is more; those below 1e-33 and 1e-269 count as none, which only an h of that size can see.

    The global form loses digits as the values, less their mean, grow against h: its logits are of size |P|² / h².

    References
    ----------
    Buades, Coll, Morel, "A non-local algorithm for image denoising", CVPR 2005.
    Buades, Coll, Morel, "Non-Local Means Denoising", Image Processing On Line 1, 2011: sigma, and center "max".
    Wang, Girshick, Gupta, He, "Non-local Neural Networks", CVPR 2018, arXiv 1711.07971, section 3: the operation.

    Examples
    --------
    With an `h` far below the step from 0 to 8, a pixel is averaged with the values near its own only:

    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> signal = np.asarray([0.0, 2.0, 0.0, 2.0, 8.0, 8.0])
    >>> nl.non_local_means(signal, patch_size=1, h=1.0).round(3)
    array([0.036, 1.964, 0.036, 1.964, 8.   , 8.   ])

    Without limit on the differences it is the mean over the window, here of radius 1 and clipped at the ends:

    >>> nl.non_local_means(signal, patch_size=1, patch_distance=1, h=np.inf).round(3)
    array([1.   , 0.667, 1.333, 3.333, 6.   , 8.   ])

    The same numbers from the embedded Gaussian operation:

    >>> shift = nl.non_local_means(signal, patch_size=3, h=1.0, method="shift")
    >>> bool(np.allclose(nl.non_local_means(signal, patch_size=3, h=1.0, method="global"), shift, rtol=1e-13))
    True
    """
    _check_image(image)
    channels_at = _check_channel_axis(image, channel_axis)
    axes = image.ndim - (channels_at is not None)
    if not 1 <= axes <= 3:
        msg = f"image must have 1 to 3 spatial axes, got shape {tuple(image.shape)} with channel_axis={channel_axis}"
        raise ValueError(msg)
    settings = Settings(
        patch_size=_check_sizes("patch_size", patch_size, axes, least=1, odd=True),
        patch_distance=_check_sizes("patch_distance", patch_distance, axes, least=0),
        h=check_number("h", h, lambda value: value > 0, "greater than 0"),
        sigma=check_number("sigma", sigma, lambda value: 0 <= value < math.inf, "finite and at least 0"),
        patch_weights=_check_option("patch_weights", patch_weights, PATCH_WEIGHTS),
        padding=_check_option("padding", padding, PADDINGS),
        center=_check_option("center", center, CENTERS),
    )
    _check_built("window", window, ("clipped",))
    _check_built("aggregation", aggregation, ("pixel",))
    _check_built("workers", workers, (None, 1))
    check_choice("method", method, METHODS)
    check_callable("progress", progress, "progress(done, total)")
    _check_padding(image, settings, channels_at)
    if method == "global":
        _check_global(image, settings, channels_at)

    xp = array_namespace(image)
    if 0 in image.shape:
        return xp.zeros(image.shape, dtype=image.dtype, device=device(image))
    tick = _no_progress if progress is None else progress  # a recorder that is still empty is falsy
    planes = image[None, ...] if channels_at is None else xp.moveaxis(image, channels_at, 0)
    if method == "global":
        denoised = denoise_globally(planes, settings)
        tick(1, 1)
    else:
        denoised = denoise_by_shifts(planes, settings, tick)
    return denoised[0, ...] if channels_at is None else xp.moveaxis(denoised, 0, channels_at)


def _no_progress(done: int, total: int) -> None:
    """A progress that tells nobody."""


def _check_image(image: Any) -> None:
    """Refuse what is no real floating image; for integers say what to divide by, which is for the user to do."""
    check_array("image", image)
    if array_namespace(image).isdtype(image.dtype, "integral"):
        kind = dtype_name(image.dtype)
        full_scale = {"uint8": "255", "uint16": "65535"}.get(kind, "the value that stands for white")
        msg = (
            f"image must be float32 or float64, got {kind}; divide it by its full scale, "
            f"xp.astype(image, xp.float64) / {full_scale}, and give h and sigma in that unit"
        )
        raise TypeError(msg)
    check_floating("image", image)


def _check_channel_axis(image: Array, channel_axis: Any) -> int | None:
    """The channel axis counted from the front, or None."""
    if channel_axis is None:
        return None
    axis = check_integer("channel_axis", channel_axis, least=-image.ndim)
    if axis >= image.ndim:
        msg = f"channel_axis must be less than the number of axes of image, {image.ndim}, got {axis}"
        raise ValueError(msg)
    return int(axis % image.ndim)


def _check_sizes(name: str, value: Any, axes: int, *, least: int, odd: bool = False) -> tuple[int, ...]:
    """One size per spatial axis, from one number or a tuple."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(sizes) != axes:
        msg = f"{name} must be one number or one per spatial axis, {axes} of them, got {value!r}"
        raise ValueError(msg)
    checked = tuple(check_integer(name, size, least=least) for size in sizes)
    if odd and any(size % 2 == 0 for size in checked):
        msg = f"{name} must be odd, so that a patch has a centre, got {value!r}"
        raise ValueError(msg)
    return checked


def _check_option(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value`, if it is one of the choices."""
    check_choice(name, value, choices)
    return str(value)


def _check_built(name: str, value: Any, built: tuple[Any, ...]) -> None:
    """Refuse what may come but is not there yet, and say what is there."""
    if not is_choice(value, built):
        msg = f"{name}={value!r} is not built yet; there is {' and '.join(map(repr, built))}"
        raise ValueError(msg)


def _check_padding(image: Array, settings: Settings, channels_at: int | None) -> None:
    """Refuse patches that are larger than the image, and so large that the image with its padding does not fit."""
    shape = tuple(size for axis, size in enumerate(image.shape) if axis != channels_at)
    padded = [size + patch - 1 for size, patch in zip(shape, settings.patch_size, strict=True)]
    channels = 1 if channels_at is None else image.shape[channels_at]
    needed = math.prod(padded) * channels * array_namespace(image).finfo(image.dtype).bits // 8
    larger = any(patch > 2 * size for size, patch in zip(shape, settings.patch_size, strict=True))
    if 0 not in image.shape and larger and needed > MEMORY_LIMIT:
        msg = (
            f"patch_size {settings.patch_size} pads an image of shape {tuple(image.shape)} to {needed // 2**30} GiB, "
            f"the limit is {MEMORY_LIMIT // 2**30} GiB; patches need not be larger than the image"
        )
        raise ValueError(msg)


def _check_global(image: Array, settings: Settings, channels_at: int | None) -> None:
    """Refuse what is no embedded Gaussian operation, or is too large for one."""
    if settings.sigma > 0:
        msg = f"method='global' needs sigma=0, got {settings.sigma}: the clamp of d² - 2 sigma² is no inner product"
        raise ValueError(msg)
    if settings.center == "max":
        msg = (
            "method='global' needs center 'one' or 'zero', got 'max': the maximum of other weights is no inner product"
        )
        raise ValueError(msg)
    channels = 1 if channels_at is None else image.shape[channels_at]
    shape = tuple(size for axis, size in enumerate(image.shape) if axis != channels_at)
    needed = memory_needed((channels, *shape), settings, array_namespace(image).finfo(image.dtype).bits // 8)
    if needed > MEMORY_LIMIT:
        msg = (
            f"method='global' keeps every pair of pixels: about {needed / 2**30:.1f} GiB for an image of shape "
            f"{tuple(image.shape)}, the limit is {MEMORY_LIMIT / 2**30:.0f} GiB; crop the image or use method='shift'"
        )
        raise ValueError(msg)
