"""The small pieces every equation is built from: each returns its value and the way back.

    y, backward = op(*arrays)
    dx, dw, ... = backward(dy)

``backward`` is the vector-Jacobian product of the function it stands in: one gradient per array argument, in argument
order.  It is pure: call it twice and get the same.  Letters: B batch, N query positions, M key positions, C channels.
"""

from collections.abc import Callable
from typing import Any

from nonlocal_ref.backend import Array, array_namespace, device

Backward = Callable[..., Any]
Operation = Callable[..., tuple[Array, Backward]]  # each function of this file is one
Tap = Callable[[str, Any], None]
ROWS_A_SUM = 64  # rows that are added one after the other
LARGE = 64 * 64  # numbers in a product of matrices that a BLAS adds up in blocks


def no_tap(name: str, array: Array) -> None:
    """A tap that looks at nothing."""


def identity(x: Array) -> tuple[Array, Backward]:
    """y = x.  x any shape -> y the same.  Keeps: nothing."""

    def backward(dy: Array) -> tuple[Array]:
        return (dy,)

    return x, backward


def linear(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Backward]:
    """y = W x + b at every position, a convolution of kernel 1.

    x (..., C), weight (D, C), bias (D,) -> y (..., D).  Keeps: x, weight.
    """
    xp = array_namespace(x, weight)
    product = x @ xp.matrix_transpose(weight)
    y = product if bias is None else product + bias

    def backward(dy: Array) -> tuple[Array, ...]:
        dx = dy @ weight
        dy_rows = xp.reshape(dy, (-1, weight.shape[0]))  # a weight used at every position sums over all of them
        x_rows = xp.reshape(x, (-1, weight.shape[1]))
        dweight = product_over_rows(dy_rows, x_rows)
        return (dx, dweight) if bias is None else (dx, dweight, sum_over_rows(dy_rows))

    return y, backward


def matmul(a: Array, b: Array) -> tuple[Array, Backward]:
    """y = a b, batch by batch.  a (B, N, M), b (B, M, E) -> y (B, N, E).  Keeps: a, b."""
    xp = array_namespace(a, b)

    def backward(dy: Array) -> tuple[Array, Array]:
        return dy @ xp.matrix_transpose(b), xp.matrix_transpose(a) @ dy

    return a @ b, backward


def scaled_product(theta: Array, phi: Array, scale: float | None = None) -> tuple[Array, Backward]:
    """s_ij = scale θ_i · φ_j, every pair.  theta (B, N, D), phi (B, M, D) -> s (B, N, M).  Keeps: scale θ, phi."""
    xp = array_namespace(theta, phi)
    scaled_theta = theta if scale is None else theta * scale  # D numbers a row, not M

    def backward(ds: Array) -> tuple[Array, Array]:
        dscaled_theta = ds @ phi
        dphi = xp.matrix_transpose(ds) @ scaled_theta
        return dscaled_theta if scale is None else dscaled_theta * scale, dphi

    return scaled_theta @ xp.matrix_transpose(phi), backward


def softmax(scores: Array, mask: Array | None = None, tap: Tap = no_tap) -> tuple[Array, Backward]:
    """Softmax over the last axis, the f / C(x) of eqs. (2) and (3).

    scores (B, N, M), mask broadcastable to it (False = not a candidate) -> p (B, N, M), rows sum to one, or to zero
    where nothing is allowed.  Keeps: p.
    """
    xp = array_namespace(scores)

    def unless_row_is_empty(row: Array, otherwise: float) -> Array:
        """A number a row; ``otherwise`` where the mask allows nothing: the maximum is -inf there, the sum 0."""
        if mask is None:
            return row
        has_candidate = xp.any(xp.broadcast_to(mask, scores.shape), axis=-1, keepdims=True)
        return xp.where(has_candidate, row, constant(otherwise, row))

    logits = scores if mask is None else xp.where(mask, scores, constant(-xp.inf, scores))
    row_max = unless_row_is_empty(xp.max(xp.real(logits), axis=-1, keepdims=True), 0)
    e = xp.exp(logits - row_max)  # the shift cancels; exp cannot overflow
    row_sum = unless_row_is_empty(xp.sum(e, axis=-1, keepdims=True), 1)
    p = e / row_sum if mask is None else xp.where(mask, e / row_sum, constant(0, e))  # 0 even where the row holds NaN
    for name, array in (("logits", logits), ("max", row_max), ("exp", e), ("sum", row_sum)):
        tap(name, array)

    def backward(dp: Array) -> tuple[Array]:
        dot = xp.sum(dp * p, axis=-1, keepdims=True)
        return (p * (dp - dot),)  # (diag(p) - p pᵀ) dp, row by row; a masked pair has p = 0

    return p, backward


def relu(x: Array) -> tuple[Array, Backward]:
    """max(x, 0), with derivative 0 at 0.  x any shape -> y the same.  Keeps: x."""
    xp = array_namespace(x)
    zero = constant(0, x)

    def backward(dy: Array) -> tuple[Array]:
        return (xp.where(xp.real(x) <= 0, zero, dy),)

    return xp.where(xp.real(x) <= 0, zero, x), backward  # unlike maximum, this carries complex numbers and NaN through


def mean_over_allowed(f: Array, mask: Array | None = None) -> tuple[Array, Backward]:
    """f_ij / C(x), C(x) the number of positions j that i may look at: the normalisation of eqs. (4) and (5).

    f (B, N, M), mask broadcastable to it -> weights (B, N, M).  Keeps: the counts (B, N, 1), mask.
    """
    xp = array_namespace(f)
    if mask is None:
        count: Any = f.shape[-1]
    else:
        pairs = xp.astype(xp.broadcast_to(mask, f.shape), xp.real(f).dtype)
        allowed = xp.sum(pairs, axis=-1, keepdims=True)
        count = xp.where(allowed > 0, allowed, constant(1, allowed))  # nothing allowed: zeros, not 0 / 0

    def normalise(values: Array) -> Array:
        kept = values if mask is None else xp.where(mask, values, constant(0, values))
        return kept / count

    def backward(dweights: Array) -> tuple[Array]:
        return (normalise(dweights),)  # linear and symmetric: the way back is the way forth

    return normalise(f), backward


def sum_over_rows(x: Array) -> Array:
    """Σ_r x_r.  x (..., R, C) -> (..., C).

    Blocks of 64 rows first, then the blocks in the same way: added one after the other, as NumPy does along every axis
    but the last, a hundred thousand rows would cost two digits.
    """
    xp = array_namespace(x)
    while x.shape[-2] > ROWS_A_SUM:
        *lead, rows, width = x.shape
        whole = rows // ROWS_A_SUM * ROWS_A_SUM
        blocks = xp.sum(xp.reshape(x[..., :whole, :], (*lead, rows // ROWS_A_SUM, ROWS_A_SUM, width)), axis=-2)
        x = xp.concat([blocks, x[..., whole:, :]], axis=-2)
    return xp.sum(x, axis=-2)


def product_over_rows(a: Array, b: Array) -> Array:
    """aᵀ b = Σ_r a_r b_rᵀ.  a (..., R, D), b (..., R, E) -> (..., D, E).

    A BLAS adds up a large result in blocks of its own, but a small one row after the other; that goes in blocks here.
    """
    xp = array_namespace(a, b)
    *lead, rows, depth = a.shape
    width, count = b.shape[-1], rows // ROWS_A_SUM
    if depth * width >= LARGE or count < 2:
        return xp.matrix_transpose(a) @ b
    a_blocks, b_blocks = (
        xp.reshape(x[..., : count * ROWS_A_SUM, :], (*lead, count, ROWS_A_SUM, x.shape[-1])) for x in (a, b)
    )
    products = xp.matrix_transpose(a_blocks) @ b_blocks
    total = sum_over_rows(xp.reshape(products, (*lead, count, depth * width)))
    rest = xp.matrix_transpose(a[..., count * ROWS_A_SUM :, :]) @ b[..., count * ROWS_A_SUM :, :]
    return xp.reshape(total, (*lead, depth, width)) + rest


def constant(value: float, x: Array) -> Array:
    """One number as an array of no axes, with the namespace, dtype and device of ``x``."""
    return array_namespace(x).full((), value, dtype=x.dtype, device=device(x))
