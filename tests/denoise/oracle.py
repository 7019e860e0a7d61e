"""The classic denoiser, pixel by pixel and pair by pair, in float64: written from the formula, not from the package.

y_i = Σ_j w_ij x_j / Σ_j w_ij,    w_ij = exp(-max(d²_ij - 2σ², 0) / h²),    d²_ij = Σ_k a_k mean_c (x_{i+k} - x_{j+k})²
"""

import math

import numpy as np


def denoise(
    image,
    *,
    patch_size,
    patch_distance,
    h,
    sigma=0.0,
    channel_axis=None,
    patch_weights="flat",
    padding="reflect",
    center="one",
):
    """The denoised image, and per pixel the magnitude that rounding errors are measured against.

    A weight exp(-u) turns a relative rounding error of u into one of the weight that is u times as large, so the
    magnitude is the same average of |x_j| with every term multiplied by 1 + u, before 2σ² is taken off u.
    """
    x = np.asarray(image, dtype=np.float64)
    x = x[..., None] if channel_axis is None else np.moveaxis(x, channel_axis, -1)
    shape = x.shape[:-1]
    size = patch_size if isinstance(patch_size, tuple) else (patch_size,) * len(shape)
    distance = patch_distance if isinstance(patch_distance, tuple) else (patch_distance,) * len(shape)
    padded = np.pad(x, [(s // 2, s // 2) for s in size] + [(0, 0)], mode=padding)
    a = np.ones(size)
    for k in np.ndindex(size):
        for s, step in zip(size, k, strict=True):
            if patch_weights == "gaussian" and s > 1:
                a[k] *= math.exp(-((step - s // 2) ** 2) / (2 * ((s - 1) / 4) ** 2))
    a /= np.sum(a)

    def patch(i):
        return padded[tuple(slice(p, p + s) for p, s in zip(i, size, strict=True))]

    y, magnitude = np.empty_like(x), np.empty_like(x)
    for i in np.ndindex(shape):
        weight, growth = {}, {}
        for j in np.ndindex(shape):
            if all(abs(p - q) <= d for p, q, d in zip(i, j, distance, strict=True)):
                d2 = np.sum(a * np.mean((patch(i) - patch(j)) ** 2, axis=-1))
                weight[j] = math.exp(-max(d2 - 2 * sigma**2, 0) / h**2)
                growth[j] = 1 + (d2 + 2 * sigma**2) / h**2
        others = [w for j, w in weight.items() if j != i]
        if others:
            weight[i] = {"one": 1.0, "max": max(others), "zero": 0.0}[center]
        total = sum(weight.values())
        y[i] = sum(w * x[j] for j, w in weight.items()) / total
        magnitude[i] = sum(w * growth[j] * abs(x[j]) for j, w in weight.items()) / total
    if channel_axis is None:
        return y[..., 0], magnitude[..., 0]
    return np.moveaxis(y, -1, channel_axis), np.moveaxis(magnitude, -1, channel_axis)


def rounding(image, h, dtype=np.float64):
    """How far two ways to the same result may differ: error ratio 30 on the largest value and the largest exponent.

    Patches differ by 2 max|x| at most, so exponents stay below (2 max|x| / h)².
    """
    largest = float(np.max(np.abs(image)))
    return 30 * float(np.finfo(dtype).eps) * largest * (1 + (2 * largest / h) ** 2)
