"""Backwards that are wrong in the ways people get them wrong: the gradient check must reject each, by name.

A mistake replaces one piece of the package by a piece with the same forward and a wrong backward; the operation around
it stays as it is. Shapes are square where they can be, so that no mistake gives itself away by a shape.
"""

import sys
from functools import partial

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref import norm, ops, positions
from nonlocal_ref.pairwise.concatenation import concatenation, concatenation_scores
from tests.helpers import example, normal, random_params

BLOCK = nl.BlockConfig(2, inner_channels=2)
GAUSSIAN, DOT, CONCATENATION = "gaussian", "dot_product", "concatenation"


def with_backward(piece):
    """A piece with the forward of the decorated function's name and the backward that the function returns."""

    def decorate(wrong):
        def spoiled(*args, **kwargs):
            y, right = piece(*args, **kwargs)
            return y, lambda dy: wrong(right, dy, *args, **kwargs)

        return spoiled

    return decorate


# One wrong piece each. `right` is the right backward.


@with_backward(ops.scaled_product)
def sign_of_dphi(right, ds, theta, phi, scale=None):
    dtheta, dphi = right(ds)
    return dtheta, -dphi


@with_backward(ops.scaled_product)
def transpose_forgotten_in_dphi(right, ds, theta, phi, scale=None):
    dtheta, _ = right(ds)
    return dtheta, ds @ theta


@with_backward(ops.scaled_product)
def scale_forgotten_in_dtheta(right, ds, theta, phi, scale=None):
    dtheta, dphi = right(ds)
    return dtheta / scale, dphi


@with_backward(ops.scaled_product)
def gradients_in_the_wrong_order(right, ds, theta, phi, scale=None):
    dtheta, dphi = right(ds)
    return dphi, dtheta


@with_backward(ops.matmul)
def transpose_forgotten_in_dg(right, dy, a, b):
    da, _ = right(dy)
    return da, a @ dy


@with_backward(ops.softmax)
def softmax_without_its_second_term(right, dp, scores, mask=None, tap=None):
    p, _ = ops.softmax(scores, mask)
    return (p * dp,)


@with_backward(ops.softmax)
def softmax_summed_over_the_queries(right, dp, scores, mask=None, tap=None):
    p, _ = ops.softmax(scores, mask)
    return (p * (dp - np.sum(dp * p, axis=-2, keepdims=True)),)


@with_backward(ops.softmax)
def softmax_with_the_sign_of_its_second_term_turned(right, dp, scores, mask=None, tap=None):
    p, _ = ops.softmax(scores, mask)
    return (p * (dp + np.sum(dp * p, axis=-1, keepdims=True)),)


@with_backward(ops.mean_over_allowed)
def one_over_n_forgotten(right, dweights, f, mask=None):
    return (dweights,)


@with_backward(ops.mean_over_allowed)
def mask_forgotten_on_the_way_back(right, dweights, f, mask=None):
    return (dweights / f.shape[-1],)


@with_backward(ops.relu)
def relu_open_everywhere(right, dy, x):
    return (dy,)


@with_backward(ops.relu)
def relu_gated_by_dy(right, dy, x):
    return (np.where(dy <= 0, 0.0, dy),)


@with_backward(concatenation)
def sums_over_the_wrong_axis(right, dweights, theta, phi, w_f, mask=None):
    a, b = concatenation_scores(theta, phi, w_f)[0]
    dsum = dweights * (a[:, :, None] + b[:, None, :] > 0) / phi.shape[1]
    return concatenation_scores(theta, phi, w_f)[1](dsum.sum(axis=1), dsum.sum(axis=2))


@with_backward(concatenation)
def halves_of_w_f_exchanged(right, dweights, theta, phi, w_f, mask=None):
    dtheta, dphi, dw_f = right(dweights)
    return dtheta, dphi, np.roll(dw_f, len(dw_f) // 2)


@with_backward(ops.linear)
def weight_gradient_transposed(right, dy, x, weight, bias=None):
    dx, dweight, *dbias = right(dy)
    return dx, dweight.T, *dbias


@with_backward(ops.linear)
def bias_gradient_averaged(right, dy, x, weight, bias=None):
    dx, dweight, *dbias = right(dy)
    return dx, dweight, *(d / (dy.size // dy.shape[-1]) for d in dbias)


@with_backward(ops.linear)
def weight_not_transposed_in_dx(right, dy, x, weight, bias=None):
    _, *others = right(dy)
    return dy @ weight.T, *others


@with_backward(norm.standardise)
def statistics_taken_as_constants(right, dx_hat, x, eps, tap=None):
    return norm.standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)), eps)[1](dx_hat)


@with_backward(norm.standardise)
def variance_taken_as_a_constant(right, dx_hat, x, eps, tap=None):
    return ((dx_hat - dx_hat.mean(axis=(0, 1))) / np.sqrt(x.var(axis=(0, 1)) + eps),)


@with_backward(norm.standardise_with)
def std_forgotten_in_eval_mode(right, dx_hat, x, mean, var, eps):
    return (dx_hat,)


@with_backward(norm.affine)
def gamma_gradient_without_x_hat(right, dy, x, weight, bias):
    dx, _, dbias = right(dy)
    return dx, dbias, dbias


@with_backward(positions.max_pool)
def pooling_gives_the_last_cell_the_gradient(right, dy, x, kernel):
    if kernel is None:
        return right(dy)
    dx = np.zeros_like(x)
    dx[:, :, 1::2, 1::2] = dy
    return (dx,)


@with_backward(positions.fold)
def fold_undone_without_moving_the_axes(right, dfeatures, x, domain="spacetime", frame_group=None):
    return (np.reshape(dfeatures, x.shape),)


@with_backward(positions.unfold)
def unfold_undone_without_moving_the_axes(right, dx, features, shape, domain="spacetime", frame_group=None):
    return (np.reshape(dx, features.shape),)


EMBEDDINGS = [f"params.{name}.{kind}" for name in ("theta", "phi", "g") for kind in ("weight", "bias")]
BEFORE_NORM = ["x", *EMBEDDINGS, "params.w_z.weight"]
NORM = ["params.bn.weight", "params.bn.bias"]
BIASES = ["params.theta.bias", "params.g.bias", "params.w_z.bias"]  # that of phi is exactly zero

# the mistake, the module and the name it takes the place of, the operation, and whose gradients are wrong
OPERATION_MISTAKES = [
    (sign_of_dphi, "pairwise.gaussian", "scaled_product", GAUSSIAN, {}, ["phi"]),
    (transpose_forgotten_in_dphi, "pairwise.gaussian", "scaled_product", GAUSSIAN, {}, ["phi"]),
    (transpose_forgotten_in_dphi, "pairwise.dot_product", "scaled_product", DOT, {}, ["phi"]),
    (scale_forgotten_in_dtheta, "pairwise.gaussian", "scaled_product", GAUSSIAN, {"scale": 0.5}, ["theta"]),
    (gradients_in_the_wrong_order, "pairwise.dot_product", "scaled_product", DOT, {}, ["theta", "phi"]),
    (transpose_forgotten_in_dg, "dense", "matmul", GAUSSIAN, {}, ["g"]),
    (transpose_forgotten_in_dg, "dense", "matmul", CONCATENATION, {}, ["g"]),
    (softmax_without_its_second_term, "pairwise.gaussian", "softmax", GAUSSIAN, {}, ["theta", "phi"]),
    (softmax_summed_over_the_queries, "pairwise.gaussian", "softmax", GAUSSIAN, {}, ["theta", "phi"]),
    (softmax_with_the_sign_of_its_second_term_turned, "pairwise.gaussian", "softmax", GAUSSIAN, {}, ["theta", "phi"]),
    (one_over_n_forgotten, "pairwise.dot_product", "mean_over_allowed", DOT, {}, ["theta", "phi"]),
    (one_over_n_forgotten, "pairwise.concatenation", "mean_over_allowed", CONCATENATION, {}, ["theta", "phi", "w_f"]),
    (mask_forgotten_on_the_way_back, "pairwise.dot_product", "mean_over_allowed", DOT, {"mask": 1}, ["theta", "phi"]),
    (relu_open_everywhere, "pairwise.concatenation", "relu", CONCATENATION, {}, ["theta", "phi", "w_f"]),
    (relu_gated_by_dy, "pairwise.concatenation", "relu", CONCATENATION, {}, ["theta", "phi", "w_f"]),
    (sums_over_the_wrong_axis, "operation", "concatenation", CONCATENATION, {}, ["theta", "phi", "w_f"]),
    (halves_of_w_f_exchanged, "operation", "concatenation", CONCATENATION, {}, ["w_f"]),
]
BLOCK_MISTAKES = [
    (weight_gradient_transposed, "linear", True, [k for k in (*EMBEDDINGS, "params.w_z.weight") if "weight" in k]),
    (bias_gradient_averaged, "linear", False, BIASES),
    (weight_not_transposed_in_dx, "linear", False, ["x", *EMBEDDINGS]),
    (statistics_taken_as_constants, "standardise", True, [*BEFORE_NORM, "params.w_z.bias"]),
    # the weights of a row sum to one, so the bias of g moves W_z y as a whole, which has no variance
    (variance_taken_as_a_constant, "standardise", True, [k for k in BEFORE_NORM if k != "params.g.bias"]),
    (std_forgotten_in_eval_mode, "standardise_with", False, [*BEFORE_NORM, "params.w_z.bias"]),
    (gamma_gradient_without_x_hat, "affine", False, ["params.bn.weight"]),
    # a bias sums over all positions, so it does not see which of them got the gradient
    (
        pooling_gives_the_last_cell_the_gradient,
        "max_pool",
        False,
        ["x", "params.phi.weight", "params.g.weight"],
    ),
    (fold_undone_without_moving_the_axes, "fold", False, ["x"]),
    (unfold_undone_without_moving_the_axes, "unfold", False, [*BEFORE_NORM, "params.w_z.bias", *NORM]),
]
NEVER_WRONG = {"params.phi.bias"}  # exactly zero whatever dphi is summed from, unless the softmax itself is wrong


def operation_example(variant, options):
    rng = np.random.default_rng(7)
    arrays = example(rng, batch=2, queries=4, keys=4, depth=4, width=4, variant=variant)
    if "mask" in options:
        mask = rng.random((2, 4, 4)) < 0.6
        options = options | {"mask": mask}
    return partial(nl.nonlocal_op, method="dense", **options), (variant, *arrays)


def block_example(training):
    rng = np.random.default_rng(7)
    op = partial(nl.block, training=training, method="dense")
    return op, (normal(rng, 2, 2, 2, 2, 2), random_params(BLOCK, rng), BLOCK)


def wrong_gradients(report):
    return {leaf.name for leaf in report if leaf.status == "wrong"}


def id_of(row):
    mistake, *where = row
    return "-".join([find_name(mistake), *(str(part) for part in where if isinstance(part, str))])


def find_name(mistake):
    return next(name for name, value in globals().items() if value is mistake)


# Diagnosing a wrong gradient costs many runs: some that differ little from others wait for the slow tests.
SLOW = {
    (transpose_forgotten_in_dphi, "pairwise.gaussian"),
    (softmax_with_the_sign_of_its_second_term_turned, "pairwise.gaussian"),
    (one_over_n_forgotten, "pairwise.concatenation"),
    (relu_gated_by_dy, "pairwise.concatenation"),
    (weight_not_transposed_in_dx, "linear"),
    (variance_taken_as_a_constant, "standardise"),
    (std_forgotten_in_eval_mode, "standardise_with"),
    (unfold_undone_without_moving_the_axes, "unfold"),
}


def rows(mistakes):
    return [pytest.param(row, id=id_of(row), marks=pytest.mark.slow if row[:2] in SLOW else ()) for row in mistakes]


@pytest.mark.parametrize("row", rows(OPERATION_MISTAKES))
def test_a_mistake_in_the_operation_is_rejected_by_name(row, monkeypatch):
    mistake, module, name, variant, options, culprits = row
    op, arguments = operation_example(variant, options)
    monkeypatch.setattr(sys.modules[f"nonlocal_ref.{module}"], name, mistake)
    report = nl.gradcheck(op, *arguments, rng=0)
    assert report.status == "wrong"
    assert wrong_gradients(report) == set(culprits)
    assert f"WRONG: {', '.join(culprits)}" in str(report)


def test_check_gradients_raises_with_the_name_of_the_culprit(monkeypatch):
    op, arguments = operation_example(GAUSSIAN, {})
    monkeypatch.setattr(sys.modules["nonlocal_ref.pairwise.gaussian"], "scaled_product", sign_of_dphi)
    with pytest.raises(AssertionError, match=r"nonlocal_op.*WRONG: phi\n"):
        nl.check_gradients(op, *arguments, rng=0)


@pytest.mark.parametrize("row", rows(BLOCK_MISTAKES))
def test_a_mistake_in_the_block_is_rejected_by_name(row, monkeypatch):
    mistake, name, training, culprits = row
    op, arguments = block_example(training)
    monkeypatch.setattr(sys.modules["nonlocal_ref.residual_block"], name, mistake)
    report = nl.gradcheck(op, *arguments, rng=0)
    assert report.status == "wrong"
    assert wrong_gradients(report) - NEVER_WRONG == set(culprits) - NEVER_WRONG


@pytest.mark.parametrize("variant", [GAUSSIAN, DOT, CONCATENATION])
@pytest.mark.parametrize("options", [{}, {"mask": 1}], ids=["all", "mask"])
def test_the_operation_without_a_mistake_is_accepted(variant, options):
    op, arguments = operation_example(variant, options)
    nl.check_gradients(op, *arguments, rng=0)


@pytest.mark.parametrize("training", [True, False])
def test_the_block_without_a_mistake_is_accepted(training):
    op, arguments = block_example(training)
    nl.check_gradients(op, *arguments, rng=0)


def test_the_residual_path_forgotten_is_rejected():
    op, arguments = block_example(False)

    def without_residual(x, params, config):
        z, right = op(x, params, config)

        def backward(dz):
            dx, grads = right(dz)
            return dx - dz, grads

        return z, backward

    assert wrong_gradients(nl.gradcheck(without_residual, *arguments, rng=0)) == {"x"}


def test_a_gradient_under_the_wrong_key_is_rejected():
    op, arguments = block_example(False)

    def exchanged(x, params, config):
        z, right = op(x, params, config)

        def backward(dz):
            dx, grads = right(dz)
            return dx, grads | {"theta.weight": grads["phi.weight"], "phi.weight": grads["theta.weight"]}

        return z, backward

    report = nl.gradcheck(exchanged, *arguments, rng=0)
    assert wrong_gradients(report) == {"params.theta.weight", "params.phi.weight"}
