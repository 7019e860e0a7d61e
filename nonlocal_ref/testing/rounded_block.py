"""Eq. (6), forward and backward, with numbers that keep account of their rounding."""

import numpy as np

from nonlocal_ref.params import BlockConfig
from nonlocal_ref.positions import fold, max_pool, unfold
from nonlocal_ref.residual_block import Params
from nonlocal_ref.testing.rounded_operation import operation
from nonlocal_ref.testing.rounding import Rounded, RoundedBackward, given, linear, standardise, standardise_with


def block(
    config: BlockConfig, x: np.ndarray, params: Params, dz: np.ndarray, *, training: bool
) -> tuple[Rounded, Rounded, dict[str, Rounded]]:
    """z, dx, and the gradient of every parameter."""
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
    if config.variant == "concatenation":
        (grads["w_f.weight"],) = dw_f
    return z, dx, {key: grads[key] for key in params if key in grads}


def _embedding(
    name: str, x: Rounded, params: dict[str, Rounded], grads: dict[str, Rounded]
) -> tuple[Rounded, RoundedBackward]:
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


def _pool(x: Rounded, kernel: tuple[int, ...] | None) -> tuple[Rounded, RoundedBackward]:
    """The winner may be off by as much as any position of its window."""
    value, pool_backward = max_pool(x.value, kernel)
    magnitude, _ = max_pool(x.magnitude, kernel)
    return Rounded(value, magnitude), lambda dy: dy.move(lambda array: pool_backward(array)[0])


def _norm(
    raw: Rounded, params: dict[str, Rounded], grads: dict[str, Rounded], config: BlockConfig, *, training: bool
) -> tuple[Rounded, RoundedBackward]:
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
