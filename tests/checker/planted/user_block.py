"""Mistakes in a block as a user writes it: z = x + softmax((x wq) (x wk)ᵀ) (x wv) wz + b, x (B, N, C)."""

import numpy as np

from tests.checker.planted.attention import head_backward, head_forward
from tests.checker.planted.row import Family, arguments


def block_forward(x, theta, phi, g, w_z, b_z):
    y, head_cache = head_forward(x @ theta, x @ phi, x @ g)
    return x + y @ w_z + b_z, (x, theta, phi, g, w_z, y, head_cache)


def paths(dz, cache):
    """The three gradients inside, and that of w_z."""
    _, _, _, _, w_z, y, head_cache = cache
    return *head_backward(dz @ w_z.T, head_cache), over_positions(y, dz)


def over_positions(x, dy):
    return np.einsum("bnc,bnd->cd", x, dy)


def block_backward(dz, cache):
    x, theta, phi, g, *_ = cache
    dq, dk, dv, dw_z = paths(dz, cache)
    dx = dz + dq @ theta.T + dk @ phi.T + dv @ g.T
    return dx, *(over_positions(x, d) for d in (dq, dk, dv)), dw_z, dz.sum(axis=(0, 1))


def residual_path_missing(dz, cache):
    _, theta, phi, g, *_ = cache
    _, *weights = block_backward(dz, cache)
    dq, dk, dv, _ = paths(dz, cache)
    return dq @ theta.T + dk @ phi.T + dv @ g.T, *weights


def theta_path_missing(dz, cache):
    _, _, phi, g, *_ = cache
    _, *weights = block_backward(dz, cache)
    _, dk, dv, _ = paths(dz, cache)
    return dz + dk @ phi.T + dv @ g.T, *weights


def theta_weight_gets_that_of_phi(dz, cache):
    dx, _, dphi, *others = block_backward(dz, cache)
    return dx, dphi, dphi, *others


def bias_of_the_first_position_only(dz, cache):
    *others, _ = block_backward(dz, cache)
    return *others, dz.sum(axis=0)[0]


BLOCK = Family(
    block_forward,
    block_backward,
    arguments(x=(2, 5, 4), theta=(4, 3), phi=(4, 3), g=(4, 3), w_z=(3, 4), b_z=(4,)),
)

MISTAKES = (
    BLOCK.mistake(residual_path_missing, "x", "missing_term"),
    BLOCK.mistake(theta_path_missing, "x", "missing_term"),
    BLOCK.mistake(theta_weight_gets_that_of_phi, "theta", "another_argument"),
    BLOCK.mistake(bias_of_the_first_position_only, "b_z", "missing_sum"),
)
