"""Eqs. (1) to (6) of arXiv 1711.07971 with plain Python loops, one number at a time, straight from the paper's text.

Nothing here is shared with the package: no array operation, no shift inside the exponential, no split of w_f, no
folding of axes.  The numbers may be floats, complex numbers or mpmath's, so the same loops also give the exact
gradient: by complex step (`complex_step`), if need be with 50 digits (`multiprecision_gradient`).  No formula for a
gradient is written down.
"""

import cmath
import itertools
import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np


class Numbers(NamedTuple):
    """What the loops need to know of a kind of number."""

    exp: Any
    sqrt: Any
    total: Any  # the sum of a list
    real: Any
    dtype: Any


FLOAT = Numbers(math.exp, math.sqrt, math.fsum, lambda v: v, np.float64)
COMPLEX = Numbers(cmath.exp, cmath.sqrt, sum, lambda v: complex(v).real, np.complex128)


def multiprecision():
    """mpmath's numbers; the caller sets the digits with mpmath.workdps."""
    import mpmath

    return Numbers(mpmath.exp, mpmath.sqrt, mpmath.fsum, mpmath.re, object)


def dot(u, v, numbers=FLOAT):
    return numbers.total([a * b for a, b in zip(u, v, strict=True)])


def pairwise(variant, theta_i, phi_j, w_f, scale, numbers):
    """f(x_i, x_j), section 3.2."""
    if variant in {"gaussian", "embedded_gaussian"}:  # eqs. (2), (3)
        return numbers.exp((1 if scale is None else scale) * dot(theta_i, phi_j, numbers))
    if variant == "dot_product":  # eq. (4)
        return dot(theta_i, phi_j, numbers)
    product = dot(w_f, [*theta_i, *phi_j], numbers)  # eq. (5), with the concatenation
    return product if numbers.real(product) > 0 else product * 0


def nonlocal_op(variant, theta, phi, g, w_f=None, *, scale=None, mask=None, numbers=FLOAT):
    """Eq. (1): y_i = 1 / C(x) Σ_j f(x_i, x_j) g(x_j).  Arrays as in the package -> y (B, N, E), weights (B, N, M)."""
    batch, queries, keys, width = len(theta), theta.shape[1], phi.shape[1], g.shape[2]
    allowed = (
        np.ones((batch, queries, keys), dtype=bool) if mask is None else np.broadcast_to(mask, (batch, queries, keys))
    )
    w_f = None if w_f is None else w_f.tolist()
    y = np.zeros((batch, queries, width), dtype=numbers.dtype)
    weights = np.zeros((batch, queries, keys), dtype=numbers.dtype)
    for b, (theta_b, phi_b, g_b) in enumerate(zip(theta.tolist(), phi.tolist(), g.tolist(), strict=True)):
        for i in range(queries):
            candidates = [j for j in range(keys) if allowed[b, i, j]]
            if not candidates:
                continue  # nothing to look at: zeros
            f = [pairwise(variant, theta_b[i], phi_b[j], w_f, scale, numbers) for j in candidates]
            softmax = variant in {"gaussian", "embedded_gaussian"}
            c = numbers.total(f) if softmax else len(candidates)  # C(x)
            for f_ij, j in zip(f, candidates, strict=True):
                weights[b, i, j] = f_ij / c
            for e in range(width):
                y[b, i, e] = numbers.total([f_ij * g_b[j][e] for f_ij, j in zip(f, candidates, strict=True)]) / c
    return y, weights


def complex_step(function, arrays, cotangent, step=1e-30):
    """Gradient of L = Σ cotangent · function(*arrays) by complex step: Im L(x + i h) / h, exact to rounding.

    Nothing is subtracted, so h can be tiny.  function takes complex arrays and returns a complex array; arrays are real
    -> one gradient an array.
    """
    given = [np.array(x, dtype=complex) for x in arrays]
    gradients = [np.zeros(x.shape) for x in arrays]
    for x, gradient in zip(given, gradients, strict=True):
        for index in np.ndindex(*x.shape):
            real = x[index]
            x[index] = real + 1j * step
            gradient[index] = np.sum(np.imag(function(*given)) / step * cotangent)
            x[index] = real
    return gradients


def multiprecision_gradient(function, arrays, cotangent):
    """The same with mpmath's numbers, within the digits that the caller has set."""
    import mpmath

    step = mpmath.mpf(10) ** -60
    given = [exactly(x) for x in arrays]
    gradients = [np.zeros(x.shape) for x in arrays]
    for x, gradient in zip(given, gradients, strict=True):
        for index in np.ndindex(*x.shape):
            real = x[index]
            x[index] = mpmath.mpc(real, step)
            values = zip(function(*given).ravel(), cotangent.ravel(), strict=True)
            gradient[index] = mpmath.fsum(mpmath.im(value) * weight / step for value, weight in values)
            x[index] = real
    return gradients


def exactly(x):
    """A float array as an array of mpmath numbers."""
    import mpmath

    numbers = np.empty(np.shape(x), dtype=object)
    for index in np.ndindex(*np.shape(x)):
        numbers[index] = mpmath.mpf(float(x[index]))
    return numbers


# Eq. (6), with sections 3.3 and 4.1


def seen_together(config, frames, height, width):
    """Which positions see each other: a list of (ranges over T, H, W)."""
    if config.domain == "space":
        return [([t], range(height), range(width)) for t in range(frames)]
    if config.domain == "time":
        return [(range(frames), [h], [w]) for h in range(height) for w in range(width)]
    step = config.frame_group or frames
    return [(range(t, t + step), range(height), range(width)) for t in range(0, frames, step)]


def pooling_kernel(config):
    """Kernel over T, H, W; axes that x does not have are 1 long."""
    if config.subsample is False or (config.subsample is True and config.domain == "time"):
        return (1, 1, 1)
    if config.subsample is True:
        return {1: (1, 1, 2), 2: (1, 2, 2), 3: (1, 2, 2)}[config.dims]
    return (1,) * (3 - config.dims) + tuple(config.subsample)


def pooling_windows(ranges, kernel):
    """The cells of each window, row by row; what does not fill a window is dropped."""
    starts = [range(0, len(axis) - k + 1, k) for axis, k in zip(ranges, kernel, strict=True)]
    return [
        [
            tuple(axis[start + offset] for axis, start, offset in zip(ranges, corner, inside, strict=True))
            for inside in itertools.product(*(range(k) for k in kernel))
        ]
        for corner in itertools.product(*starts)
    ]


def convolution(vector, weight, bias, numbers=FLOAT):
    """A convolution of kernel 1 at one position."""
    return [dot(row, vector, numbers) + b for row, b in zip(weight, bias, strict=True)]


def maximum(vectors, numbers):
    """Channel by channel: the largest number, and the first position that has it."""
    winners = [max(range(len(vectors)), key=lambda n: numbers.real(vectors[n][c])) for c in range(len(vectors[0]))]
    return [vectors[n][c] for c, n in enumerate(winners)], winners


def block(x, params, config, *, training=False, numbers=FLOAT):
    """Eq. (6): z_i = W_z y_i + x_i.

    x (B, C, *S) -> a namespace with z (B, C, *S), raw (W_z y, (B, C, T, H, W)), mean, var, x_hat, inverse_std, and
    groups: per group of positions that see each other b, queries, windows, winners, weights.
    """
    volume = x.reshape(*x.shape[:2], *(1,) * (3 - config.dims), *x.shape[2:])
    batch, channels, *space = volume.shape
    inner = config.inner_channels or max(channels // 2, 1)
    kernel = pooling_kernel(config)
    scale = config.scale
    if scale == "inner":
        scale = (channels if config.variant == "gaussian" else inner) ** -0.5

    def embed(name, vector):
        if f"{name}.weight" not in params:
            return vector  # eq. (2) compares x itself
        weight = params[f"{name}.weight"].tolist()
        bias = params[f"{name}.bias"].tolist() if f"{name}.bias" in params else [0] * len(weight)
        return convolution(vector, weight, bias, numbers)

    raw = np.zeros(volume.shape, dtype=numbers.dtype)
    groups = []
    for b in range(batch):
        for ranges in seen_together(config, *space):
            at = {cell: volume[(b, slice(None), *cell)].tolist() for cell in itertools.product(*ranges)}
            windows = pooling_windows(ranges, kernel)
            queries = list(at)
            theta = [embed("theta", at[cell]) for cell in queries]
            if config.pool_order == "before":
                pooled = [maximum([at[cell] for cell in window], numbers) for window in windows]
                phi, g = ([embed(name, vector) for vector, _ in pooled] for name in ("phi", "g"))
                winners = {"x": [found for _, found in pooled]}
            else:
                pooled_phi, pooled_g = (
                    [maximum([embed(name, at[cell]) for cell in window], numbers) for window in windows]
                    for name in ("phi", "g")
                )
                phi, g = [vector for vector, _ in pooled_phi], [vector for vector, _ in pooled_g]
                winners = {"phi": [found for _, found in pooled_phi], "g": [found for _, found in pooled_g]}
            one = [np.array([rows], dtype=numbers.dtype) for rows in (theta, phi, g)]
            w_f = params.get("w_f.weight")
            y, weights = nonlocal_op(config.variant, *one, w_f, scale=scale, numbers=numbers)
            for cell, y_i in zip(queries, y[0].tolist(), strict=True):
                raw[(b, slice(None), *cell)] = embed("w_z", y_i)
            groups.append(SimpleNamespace(b=b, queries=queries, windows=windows, winners=winners, weights=weights[0]))

    normed = np.zeros(volume.shape, dtype=numbers.dtype)
    x_hat = np.array(raw)
    mean, var, inverse_std = ([None] * channels for _ in range(3))
    for c in range(channels):
        values = raw[:, c].reshape(-1).tolist()
        if config.norm == "batch" and training:
            mean[c] = numbers.total(values) / len(values)
            var[c] = numbers.total([(v - mean[c]) ** 2 for v in values]) / len(values)
        elif config.norm == "batch":
            mean[c], var[c] = (params[f"bn.running_{name}"].tolist()[c] for name in ("mean", "var"))
        if config.norm == "batch":
            inverse_std[c] = 1 / numbers.sqrt(var[c] + config.eps)
            x_hat[:, c] = (raw[:, c] - mean[c]) * inverse_std[c]
        if config.norm is None:
            normed[:, c] = raw[:, c]
        else:
            gamma, beta = (params[f"bn.{name}"].tolist()[c] for name in ("weight", "bias"))
            normed[:, c] = gamma * x_hat[:, c] + beta
    z = (normed + volume).reshape(x.shape)
    return SimpleNamespace(z=z, raw=raw, x_hat=x_hat, mean=mean, var=var, inverse_std=inverse_std, groups=groups)


def max_pool(x, kernel):
    """Windows of `kernel`, one after the other.  x (B, *S, C) -> y (B, *(S // kernel), C)."""
    batch, *space, channels = x.shape
    counts = [size // k for size, k in zip(space, kernel, strict=True)]
    y = np.zeros((batch, *counts, channels))
    for b, *corner, c in np.ndindex(*y.shape):
        starts = [n * k for n, k in zip(corner, kernel, strict=True)]
        cells = itertools.product(*(range(s, s + k) for s, k in zip(starts, kernel, strict=True)))
        y[(b, *corner, c)] = max(float(x[(b, *cell, c)]) for cell in cells)
    return y
