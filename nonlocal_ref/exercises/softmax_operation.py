"""Exercises on eqs. (2) and (3), weights that are a softmax, and on eq. (1) with them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.dense import dense
from nonlocal_ref.exercises.ladder import Exercise, Pair, Rung, climb, normal
from nonlocal_ref.exercises.result import Result
from nonlocal_ref.ops import matmul, scaled_product
from nonlocal_ref.pairwise import dot_product, gaussian


def check_gaussian(mine: Callable[..., Any]) -> Result:
    """Check ``weights, backward = gaussian(theta, phi)``: eq. (2), softmax_j(θ_i · φ_j).

    Parameters
    ----------
    mine : callable
        theta (B, N, D), phi (B, M, D) -> weights (B, N, M); backward(dweights) -> (dtheta, dphi).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.2, eq. (2).

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_gaussian
    >>> from nonlocal_ref.pairwise import gaussian
    >>> bool(check_gaussian(gaussian))
    True
    """
    return climb(GAUSSIAN, mine)


def check_nonlocal(mine: Callable[..., Any]) -> Result:
    """Check ``y, backward = nonlocal_op(theta, phi, g)``: eq. (1) with eq. (3), y = softmax(θ φᵀ) g.

    Parameters
    ----------
    mine : callable
        theta (B, N, D), phi (B, M, D), g (B, M, E) -> y (B, N, E); backward(dy) -> (dtheta, dphi, dg).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, sections 3.1 and 3.2, eqs. (1) and (3).

    Examples
    --------
    >>> from functools import partial
    >>> import nonlocal_ref as nl
    >>> from nonlocal_ref.exercises import check_nonlocal
    >>> bool(check_nonlocal(partial(nl.nonlocal_op, "embedded_gaussian")))
    True
    """
    return climb(NONLOCAL, mine)


def nonlocal_op(theta: Array, phi: Array, g: Array) -> Pair:
    """Eq. (1) with eq. (2) or (3), dense."""
    return dense(gaussian, theta, phi, g)


# Mistakes: each is a wrong solution, its docstring the hint that is shown.


def not_normalised(theta: Array, phi: Array) -> Pair:
    """That is f = exp(θ_i · φ_j). Divide by C(x), the sum of f over j, so that every row sums to one."""
    s, backward = scaled_product(theta, phi)
    f = np.exp(s)
    return f, lambda df: backward(df * f)


def columns_normalised(theta: Array, phi: Array) -> Pair:
    """Columns sum to one here. C(x) of row i is a sum over j, the last axis."""
    transposed, backward = gaussian(phi, theta)
    return np.matrix_transpose(transposed), lambda dw: backward(np.matrix_transpose(dw))[::-1]


def scaled(theta: Array, phi: Array) -> Pair:
    """The logits are divided by sqrt(D) here. Many codes do that; eqs. (2) and (3) of the paper do not."""
    return gaussian(theta, phi, scale=theta.shape[-1] ** -0.5)


def jacobian_missing(theta: Array, phi: Array) -> Pair:
    """That is the gradient of a product: the softmax's Jacobian is missing.

    Between dweights and the product lies dlogits = weights * (dweights - Σ_k weights_k dweights_k), row by row.
    """
    weights, _ = gaussian(theta, phi)
    _, backward = scaled_product(theta, phi)
    return weights, lambda dweights: backward(weights * dweights)


def softmax_skipped(theta: Array, phi: Array) -> Pair:
    """The softmax is skipped on the way back: dweights goes straight into the product. First make dlogits from it."""
    return gaussian(theta, phi)[0], scaled_product(theta, phi)[1]


def dot_over_columns(theta: Array, phi: Array) -> Pair:
    """The sum Σ weights dweights runs over queries here. It belongs to a row: sum over j, the last axis."""
    weights, _ = gaussian(theta, phi)
    _, backward = scaled_product(theta, phi)
    return weights, lambda dw: backward(weights * (dw - np.sum(weights * dw, axis=-2, keepdims=True)))


def logits_not_transposed(theta: Array, phi: Array) -> Pair:
    """That is dphi = dlogits θ. Key j collects from all queries i, a sum over the first index: dlogitsᵀ θ."""
    weights, backward = gaussian(theta, phi)

    def backward_without_transpose(dweights: Array) -> tuple[Array, Array]:
        dlogits = weights * (dweights - np.sum(weights * dweights, axis=-1, keepdims=True))
        return backward(dweights)[0], dlogits @ theta

    return weights, backward_without_transpose


def normalisation_missing(theta: Array, phi: Array, g: Array) -> Pair:
    """The division by C(x) is missing: every row of f is divided by its sum over j."""
    return dense(not_normalised, theta, phi, g)


def exponential_missing(theta: Array, phi: Array, g: Array) -> Pair:
    """That is θ φᵀ g / M, eq. (4). Eq. (3) has a softmax over j."""
    return dense(dot_product, theta, phi, g)


def summed_over_queries(theta: Array, phi: Array, g: Array) -> Pair:
    """That is weightsᵀ g. Row i of the weights belongs to query i: y = weights g."""
    weights, kernel_backward = gaussian(theta, phi)
    y, matmul_backward = matmul(np.matrix_transpose(weights), g)

    def backward(dy: Array) -> tuple[Array, ...]:
        dtransposed, dg = matmul_backward(dy)
        return *kernel_backward(np.matrix_transpose(dtransposed)), dg

    return y, backward


def scaled_logits(theta: Array, phi: Array, g: Array) -> Pair:
    """The logits are divided by sqrt(D) here. Many codes do that; eq. (3) of the paper does not."""
    return dense(scaled, theta, phi, g)


def sum_of_dy(theta: Array, phi: Array, g: Array) -> Pair:
    """What is subtracted is the sum of dy. It must be the sum of dy y: Σ_k weights_k dweights_k = dy_i · y_i."""
    weights, _ = gaussian(theta, phi)
    y, matmul_backward = matmul(weights, g)
    _, product_backward = scaled_product(theta, phi)

    def backward(dy: Array) -> tuple[Array, ...]:
        dweights, dg = matmul_backward(dy)
        return *product_backward(weights * (dweights - np.sum(dy, axis=-1, keepdims=True))), dg

    return y, backward


def softmax_jacobian_missing(theta: Array, phi: Array, g: Array) -> Pair:
    """The softmax's Jacobian is missing: dlogits = weights * (dweights - Σ_k weights_k dweights_k), row by row."""
    return dense(jacobian_missing, theta, phi, g)


def keys_not_collected(theta: Array, phi: Array, g: Array) -> Pair:
    """That is dphi = dlogits θ. Key j collects from all queries i, a sum over the first index: dlogitsᵀ θ."""
    return dense(logits_not_transposed, theta, phi, g)


def weights_not_transposed(theta: Array, phi: Array, g: Array) -> Pair:
    """That is dg = weights dy. Key j collects from all queries that looked at it: weightsᵀ dy."""
    y, backward = nonlocal_op(theta, phi, g)
    return y, lambda dy: (*backward(dy)[:2], gaussian(theta, phi)[0] @ dy)


def pairs_ladder() -> list[Rung]:
    """As many queries as keys first, then one query, more keys, more queries in a batch."""
    shapes = [((1, 2, 1), (1, 2, 1)), ((1, 1, 2), (1, 2, 2)), ((1, 2, 3), (1, 3, 3)), ((2, 5, 3), (2, 4, 3))]
    return [Rung((normal(*t), normal(*p, seed=1))) for t, p in shapes]


def nonlocal_ladder() -> list[Rung]:
    """As many queries as keys first, then all sizes different, a batch."""
    sizes = [(1, 2, 2, 1, 1), (1, 2, 2, 2, 2), (1, 2, 3, 2, 1), (2, 5, 4, 3, 2)]
    return [Rung((normal(B, N, D), normal(B, M, D, seed=1), normal(B, M, E, seed=2))) for B, N, M, D, E in sizes]


GAUSSIAN_MISTAKES = (
    *(not_normalised, columns_normalised, scaled),
    *(jacobian_missing, softmax_skipped, dot_over_columns, logits_not_transposed),
)
NONLOCAL_MISTAKES = (
    *(normalisation_missing, exponential_missing, scaled_logits, summed_over_queries),
    *(softmax_jacobian_missing, sum_of_dy, keys_not_collected, weights_not_transposed),
)

GAUSSIAN = Exercise("gaussian", ("theta", "phi"), "weights", gaussian, pairs_ladder, GAUSSIAN_MISTAKES)
NONLOCAL = Exercise("nonlocal_op", ("theta", "phi", "g"), "y", nonlocal_op, nonlocal_ladder, NONLOCAL_MISTAKES)
