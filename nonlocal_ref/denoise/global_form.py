"""Non-local means as the embedded Gaussian operation of eqs. (1) and (3): the bridge between the two worlds.

With P_i the patch at i as a vector, scaled so that |P_i - P_j|² = d²_ij, the weight of the denoiser is

    exp(-|P_i - P_j|² / h²) = exp(2 P_i·P_j / h² - |P_j|² / h²) · exp(-|P_i|² / h²).

The last factor does not depend on j: dividing by the sum over j cancels it.  What is left is the exponential of an
inner product, that of

    theta_i = [√2 P_i / h, 1]    with    phi_j = [√2 P_j / h, -|P_j|² / h²],

so y_i = Σ_j softmax_j(theta_i·phi_j) g_j with g_j = x_j: the non-local operation, nothing in it changed.  The search
window says which j are candidates: a mask.  Two things do not fit.  The clamp of max(d² - 2σ², 0) is no inner product
(without the clamp, 2σ² would cancel as |P_i|² does), and a centre that gets the maximum of the other weights is none.
"""

import math

from nonlocal_ref.backend import Array, array_namespace, device
from nonlocal_ref.denoise.patches import patch_embedding
from nonlocal_ref.denoise.settings import Settings, largest, reach
from nonlocal_ref.operation import nonlocal_op
from nonlocal_ref.ops import constant

MEMORY_LIMIT = 4 * 2**30  # bytes


def denoise_globally(image: Array, settings: Settings) -> Array:
    """Σ_j w_ij x_j / Σ_j w_ij as one embedded Gaussian operation.  image (C, *S) -> the same.

    The mean of each channel is taken off first and put back last.  Exactly, that changes nothing; in floating point it
    saves the digits that the logits lose as |P|² / h² grows.
    """
    xp = array_namespace(image)
    mean = xp.mean(image, axis=tuple(range(1, image.ndim)), keepdims=True)
    theta, phi, g = denoising_operands(
        image - mean,
        h=settings.h,
        patch_size=settings.patch_size,
        patch_weights=settings.patch_weights,
        padding=settings.padding,
    )
    mask = window_mask(image, patch_distance=settings.patch_distance, center=settings.center)
    y, _ = nonlocal_op("embedded_gaussian", theta, phi, g, mask=mask, method="dense")
    return xp.reshape(xp.matrix_transpose(y), image.shape) + mean


def denoising_operands(
    image: Array, *, h: float, patch_size: tuple[int, ...], patch_weights: str = "flat", padding: str = "reflect"
) -> tuple[Array, Array, Array]:
    """theta = [√2 P / h, 1], phi = [√2 P / h, -|P|² / h²], g = x: what to hand to the embedded Gaussian operation.

    image (C, *S) -> theta (1, N, D + 1), phi (1, N, D + 1), g (1, N, C), with D = C * number of pixels in a patch.
    """
    xp = array_namespace(image)
    patches = patch_embedding(image, patch_size=patch_size, patch_weights=patch_weights, padding=padding)
    scaled = patches * _inverse_bandwidth(h, patches)
    norms = xp.sum(scaled * scaled, axis=-1, keepdims=True)
    theta = xp.concat([math.sqrt(2) * scaled, xp.ones_like(norms)], axis=-1)
    phi = xp.concat([math.sqrt(2) * scaled, -norms], axis=-1)
    g = xp.matrix_transpose(xp.reshape(image, (1, image.shape[0], -1)))
    return theta, phi, g


def _inverse_bandwidth(h: float, patches: Array) -> Array:
    """1 / h as an array of no axes, for a tiny h limited so that the logits, |P / h|², stay numbers.

    The limit is far beyond the point where rounding decides about the weights.
    """
    xp = array_namespace(patches)
    top = largest(patches)
    size = xp.maximum(xp.max(xp.abs(patches)), constant(top**-0.5, patches))
    return xp.minimum(constant(min(1 / h, top), patches), top**0.375 / size)


def window_mask(image: Array, *, patch_distance: tuple[int, ...], center: str = "one") -> Array | None:
    """Which j lie in the search window of i: |i - j| <= patch_distance along every axis, j = i left out by "zero".

    image (C, *S) -> mask (1, N, N), or None where every pixel is a candidate for every other.
    """
    xp = array_namespace(image)
    shape = tuple(image.shape[1:])
    radius = reach(shape, patch_distance)
    without_center = center == "zero" and max(radius) > 0  # a pixel without any other candidate keeps its value
    if not without_center and all(r == size - 1 for r, size in zip(radius, shape, strict=True)):
        return None
    pixels = math.prod(shape)
    number = xp.arange(pixels, dtype=xp.int32, device=device(image))
    mask = xp.ones((pixels, pixels), dtype=xp.bool, device=device(image))
    for axis, r in enumerate(radius):
        position = number // math.prod(shape[axis + 1 :]) % shape[axis]  # of each pixel along this axis
        mask = mask & (xp.abs(position[:, None] - position) <= r)
    if without_center:
        mask = mask & (number[:, None] != number)
    return mask[None, ...]


def memory_needed(shape: tuple[int, ...], settings: Settings, itemsize: int) -> int:
    """Bytes for an image (C, *S): logits, exp and weights with one temporary, and the patches twice over."""
    pixels = math.prod(shape[1:])
    features = shape[0] * math.prod(settings.patch_size)
    return itemsize * 4 * pixels * (pixels + features)
