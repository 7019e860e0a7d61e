"""Exercises on what is linear: a matrix at every position, a product, the product of all pairs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.exercises.ladder import Exercise, Pair, Rung, climb, normal
from nonlocal_ref.exercises.result import Result
from nonlocal_ref.ops import linear, matmul, scaled_product


def check_linear(mine: Callable[..., Any]) -> Result:
    """Check ``y, backward = linear(x, weight, bias)``: y = x weightᵀ + bias at every position.

    Parameters
    ----------
    mine : callable
        x (B, N, C), weight (D, C), bias (D,) -> y (B, N, D); backward(dy) -> (dx, dweight, dbias).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, sections 3.2 and 3.3: θ, φ, g and W_z, 1 x 1 convolutions.

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_linear
    >>> from nonlocal_ref.ops import linear
    >>> bool(check_linear(linear))
    True
    """
    return climb(LINEAR, mine)


def check_matmul(mine: Callable[..., Any]) -> Result:
    """Check ``y, backward = matmul(a, b)``: y = a b, batch by batch.

    Parameters
    ----------
    mine : callable
        a (B, N, M), b (B, M, E) -> y (B, N, E); backward(dy) -> (da, db).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.1, eq. (1), once f / C(x) is there.

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_matmul
    >>> result = check_matmul(lambda a, b: (a @ b, lambda dy: (dy @ b, a @ dy)))  # no transpose
    >>> [hint.name for hint in result.hints]
    ['second_factor_not_transposed', 'first_factor_not_transposed']
    """
    return climb(MATMUL, mine)


def check_scaled_product(mine: Callable[..., Any]) -> Result:
    """Check ``s, backward = scaled_product(theta, phi, scale)``: s_ij = scale θ_i · φ_j, every pair.

    Parameters
    ----------
    mine : callable
        theta (B, N, D), phi (B, M, D), scale a number -> s (B, N, M); backward(ds) -> (dtheta, dphi).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.2, eqs. (2) to (4); the scale is from Vaswani et al. 2017, arXiv 1706.03762,
    section 3.2.1.

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_scaled_product
    >>> from nonlocal_ref.ops import scaled_product
    >>> bool(check_scaled_product(scaled_product))
    True
    """
    return climb(SCALED_PRODUCT, mine)


# Mistakes: each is a wrong solution, its docstring the hint that is shown.


def bias_missing(x: Array, weight: Array, bias: Array) -> Pair:
    """The bias is not added."""
    y, backward = linear(x, weight, bias)
    return y - bias, backward


def weight_transposed(x: Array, weight: Array, bias: Array) -> Pair:
    """That is x weight. Weights are stored (out, in), so y = x weightᵀ, and on the way back dx = dy weight."""
    _, backward = linear(x, weight, bias)
    return x @ weight + bias, lambda dy: (dy @ weight.T, *backward(dy)[1:])


def mean_over_positions(x: Array, weight: Array, bias: Array) -> Pair:
    """That is a mean over positions. A weight (and a bias) used at every position gets the sum, with no division."""
    y, backward = linear(x, weight, bias)
    count = x.shape[0] * x.shape[1]

    def backward_of_a_mean(dy: Array) -> tuple[Array, ...]:
        dx, dweight, dbias = backward(dy)
        return dx, dweight / count, dbias / count

    return y, backward_of_a_mean


def first_example_only(x: Array, weight: Array, bias: Array) -> Pair:
    """Only the first example of the batch counts here. The weights are shared by all: sum over the batch as well."""
    y, backward = linear(x, weight, bias)

    def backward_of_one(dy: Array) -> tuple[Array, ...]:
        return backward(dy)[0], dy[0].T @ x[0], np.sum(dy[0], axis=0)

    return y, backward_of_one


def first_factor_not_transposed(a: Array, b: Array) -> Pair:
    """That is db = a dy. The other factor goes to the other side, transposed: db = aᵀ dy."""
    return a @ b, lambda dy: (dy @ np.matrix_transpose(b), a @ dy)


def second_factor_not_transposed(a: Array, b: Array) -> Pair:
    """That is da = dy b. The other factor goes to the other side, transposed: da = dy bᵀ."""
    return a @ b, lambda dy: (dy @ b, np.matrix_transpose(a) @ dy)


def sides_exchanged(a: Array, b: Array) -> Pair:
    """The factors stand on the wrong sides. From y = a b comes da = dy bᵀ: dy stands where y stood."""
    a_t, b_t = np.matrix_transpose(a), np.matrix_transpose(b)
    return a @ b, lambda dy: (b_t @ dy, dy @ a_t)


def scale_not_in_the_value(theta: Array, phi: Array, scale: float) -> Pair:
    """The scale is missing in s."""
    return scaled_product(theta, phi)[0], scaled_product(theta, phi, scale)[1]


def scale_not_on_the_way_back(theta: Array, phi: Array, scale: float) -> Pair:
    """The scale is missing on the way back. s = scale θ φᵀ is three factors; each gradient has the other two."""
    return scaled_product(theta, phi, scale)[0], scaled_product(theta, phi)[1]


def scores_not_transposed(theta: Array, phi: Array, scale: float) -> Pair:
    """That is dphi = scale ds θ. Key j collects from all queries i, a sum over the first index: scale dsᵀ θ."""
    s, backward = scaled_product(theta, phi, scale)
    return s, lambda ds: (backward(ds)[0], scale * ds @ theta)


def linear_ladder() -> list[Rung]:
    """One position, a square weight, many positions, a batch."""
    shapes = [((1, 1, 1), (1, 1)), ((1, 1, 2), (2, 2)), ((1, 3, 2), (2, 2)), ((1, 3, 2), (4, 2)), ((2, 3, 4), (5, 4))]
    return [Rung((normal(*x), normal(*weight, seed=1), normal(weight[0], seed=2))) for x, weight in shapes]


def matmul_ladder() -> list[Rung]:
    """One number, one square, then every size different."""
    shapes = [((1, 1, 1), (1, 1, 1)), ((1, 2, 2), (1, 2, 2)), ((1, 2, 3), (1, 3, 4)), ((2, 3, 4), (2, 4, 5))]
    return [Rung((normal(*a), normal(*b, seed=1))) for a, b in shapes]


def scaled_product_ladder() -> list[Rung]:
    """As many queries as keys first, then different numbers; the scale is D ** -0.5."""
    shapes = [((1, 1, 2), (1, 1, 2)), ((1, 2, 2), (1, 2, 2)), ((1, 2, 8), (1, 3, 8)), ((2, 3, 5), (2, 4, 5))]
    return [Rung((normal(*t), normal(*p, seed=1), t[-1] ** -0.5)) for t, p in shapes]


LINEAR_MISTAKES = (bias_missing, weight_transposed, mean_over_positions, first_example_only)
MATMUL_MISTAKES = (first_factor_not_transposed, second_factor_not_transposed, sides_exchanged)
SCALED_MISTAKES = (scale_not_in_the_value, scale_not_on_the_way_back, scores_not_transposed)

LINEAR = Exercise("linear", ("x", "weight", "bias"), "y", linear, linear_ladder, LINEAR_MISTAKES)
MATMUL = Exercise("matmul", ("a", "b"), "y", matmul, matmul_ladder, MATMUL_MISTAKES)
SCALED_PRODUCT = Exercise(
    "scaled_product", ("theta", "phi", "scale"), "s", scaled_product, scaled_product_ladder, SCALED_MISTAKES, ("scale",)
)
