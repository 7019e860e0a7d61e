"""Exercises on eqs. (4) and (5), where C(x) is a number of positions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.exercises.ladder import Exercise, Pair, Rung, climb, normal
from nonlocal_ref.exercises.result import Result
from nonlocal_ref.exercises.softmax_operation import pairs_ladder
from nonlocal_ref.ops import scaled_product
from nonlocal_ref.pairwise import concatenation, dot_product


def check_dot_product(mine: Callable[..., Any]) -> Result:
    """Check ``weights, backward = dot_product(theta, phi)``: eq. (4), θ_i · φ_j / M.

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
    arXiv 1711.07971, section 3.2, eq. (4).

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_dot_product
    >>> from nonlocal_ref.pairwise import dot_product, gaussian
    >>> bool(check_dot_product(dot_product)), bool(check_dot_product(gaussian))
    (True, False)
    """
    return climb(DOT_PRODUCT, mine)


def check_concatenation(mine: Callable[..., Any]) -> Result:
    """Check ``weights, backward = concatenation(theta, phi, w_f)``: eq. (5), ReLU(w_f · [θ_i, φ_j]) / M.

    Parameters
    ----------
    mine : callable
        theta (B, N, D), phi (B, M, D), w_f (2D,) with the half for theta first -> weights (B, N, M);
        backward(dweights) -> (dtheta, dphi, dw_f).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.2, eq. (5).

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_concatenation
    >>> from nonlocal_ref.pairwise import concatenation
    >>> bool(check_concatenation(concatenation))
    True
    """
    return climb(CONCATENATION, mine)


# Mistakes: each is a wrong solution, its docstring the hint that is shown.


def not_divided(theta: Array, phi: Array) -> Pair:
    """That is f = θ_i · φ_j. Divide by C(x) = M, the number of keys."""
    return scaled_product(theta, phi)


def divided_by_queries(theta: Array, phi: Array) -> Pair:
    """Divided by N, the number of queries. Summed is over the keys: divide by M."""
    return scaled_product(theta, phi, 1 / theta.shape[1])


def count_forgotten_on_the_way_back(theta: Array, phi: Array) -> Pair:
    """The division by M is missing on the way back. weights = f / M, so df = dweights / M."""
    return dot_product(theta, phi)[0], scaled_product(theta, phi)[1]


def product_not_transposed(theta: Array, phi: Array) -> Pair:
    """That is dphi = df θ. Key j collects from all queries i, a sum over the first index: dfᵀ θ."""
    weights, backward = dot_product(theta, phi)
    return weights, lambda dw: (backward(dw)[0], dw @ theta / phi.shape[1])


def treated_as_softmax(theta: Array, phi: Array) -> Pair:
    """That is the Jacobian of a softmax. Eq. (4) has none: C(x) = M is a number and has no gradient."""
    weights, _ = dot_product(theta, phi)
    _, backward = scaled_product(theta, phi)
    return weights, lambda dw: backward(weights * (dw - np.sum(weights * dw, axis=-1, keepdims=True)))


def relu_missing(theta: Array, phi: Array, w_f: Array) -> Pair:
    """The ReLU is missing: no weight of eq. (5) is negative."""
    return without_relu(theta, phi, w_f)


def halves_exchanged(theta: Array, phi: Array, w_f: Array) -> Pair:
    """The halves of w_f are exchanged. [θ_i, φ_j] has θ first: w_f[:D] belongs to θ, w_f[D:] to φ."""
    depth = theta.shape[-1]
    weights, backward = concatenation(theta, phi, np.concat([w_f[depth:], w_f[:depth]]))

    def backward_exchanged(dw: Array) -> tuple[Array, Array, Array]:
        dtheta, dphi, dw_f = backward(dw)
        return dtheta, dphi, np.concat([dw_f[depth:], dw_f[:depth]])

    return weights, backward_exchanged


def sums_not_divided(theta: Array, phi: Array, w_f: Array) -> Pair:
    """That is f = ReLU(a_i + b_j). Divide by C(x) = M, the number of keys."""
    weights, backward = concatenation(theta, phi, w_f)
    return weights * phi.shape[1], lambda dw: backward(dw * phi.shape[1])


def relu_passes_everything(theta: Array, phi: Array, w_f: Array) -> Pair:
    """The ReLU is ignored on the way back. Pairs with a_i + b_j <= 0 pass nothing."""
    return concatenation(theta, phi, w_f)[0], without_relu(theta, phi, w_f)[1]


def division_forgotten_on_the_way_back(theta: Array, phi: Array, w_f: Array) -> Pair:
    """The division by M is missing on the way back. weights = f / M, so df = dweights / M."""
    weights, backward = concatenation(theta, phi, w_f)
    return weights, lambda dw: backward(dw * phi.shape[1])


def rows_and_columns_exchanged(theta: Array, phi: Array, w_f: Array) -> Pair:
    """Rows and columns are exchanged. a_i stands in the whole row i, so da sums over j; db sums over i."""
    weights, _ = concatenation(theta, phi, w_f)
    return weights, lambda dw: backward_of_sums(theta, phi, w_f, dw * (weights > 0) / phi.shape[1], (1, 2))


def without_relu(theta: Array, phi: Array, w_f: Array) -> Pair:
    """(a_i + b_j) / M, and its way back."""
    depth, count = theta.shape[-1], phi.shape[1]
    a, b = theta @ w_f[:depth], phi @ w_f[depth:]
    sums = a[:, :, None] + b[:, None, :]
    return sums / count, lambda dw: backward_of_sums(theta, phi, w_f, dw / count, (2, 1))


def backward_of_sums(theta: Array, phi: Array, w_f: Array, dsum: Array, axes: tuple[int, int]) -> tuple[Array, ...]:
    """From the gradient of a_i + b_j to those of theta, phi, w_f; da and db are sums over ``axes``."""
    depth = theta.shape[-1]
    da, db = (np.sum(dsum, axis=axis)[:, :, None] for axis in axes)
    dw_f = np.concat([np.sum(da * theta, axis=(0, 1)), np.sum(db * phi, axis=(0, 1))])
    return da * w_f[:depth], db * w_f[depth:], dw_f


def concatenation_ladder() -> list[Rung]:
    """The same with w_f, then a pair whose sum is exactly zero."""
    rungs = [Rung((*rung.args, normal(2 * rung.args[0].shape[-1], seed=6))) for rung in pairs_ladder()]
    tie = (np.asarray([[[1.0]]]), np.asarray([[[-1.0], [0.5]]]), np.ones(2))
    return [*rungs, Rung(tie, "a + b is exactly 0 for one pair", smooth=False)]


DOT_PRODUCT_MISTAKES = (
    *(not_divided, divided_by_queries, count_forgotten_on_the_way_back),
    *(product_not_transposed, treated_as_softmax),
)
CONCATENATION_MISTAKES = (
    *(relu_missing, halves_exchanged, sums_not_divided),
    *(relu_passes_everything, division_forgotten_on_the_way_back, rows_and_columns_exchanged),
)

DOT_PRODUCT = Exercise("dot_product", ("theta", "phi"), "weights", dot_product, pairs_ladder, DOT_PRODUCT_MISTAKES)
CONCATENATION = Exercise(
    *("concatenation", ("theta", "phi", "w_f"), "weights", concatenation, concatenation_ladder, CONCATENATION_MISTAKES)
)
