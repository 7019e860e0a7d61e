"""Magnitudes: how far off y, z and every gradient may be after rounding, entry by entry, in units of ε.

    error ratio = |got - exact| / (ε magnitude)

Eqs. (1) and (6), forward and backward, once more, with numbers that keep account of their rounding (rounding.py).  The
account assumes no particular order of summation, so it holds for any implementation.

It treats errors as independent.  Those of n terms with a common cause (a mean, a row's sum, one weight) add up
straight, and that is at most sqrt(n) times as much: Σ e_k <= sqrt(n) sqrt(Σ e_k²).  The longest sums run over
positions, and once more over keys, so a magnitude is the account times sqrt(positions x keys).  Host NumPy, float64.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.params import BlockConfig
from nonlocal_ref.positions import fold, max_pool, unfold
from nonlocal_ref.residual_block import Params
from nonlocal_ref.testing.rounding import Rounded, given, linear, relu, softmax, standardise, standardise_with

LIMIT = 30.0  # LAPACK's bound for all of its routines; rounding alone gives about 1

Values = dict[str, np.ndarray]
Backward = Callable[..., Any]


def error_ratios(got: np.ndarray, exact: np.ndarray, magnitude: np.ndarray, eps: float) -> np.ndarray:
    """|got - exact| / (eps magnitude), entry by entry; NaN and inf in ``got`` count as inf.  Underflow is forgiven."""
    tiny = float(np.finfo(np.float64 if eps < 1e-10 else np.float32).tiny)
    with np.errstate(invalid="ignore", over="ignore"):
        ratios = np.abs(np.asarray(got, dtype=np.float64) - exact) / (eps * magnitude + tiny)
    return np.where(np.isnan(ratios), np.inf, ratios)


def operation_magnitudes(variant: str, arrays: Values, dy: np.ndarray, scale: float | None) -> Values:
    """Magnitudes of y and of every gradient of eq. (1); arrays are theta, phi, g, and w_f where there is one."""
    y, backward = operation(variant, *(given(array) for array in arrays.values()), scale=scale)
    names = (f"d{name}" for name in arrays)
    results = {"y": y} | dict(zip(names, backward(given(dy)), strict=True))
    shared = (arrays["theta"].shape[0] * arrays["theta"].shape[1] * arrays["phi"].shape[1]) ** 0.5
    return {name: result.error * shared for name, result in results.items()}


def operation(
    variant: str, theta: Rounded, phi: Rounded, g: Rounded, w_f: Rounded | None = None, *, scale: float | None = None
) -> tuple[Rounded, Backward]:
    """Eq. (1).  theta (B, N, D), phi (B, M, D), g (B, M, E) -> y; backward(dy) -> dtheta, dphi, dg, dw_f for (5)."""
    f, kernel_backward = _product(theta, phi) if w_f is None else _concatenation(theta, phi, w_f)
    if variant in {"gaussian", "embedded_gaussian"}:
        factor = 1.0 if scale is None else scale
        weights, softmax_backward = softmax(f.times(factor))
    else:
        factor = 1 / phi.value.shape[1]
        weights, softmax_backward = f.times(factor), lambda dweights: dweights

    def backward(dy: Rounded) -> tuple[Rounded, ...]:
        dtheta, dphi, *dw_f = kernel_backward(softmax_backward(dy @ g.mT).times(factor))
        return dtheta, dphi, weights.mT @ dy, *dw_f

    return weights @ g, backward


def _product(theta: Rounded, phi: Rounded) -> tuple[Rounded, Backward]:
    return theta @ phi.mT, lambda df: (df @ phi, df.mT @ theta)


def _concatenation(theta: Rounded, phi: Rounded, w_f: Rounded) -> tuple[Rounded, Backward]:
    depth = theta.value.shape[-1]
    w_theta, w_phi = w_f.move(lambda w: w[None, :depth]), w_f.move(lambda w: w[None, depth:])
    a, b = theta @ w_theta.mT, phi @ w_phi.mT  # (B, N, 1), (B, M, 1)
    f, relu_backward = relu(a + b.mT)

    def backward(df: Rounded) -> tuple[Rounded, ...]:
        dsum = relu_backward(df)
        da, db = dsum.sum(2, keepdims=True), dsum.sum(1, keepdims=True).mT
        halves = [da.rows.mT @ theta.rows, db.rows.mT @ phi.rows]
        dw_f = Rounded(*(np.concatenate([h.value[0] for h in halves]), np.concatenate([h.error[0] for h in halves])))
        return da @ w_theta, db @ w_phi, dw_f

    return f, backward


def block_magnitudes(config: BlockConfig, x: np.ndarray, params: Params, dz: np.ndarray, *, training: bool) -> Values:
    """Magnitudes of z, dx and every gradient of eq. (6)."""
    domain, group = config.domain, config.frame_group
    before, after = (config.kernel, None) if config.pool_order == "before" else (None, config.kernel)
    grads: dict[str, Rounded] = {}
    weights = {key: given(value) for key, value in params.items()}

    features = given(x).move(lambda array: fold(array, domain, group)[0])
    keys, keys_backward = _pool(features, before)
    theta_map, theta_backward = _embedding("theta", features, weights, grads)
    phi_map, phi_backward = _embedding("phi", keys, weights, grads)
    g_map, g_backward = _embedding("g", keys, weights, grads)
    phi, phi_pool_backward = _pool(phi_map, after)
    g, g_pool_backward = _pool(g_map, after)
    theta, phi_rows, g_rows = (_positions(array) for array in (theta_map, phi, g))
    y, operation_backward = operation(
        config.variant, theta, phi_rows, g_rows, weights.get("w_f.weight"), scale=config.scale_factor
    )
    raw, w_z_backward = _embedding("w_z", y, weights, grads)
    normed, norm_backward = _norm(raw, weights, grads, config, training=training)
    residual = normed.move(lambda array: unfold(array, x.shape, domain, group)[0])
    z = residual + given(x)

    dnormed = given(dz).move(lambda array: _positions_of(fold(array, domain, group)[0]))
    dtheta, dphi, dg, *dw_f = operation_backward(w_z_backward(norm_backward(dnormed)))
    dkeys = phi_backward(phi_pool_backward(_like(dphi, phi))) + g_backward(g_pool_backward(_like(dg, g)))
    dfeatures = theta_backward(_like(dtheta, theta_map)) + keys_backward(dkeys)
    dx = given(dz) + dfeatures.move(lambda array: unfold(array, x.shape, domain, group)[0])
    grads |= dict(zip(["w_f.weight"], dw_f, strict=False))
    results = {"z": z, "dx": dx} | {f"d{key}": grads[key] for key in params if key in grads}
    shared = (x.size // config.channels * phi_rows.value.shape[1]) ** 0.5
    return {name: result.error * shared for name, result in results.items()}


def _embedding(
    name: str, x: Rounded, params: dict[str, Rounded], grads: dict[str, Rounded]
) -> tuple[Rounded, Backward]:
    """W x + b, or x itself; the way back puts the gradients of W and b into ``grads``."""
    if f"{name}.weight" not in params:
        return x, _unchanged
    y, linear_backward = linear(x, params[f"{name}.weight"], params.get(f"{name}.bias"))

    def backward(dy: Rounded) -> Rounded:
        gradients: tuple[Rounded, ...] = linear_backward(dy)
        grads.update(zip([f"{name}.weight", f"{name}.bias"], gradients[1:], strict=False))
        return gradients[0]

    return y, backward


def _unchanged(dy: Rounded) -> Rounded:
    """The way back of a step that is left out."""
    return dy


def _pool(x: Rounded, kernel: tuple[int, ...] | None) -> tuple[Rounded, Backward]:
    """The winner may be off by as much as any position of its window."""
    value, pool_backward = max_pool(x.value, kernel)
    error, _ = max_pool(x.error, kernel)
    return Rounded(value, error), lambda dy: dy.move(lambda array: pool_backward(array)[0])


def _norm(
    raw: Rounded, params: dict[str, Rounded], grads: dict[str, Rounded], config: BlockConfig, *, training: bool
) -> tuple[Rounded, Backward]:
    """What stands after W_z; the way back puts the gradients of gamma and beta into ``grads``."""
    if config.norm is None:
        return raw, _unchanged
    if config.norm == "affine":
        x_hat, standardise_backward = raw, _unchanged
    elif training:
        x_hat, standardise_backward = standardise(raw, config.eps)
    else:
        x_hat, standardise_backward = standardise_with(
            raw, params["bn.running_mean"], params["bn.running_var"], config.eps
        )
    gamma, beta = params["bn.weight"], params["bn.bias"]

    def backward(dnormed: Rounded) -> Rounded:
        grads["bn.weight"], grads["bn.bias"] = (dnormed * x_hat).sum((0, 1)), dnormed.sum((0, 1))
        return standardise_backward(dnormed * gamma)

    return x_hat * gamma + beta, backward


def _positions_of(array: np.ndarray) -> np.ndarray:
    """(B', *S', C) -> (B', N, C)."""
    return array.reshape(array.shape[0], -1, array.shape[-1])


def _positions(x: Rounded) -> Rounded:
    return x.move(_positions_of)


def _like(x: Rounded, volume: Rounded) -> Rounded:
    """(B', N, C) -> the shape of ``volume``."""
    return x.move(lambda array: array.reshape(volume.value.shape))
