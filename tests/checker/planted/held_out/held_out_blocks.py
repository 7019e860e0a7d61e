"""Mistakes in a user's block, and in pieces of ours."""

import numpy as np

from tests.checker.planted.our_block import (
    BEFORE_NORM,
    CONFIG,
    DRAW,
    evaluation_block,
    training_block,
    with_outside,
    with_piece,
)
from tests.checker.planted.row import planted
from tests.checker.planted.user_block import BLOCK, block_backward, paths


def g_path_missing(dz, cache):
    _, theta, phi, *_ = cache
    _, *weights = block_backward(dz, cache)
    dq, dk, _, _ = paths(dz, cache)
    return dz + dq @ theta.T + dk @ phi.T, *weights


def w_z_never_filled_in(dz, cache):
    *others, dw_z, db_z = block_backward(dz, cache)
    return *others, np.zeros_like(dw_z), db_z


def g_weight_gets_that_of_theta(dz, cache):
    dx, dtheta, dphi, _, *others = block_backward(dz, cache)
    return dx, dtheta, dphi, dtheta, *others


@with_piece(training_block, "standardise")
def block_mean_taken_as_a_constant(right, dx_hat, x, *_):
    (dx,) = right(dx_hat)
    return (dx + dx_hat.mean(axis=(0, 1)) / np.sqrt(x.var(axis=(0, 1)) + CONFIG.eps),)


@with_piece(evaluation_block, "max_pool")
def pooling_gives_the_last_cell_the_gradient(right, dy, x, kernel):
    if kernel is None:
        return right(dy)
    dx = np.zeros_like(x)
    dx[:, 1::2] = dy
    return (dx,)


@with_outside(evaluation_block)
def block_bias_of_w_z_negated(dx, grads, dz):
    return dx, grads | {"w_z.bias": -grads["w_z.bias"]}


@with_outside(evaluation_block)
def beta_of_the_first_batch_element(dx, grads, dz):
    return dx, grads | {"bn.bias": dz[0].sum(axis=1)}


@with_outside(evaluation_block)
def weight_of_g_reshaped_where_transposed(dx, grads, dz):
    dg = grads["g.weight"]
    return dx, grads | {"g.weight": dg.T.reshape(dg.shape)}


MISTAKES = (
    BLOCK.mistake(g_path_missing, "x", "missing_term"),
    BLOCK.mistake(w_z_never_filled_in, "w_z", "zero_gradient"),
    BLOCK.mistake(g_weight_gets_that_of_theta, "g", "another_argument"),
    planted(block_mean_taken_as_a_constant, training_block, DRAW, BEFORE_NORM, "missing_term"),
    planted(
        pooling_gives_the_last_cell_the_gradient,
        evaluation_block,
        DRAW,
        "x params.phi.weight params.g.weight",
        "index_ignored",
    ),
    planted(block_bias_of_w_z_negated, evaluation_block, DRAW, "params.w_z.bias", "constant_factor"),
    planted(beta_of_the_first_batch_element, evaluation_block, DRAW, "params.bn.bias", "missing_sum"),
    planted(weight_of_g_reshaped_where_transposed, evaluation_block, DRAW, "params.g.weight", "permuted"),
)
