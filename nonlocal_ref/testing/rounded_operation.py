"""Eq. (1), forward and backward, with numbers that keep account of their rounding."""

from typing import Any

import numpy as np

from nonlocal_ref.ops import Tap, no_tap
from nonlocal_ref.pairwise import SOFTMAX_VARIANTS
from nonlocal_ref.testing.rounding import Rounded, RoundedBackward, relu, softmax


def operation(
    variant: str,
    theta: Rounded,
    phi: Rounded,
    g: Rounded,
    w_f: Rounded | None = None,
    *,
    scale: float | None = None,
    mask: np.ndarray | None = None,
    tap: Tap = no_tap,
) -> tuple[Rounded, RoundedBackward]:
    """theta (B, N, D), phi (B, M, D), g (B, M, E) -> y; backward(dy) -> dtheta, dphi, dg, dw_f for (5)."""
    f, kernel_backward = _product(theta, phi) if w_f is None else _concatenation(theta, phi, w_f)
    allowed: Any = True if mask is None else np.broadcast_to(mask, f.value.shape)
    factor: Any
    if variant in SOFTMAX_VARIANTS:
        factor = 1.0 if scale is None else scale
        logits = f.times(factor)
        tap("logits", logits)
        weights, weights_backward = softmax(logits, allowed, tap)
    else:
        count = phi.value.shape[1] if mask is None else np.maximum(allowed.sum(axis=-1, keepdims=True), 1)
        factor = allowed / count
        weights, weights_backward = f.times(factor), _unchanged
    tap("weights", weights)

    def backward(dy: Rounded) -> tuple[Rounded, ...]:
        dtheta, dphi, *dw_f = kernel_backward(weights_backward(dy.across_channels(g.mT)).times(factor))
        return dtheta, dphi, weights.mT @ dy, *dw_f

    return weights @ g, backward


def _unchanged(dweights: Rounded) -> Rounded:
    return dweights


def _product(theta: Rounded, phi: Rounded) -> tuple[Rounded, RoundedBackward]:
    return theta.across_channels(phi.mT), lambda df: (df @ phi, df.mT @ theta)


def _concatenation(theta: Rounded, phi: Rounded, w_f: Rounded) -> tuple[Rounded, RoundedBackward]:
    depth = theta.value.shape[-1]
    w_theta, w_phi = w_f.move(lambda w: w[None, :depth]), w_f.move(lambda w: w[None, depth:])
    a, b = theta.across_channels(w_theta.mT), phi.across_channels(w_phi.mT)  # (B, N, 1), (B, M, 1)
    f, relu_backward = relu(a + b.mT)

    def backward(df: Rounded) -> tuple[Rounded, ...]:
        dsum = relu_backward(df)
        da, db = dsum.sum(2, keepdims=True), dsum.sum(1, keepdims=True).mT
        halves = [da.rows.mT @ theta.rows, db.rows.mT @ phi.rows]
        dw_f = Rounded(*(np.concatenate(parts, axis=1)[0] for parts in zip(*map(_parts, halves), strict=True)))
        return da @ w_theta, db @ w_phi, dw_f

    return f, backward


def _parts(x: Rounded) -> tuple[np.ndarray, np.ndarray]:
    return x.value, x.magnitude
