"""How a non-local operation or block may be read: the right way, and the ways that implementations fell into.

The right reading is `nonlocal_ref.nonlocal_op` and `nonlocal_ref.block` in their dense form.  Every other reading is
the same composition with one piece exchanged, so its values and its gradients are known, and numbers that match it tell
which piece it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from nonlocal_ref.dense import dense
from nonlocal_ref.ops import Backward, scaled_product, softmax
from nonlocal_ref.pairwise import concatenation, dot_product
from nonlocal_ref.params import BlockConfig
from nonlocal_ref.positions import fold, unfold
from nonlocal_ref.residual_block import Params, embed, project

Rearrange = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Reading:
    """One way to read eqs. (1) to (6); the defaults of the second half are right."""

    variant: str
    scale: float | None = None
    pool_order: str = "after"
    subsample: bool | tuple[int, ...] = False
    softmax_over: str = "keys"  # or "queries", "pairs", "batch"
    divisor: str = "keys"  # or "queries", "nothing": what (4) and (5) are divided by
    flat_kernel: int | None = None  # pool the flattened index of positions with this kernel
    gamma_is_one: bool = False
    adds_nothing: bool = False  # z = x
    eps: float | None = None  # of the norm, where it is not the config's
    softmax_eps: float = 0.0  # added to the sum of every row
    softmax_shifted: bool = False  # whether it is added after the largest logit was subtracted
    shift_has_gradient: bool = False  # as autograd has it; without an eps that gradient is zero
    residual: bool = True
    not_moved: str | None = None  # "y" or "w_z y": its channels, the last axis, were not moved back before a reshape


def right_reading(config: BlockConfig) -> Reading:
    """What a config says."""
    return Reading(config.variant, config.scale_factor, config.pool_order, config.subsample)


def read_operation(
    reading: Reading, theta: np.ndarray, phi: np.ndarray, g: np.ndarray, w_f: np.ndarray | None = None
) -> tuple[np.ndarray, Backward]:
    """Eq. (1) under a reading.  theta (B, N, D), phi (B, M, D), g (B, M, E) -> y (B, N, E)."""
    return dense(partial(pairwise, reading, w_f), theta, phi, g)


def pairwise(
    reading: Reading, w_f: np.ndarray | None, theta: np.ndarray, phi: np.ndarray
) -> tuple[np.ndarray, Backward]:
    """f / C(x) under a reading.  theta (B, N, D), phi (B, M, D) -> weights (B, N, M)."""
    if reading.variant in {"dot_product", "concatenation"}:
        kernel: Any = dot_product if reading.variant == "dot_product" else partial(concatenation, w_f=w_f)
        weights, kernel_backward = kernel(theta, phi)
        count = phi.shape[1]
        factor = count / {"keys": count, "queries": theta.shape[1], "nothing": 1}[reading.divisor]
        return weights * factor, lambda dweights: kernel_backward(dweights * factor)
    logits, logits_backward = scaled_product(theta, phi, reading.scale)
    to_rows, from_rows = regroup(reading.softmax_over, logits.shape)
    rows = to_rows(logits)
    p, softmax_backward = softmax_with(reading, rows) if reading.softmax_eps else softmax(rows)

    def backward(dweights: np.ndarray) -> tuple[np.ndarray, ...]:
        (drows,) = softmax_backward(to_rows(dweights))
        return logits_backward(from_rows(drows))  # type: ignore[no-any-return]

    return from_rows(p), backward


def softmax_with(reading: Reading, rows: np.ndarray) -> tuple[np.ndarray, Backward]:
    """e / (Σ e + eps) over the last axis, and the way back that one writes for it, p (dp - Σ p dp)."""
    largest = np.max(rows, axis=-1, keepdims=True)
    e = np.exp(rows - largest if reading.softmax_shifted else rows)
    total = np.sum(e, axis=-1, keepdims=True) + reading.softmax_eps
    p = e / total

    def backward(dp: np.ndarray) -> tuple[np.ndarray]:
        dot = np.sum(p * dp, axis=-1, keepdims=True)
        shift = (rows == largest) * (-dot * reading.softmax_eps / total) if reading.shift_has_gradient else 0
        return (p * (dp - dot) + shift,)

    return p, backward


def regroup(over: str, shape: tuple[int, ...]) -> tuple[Rearrange, Rearrange]:
    """Bring what a softmax sums over to the last axis, and back; shape is (B, N, M)."""
    if over == "queries":
        return (lambda x: np.swapaxes(x, 1, 2)), (lambda x: np.swapaxes(x, 1, 2))
    if over == "pairs":
        return (lambda x: x.reshape(shape[0], 1, -1)), (lambda x: x.reshape(shape))
    if over == "batch":
        return (lambda x: np.moveaxis(x, 0, -1)), (lambda x: np.moveaxis(x, -1, 0))
    return (lambda x: x), (lambda x: x)


def read_block(
    reading: Reading, config: BlockConfig, x: np.ndarray, params: Params, *, training: bool = False
) -> tuple[np.ndarray, Backward]:
    """Eq. (6) under a reading.  x (B, C, *S) -> z; backward(dz) -> (dx, grads)."""
    if reading.adds_nothing:
        return x, lambda dz: (dz, {key: np.zeros_like(value) for key, value in params.items() if "running" not in key})
    if reading.gamma_is_one and "bn.weight" in params:
        params = params | {"bn.weight": np.ones_like(params["bn.weight"])}
    features, fold_backward = fold(x, config.domain, config.frame_group)  # (B', *S', C)
    folded = features.shape
    pooling = replace(config, subsample=reading.subsample, pool_order=reading.pool_order)
    if reading.flat_kernel is not None:
        features = features.reshape(folded[0], prod(folded[1:-1]), folded[-1])  # one axis, as if space had no rows
        pooling = BlockConfig(config.channels, dims=1, subsample=(reading.flat_kernel,), pool_order=reading.pool_order)
    (theta, phi, g), embed_backward = embed(features, params, pooling)
    y, operation_backward = read_operation(reading, theta, phi, g, params.get("w_f.weight"))
    normed = config if reading.eps is None else replace(config, eps=reading.eps)
    y_placed, y_replace = not_moved(y) if reading.not_moved == "y" else (y, same)
    w_z_y, project_backward = project(y_placed, params, normed, training=training)
    placed, replace_backward = not_moved(w_z_y) if reading.not_moved == "w_z y" else (w_z_y, same)
    added, unfold_backward = unfold(placed, x.shape, config.domain, config.frame_group)

    def backward(dz: np.ndarray) -> tuple[np.ndarray, Params]:
        (dplaced,) = unfold_backward(dz)
        dy, project_grads = project_backward(replace_backward(dplaced))
        dtheta, dphi, dg, *dw_f = operation_backward(y_replace(dy))
        dfeatures, embed_grads = embed_backward(dtheta, dphi, dg)
        (dx,) = fold_backward(dfeatures.reshape(folded))
        grads = embed_grads | project_grads
        if reading.variant == "concatenation":
            (grads["w_f.weight"],) = dw_f
        return (dz + dx if reading.residual else dx), grads

    return (added + x if reading.residual else added), backward


def not_moved(y: np.ndarray) -> tuple[np.ndarray, Rearrange]:
    """(B, N, C) taken for (B, C, N) by a reshape, and moved to (B, N, C): what was no channel is one."""
    batch, positions, channels = y.shape

    def backward(dy: np.ndarray) -> np.ndarray:
        return np.swapaxes(dy, 1, 2).reshape(y.shape)

    return np.swapaxes(y.reshape(batch, channels, positions), 1, 2), backward


def same(dy: np.ndarray) -> np.ndarray:
    """The way back of what was not done."""
    return dy
