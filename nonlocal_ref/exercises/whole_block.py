"""Exercises on the block of eq. (6), and on what it costs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.dense import dense
from nonlocal_ref.exercises.ladder import Exercise, Pair, Rung, climb, normal
from nonlocal_ref.exercises.result import Result
from nonlocal_ref.exercises.softmax_operation import (
    exponential_missing,
    nonlocal_op,
    normalisation_missing,
    scaled_logits,
)
from nonlocal_ref.ops import linear, scaled_product


def check_block(mine: Callable[..., Any]) -> Result:
    """Check ``z, backward = block(x, w_theta, w_phi, w_g, w_z)``: eq. (6), z = W_z y + x, with y of eqs. (1) and (3).

    Parameters
    ----------
    mine : callable
        x (B, N, C), w_theta, w_phi, w_g (D, C), w_z (C, D) -> z (B, N, C), without biases, norm and subsampling;
        backward(dz) -> (dx, dw_theta, dw_phi, dw_g, dw_z).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.3, eq. (6).

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_block
    >>> check_block(lambda x, w_theta, w_phi, w_g, w_z: (x, None)).hints[0].name
    'operation_missing'
    """
    return climb(BLOCK, mine)


def check_multiply_adds(mine: Callable[..., Any]) -> Result:
    """Check ``count = multiply_adds(N, M, C, D)``: what one forward pass of the block multiplies and adds.

    Parameters
    ----------
    mine : callable
        N query positions, M key positions (phi and g are pooled after the embedding, which costs nothing), C channels,
        D inner channels -> multiply-adds of theta, phi, g, both products of eq. (1), and W_z.

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.3, the bottleneck and the subsampling.

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_multiply_adds
    >>> check_multiply_adds(lambda N, M, C, D: 4 * N * C * D)
    multiply_adds: not yet. The value count is not right.
    <BLANKLINE>
    Hint: The pairs are missing: θ φᵀ takes N M D multiply-adds, and the product with g as many again.
    <BLANKLINE>
    The smallest input that shows it
        N = 1
        M = 1
        C = 2
        D = 1
        your  count = 8
        right count = 10
    """
    return climb(MULTIPLY_ADDS, mine)


def block(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """Eq. (6), forward from top to bottom, backward from bottom to top."""
    theta, theta_backward = linear(x, w_theta)
    phi, phi_backward = linear(x, w_phi)
    g, g_backward = linear(x, w_g)
    y, operation_backward = nonlocal_op(theta, phi, g)
    w_z_y, z_backward = linear(y, w_z)
    z = w_z_y + x

    def backward(dz: Array) -> tuple[Array, ...]:
        dy, dw_z = z_backward(dz)
        dtheta, dphi, dg = operation_backward(dy)
        dx_g, dw_g = g_backward(dg)
        dx_phi, dw_phi = phi_backward(dphi)
        dx_theta, dw_theta = theta_backward(dtheta)
        return dz + dx_theta + dx_phi + dx_g, dw_theta, dw_phi, dw_g, dw_z

    return z, backward


def multiply_adds(N: int, M: int, C: int, D: int) -> int:
    """Three embeddings and W_z at N positions, and two products over all pairs."""
    return 4 * N * C * D + 2 * N * M * D


# Mistakes: each is a wrong solution, its docstring the hint that is shown.


def operation_missing(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """z is x itself. Eq. (6) adds W_z y to it."""
    return x, lambda dz: (dz, *(np.zeros_like(w) for w in (w_theta, w_phi, w_g, w_z)))


def residual_missing(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """x itself is missing in the sum: z = W_z y + x."""
    z, backward = block(x, w_theta, w_phi, w_g, w_z)
    return z - x, lambda dz: (backward(dz)[0] - dz, *backward(dz)[1:])


def straight_path_missing(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """The straight path is missing in dx: x is added to W_z y, so dz itself is a part of dx."""
    z, backward = block(x, w_theta, w_phi, w_g, w_z)
    return z, lambda dz: (backward(dz)[0] - dz, *backward(dz)[1:])


def straight_path_alone(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """dx is dz alone here. x also reaches z through theta, phi and g: add what comes back from each of them."""
    z, backward = block(x, w_theta, w_phi, w_g, w_z)
    return z, lambda dz: (+dz, *backward(dz)[1:])


def one_path_missing(which: str, index: int, x: Array, *w: Array) -> Pair:
    """A block whose dx lacks what comes back through one embedding."""
    z, backward = block(x, *w)
    names = ("theta", "phi", "g")
    _, operation_backward = nonlocal_op(*(x @ w[i].T for i in range(len(names))))
    return z, lambda dz: (
        backward(dz)[0] - operation_backward(dz @ w[3])[names.index(which)] @ w[index],
        *backward(dz)[1:],
    )


def block_with(operation: Callable[..., Pair], x: Array, *w: Array) -> Pair:
    """A block with another operation in the place of eq. (1) with eq. (3)."""
    embedded = [linear(x, weight) for weight in w[:3]]
    y, operation_backward = operation(*(value for value, _ in embedded))
    w_z_y, z_backward = linear(y, w[3])

    def backward(dz: Array) -> tuple[Array, ...]:
        dy, dw_z = z_backward(dz)
        back = [way(d) for (_, way), d in zip(embedded, operation_backward(dy), strict=True)]
        return sum((dx for dx, _ in back), dz), *(dw for _, dw in back), dw_z

    return w_z_y + x, backward


def scores_scaled(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """The scores are divided by sqrt(D) here. Many codes do that; eq. (3) of the paper does not."""
    return block_with(scaled_logits, x, w_theta, w_phi, w_g, w_z)


def softmax_missing(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """There is no softmax: y = θ φᵀ g. With eq. (3) every row of exp(θ φᵀ) is divided by its sum first."""
    return block_with(partial(dense, scaled_product), x, w_theta, w_phi, w_g, w_z)


def number_of_positions_for_softmax(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """That is θ φᵀ g / N, eq. (4). Asked for is eq. (3), with a softmax over j."""
    return block_with(exponential_missing, x, w_theta, w_phi, w_g, w_z)


def sum_not_divided(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """The division by C(x) is missing: every row of exp(θ φᵀ) is divided by its sum over j."""
    return block_with(normalisation_missing, x, w_theta, w_phi, w_g, w_z)


def dy_for_dg(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """dy stands here where dg should. Between g and y are the weights: dg = weightsᵀ dy, and dw_g = dgᵀ x."""
    z, backward = block(x, w_theta, w_phi, w_g, w_z)
    dx_without_g = path_through_g_missing(x, w_theta, w_phi, w_g, w_z)[1]
    g_backward = linear(x, w_g)[1]

    def backward_with_dy(dz: Array) -> tuple[Array, ...]:
        _, dw_theta, dw_phi, _, dw_z = backward(dz)
        dx_g, dw_g = g_backward(dz @ w_z)
        return dx_without_g(dz)[0] + dx_g, dw_theta, dw_phi, dw_g, dw_z

    return z, backward_with_dy


def path_through_theta_missing(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """What comes back through theta is missing in dx. x is used four times, and each use gives a part."""
    return one_path_missing("theta", 0, x, w_theta, w_phi, w_g, w_z)


def path_through_phi_missing(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """What comes back through phi is missing in dx. x is used four times, and each use gives a part."""
    return one_path_missing("phi", 1, x, w_theta, w_phi, w_g, w_z)


def path_through_g_missing(x: Array, w_theta: Array, w_phi: Array, w_g: Array, w_z: Array) -> Pair:
    """What comes back through g is missing in dx. x is used four times, and each use gives a part."""
    return one_path_missing("g", 2, x, w_theta, w_phi, w_g, w_z)


def pairs_missing(N: int, M: int, C: int, D: int) -> int:
    """The pairs are missing: θ φᵀ takes N M D multiply-adds, and the product with g as many again."""
    return 4 * N * C * D


def one_product(N: int, M: int, C: int, D: int) -> int:
    """There are two products over all pairs, θ φᵀ and the one with g: N M D each."""
    return 4 * N * C * D + N * M * D


def softmax_counted(N: int, M: int, C: int, D: int) -> int:
    """N M too many, one for each pair. The softmax has exponentials and divisions, but no products of matrices."""
    return multiply_adds(N, M, C, D) + N * M


def pairs_with_all_channels(N: int, M: int, C: int, D: int) -> int:
    """The pairs are counted with C channels. θ, φ and g have D, so each product over the pairs takes N M D."""
    return 4 * N * C * D + 2 * N * M * C


def counted_as_two(N: int, M: int, C: int, D: int) -> int:
    """Here a multiplication and an addition count as two operations. Asked for are multiply-adds, one for both."""
    return 2 * multiply_adds(N, M, C, D)


def pooled_first(N: int, M: int, C: int, D: int) -> int:
    """phi and g are embedded at M positions here, as if x were pooled first. Pooled after, they cost N C D each."""
    return 2 * N * C * D + 2 * M * C * D + 2 * N * M * D


def all_positions_are_keys(N: int, M: int, C: int, D: int) -> int:
    """N x N pairs. After the pooling there are M keys: N M pairs."""
    return 4 * N * C * D + 2 * N * N * D


def projection_missing(N: int, M: int, C: int, D: int) -> int:
    """Three maps from C to D channels are here; W_z, back from D to C, is a fourth."""
    return 3 * N * C * D + 2 * N * M * D


def block_ladder() -> list[Rung]:
    """Two positions with one channel, with two, and a batch."""
    sizes = [(1, 2, 1, 1), (1, 2, 2, 1), (1, 3, 2, 2), (2, 4, 3, 2)]
    return [
        Rung((normal(B, N, C), *(normal(D, C, seed=k) for k in (1, 2, 3)), normal(C, D, seed=4)))
        for B, N, C, D in sizes
    ]


def count_ladder() -> list[Rung]:
    """Small numbers, then a block of the paper: res3, 4 frames of 28 x 28, pooled by (1, 2, 2)."""
    return [Rung((1, 1, 2, 1)), Rung((4, 1, 2, 1)), Rung((8, 2, 6, 3)), Rung((3136, 784, 512, 256))]


BLOCK_MISTAKES = (
    *(operation_missing, residual_missing, straight_path_missing, straight_path_alone),
    *(path_through_theta_missing, path_through_phi_missing, path_through_g_missing, dy_for_dg),
    *(scores_scaled, softmax_missing, number_of_positions_for_softmax, sum_not_divided),
)
COUNT_MISTAKES = (
    *(
        pairs_missing,
        one_product,
        softmax_counted,
        pairs_with_all_channels,
        counted_as_two,
        pooled_first,
        all_positions_are_keys,
        projection_missing,
    ),
)

BLOCK = Exercise("block", ("x", "w_theta", "w_phi", "w_g", "w_z"), "z", block, block_ladder, BLOCK_MISTAKES)
MULTIPLY_ADDS = Exercise(
    "multiply_adds", ("N", "M", "C", "D"), "count", multiply_adds, count_ladder, COUNT_MISTAKES, plain=True
)
