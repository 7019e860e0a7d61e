"""Mistakes in one piece of `nonlocal_ref.block`, the rest left as it is."""

from functools import partial, wraps
from unittest.mock import patch

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref import norm, residual_block
from tests.checker.planted.row import arguments, planted
from tests.helpers import random_params

CONFIG = nl.BlockConfig(3, dims=1, inner_channels=2)


def training_block(x, params, config):
    return nl.block(x, params, config, training=True, method="dense")


def evaluation_block(x, params, config):
    return nl.block(x, params, config, training=False, method="dense")


def with_piece(block, piece):
    """The block with one piece replaced, by name; the decorated function is wrong(right, dy, *args)."""

    def decorate(wrong):
        right_piece = getattr(residual_block, piece)

        def spoiled(*args, **options):
            y, right = right_piece(*args, **options)
            return y, lambda dy: wrong(right, dy, *args)

        @wraps(wrong)
        def op(x, params, config):
            with patch.object(residual_block, piece, spoiled):
                return block(x, params, config)

        return op

    return decorate


def with_outside(block):
    """The block with its gradients changed at the end: wrong(dx, grads, dz)."""

    def decorate(wrong):
        @wraps(wrong)
        def op(x, params, config):
            z, right = block(x, params, config)
            return z, lambda dz: wrong(*right(dz), dz)

        return op

    return decorate


@with_outside(training_block)
def block_without_its_residual_path(dx, grads, dz):
    return dx - dz, grads


@with_outside(evaluation_block)
def phi_weight_under_the_key_of_theta(dx, grads, dz):
    return dx, grads | {"theta.weight": grads["phi.weight"], "phi.weight": grads["theta.weight"]}


@with_outside(evaluation_block)
def g_bias_never_filled_in(dx, grads, dz):
    return dx, grads | {"g.bias": np.zeros_like(grads["g.bias"])}


@with_piece(training_block, "standardise")
def block_statistics_taken_as_constants(right, dx_hat, x, *_):
    return norm.standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)), CONFIG.eps)[1](dx_hat)


@with_piece(evaluation_block, "affine")
def gamma_gradient_without_x_hat(right, dy, *_):
    dx, _, dbeta = right(dy)
    return dx, dbeta, dbeta


@with_piece(evaluation_block, "max_pool")
def pooling_gives_every_cell_the_gradient(right, dy, x, kernel):
    return right(dy) if kernel is None else (np.repeat(dy, 2, axis=1),)


@with_piece(evaluation_block, "linear")
def every_bias_averaged(right, dy, x, weight, *_):
    dx, dweight, dbias = right(dy)
    return dx, dweight, dbias / (dy.size // dy.shape[-1])


@with_piece(evaluation_block, "fold")
def fold_undone_by_a_reshape(right, dfeatures, x, *_):
    return (np.reshape(dfeatures, x.shape),)


DRAW = arguments(x=(2, 3, 4), params=partial(random_params, CONFIG), config=CONFIG)
BIASES = "params.theta.bias params.g.bias params.w_z.bias"  # that of phi is exactly zero
BEFORE_NORM = (
    "x params.theta.weight params.theta.bias params.phi.weight params.g.weight params.g.bias params.w_z.weight "
    "params.w_z.bias"
)

MISTAKES = (
    planted(block_without_its_residual_path, training_block, DRAW, "x", "missing_term"),
    planted(
        phi_weight_under_the_key_of_theta,
        evaluation_block,
        DRAW,
        "params.theta.weight params.phi.weight",
        "another_argument",
    ),
    planted(g_bias_never_filled_in, evaluation_block, DRAW, "params.g.bias", "zero_gradient"),
    planted(block_statistics_taken_as_constants, training_block, DRAW, BEFORE_NORM, "missing_term"),
    planted(gamma_gradient_without_x_hat, evaluation_block, DRAW, "params.bn.weight", "another_argument"),
    planted(
        pooling_gives_every_cell_the_gradient,
        evaluation_block,
        DRAW,
        "x params.phi.weight params.g.weight params.g.bias",
        "index_ignored",
    ),
    # a mean where the sum belongs: two names for one mistake
    planted(every_bias_averaged, evaluation_block, DRAW, BIASES, "constant_factor", "missing_sum"),
    planted(fold_undone_by_a_reshape, evaluation_block, DRAW, "x", "permuted"),
)
