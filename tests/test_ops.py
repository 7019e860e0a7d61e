"""The small pieces: what each computes. For their gradients see test_independent_differentiators."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonlocal_ref import ops
from nonlocal_ref.norm import affine
from tests import oracles
from tests.helpers import NUMPY, normal, same_kind
from tests.tolerances import assert_ratio


def test_identity_gives_x_and_dy_back(xp, rng):
    x, dy = xp.asarray(normal(rng, 2, 3)), xp.asarray(normal(rng, 2, 3))
    y, backward = ops.identity(x)
    assert y is x
    assert backward(dy)[0] is dy


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3), (2, 1, 4, 5, 3)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_is_a_convolution_of_kernel_1(shape, with_bias, xp, rng):
    x, weight, bias = normal(rng, *shape), normal(rng, 4, 3), normal(rng, 4) * with_bias
    y, _ = ops.linear(xp.asarray(x), xp.asarray(weight), xp.asarray(bias) if with_bias else None)
    exact = [oracles.convolution(row, weight, bias) for row in x.reshape(-1, 3)]
    magnitude = np.abs(x) @ np.abs(weight.T) + np.abs(bias)
    assert_ratio(xp.to_numpy(y), np.reshape(exact, (*shape[:-1], 4)), magnitude, xp.eps)


def test_a_weight_that_stands_at_every_position_sums_its_gradient_over_them(xp, rng):
    x, weight, bias, dy = normal(rng, 2, 5, 3), normal(rng, 4, 3), normal(rng, 4), normal(rng, 2, 5, 4)
    _, backward = ops.linear(*(xp.asarray(v) for v in (x, weight, bias)))
    _, dweight, dbias = backward(xp.asarray(dy))
    exact_weight = sum(np.outer(dy[b, n], x[b, n]) for b in range(2) for n in range(5))
    exact_bias = sum(dy[b, n] for b in range(2) for n in range(5))
    assert_ratio(xp.to_numpy(dweight), exact_weight, np.tensordot(np.abs(dy), np.abs(x), ([0, 1], [0, 1])), xp.eps)
    assert_ratio(xp.to_numpy(dbias), exact_bias, np.abs(dy).sum(axis=(0, 1)), xp.eps)


@given(st.sampled_from([(), (1,), (0,), (2, 3)]), st.integers(0, 300), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_the_sum_over_rows_is_their_sum(lead, rows, width, seed):
    x = normal(np.random.default_rng(seed), *lead, rows, width)
    assert_ratio(ops.sum_over_rows(x), x.sum(axis=-2), np.abs(x).sum(axis=-2), np.finfo(float).eps)


@pytest.mark.parametrize(
    "rows",
    [ops.ROWS_A_SUM - 1, ops.ROWS_A_SUM, ops.ROWS_A_SUM + 1, ops.ROWS_A_SUM**2, ops.ROWS_A_SUM**2 + ops.ROWS_A_SUM - 1],
)
def test_whole_numbers_are_summed_exactly_across_the_borders_of_blocks(rows, xp):
    x = np.arange(1.0, rows + 1)[None, :, None] * np.asarray([1.0, -2.0])
    total = rows * (rows + 1) / 2
    np.testing.assert_array_equal(xp.to_numpy(ops.sum_over_rows(xp.asarray(x))), [[total, -2 * total]])


@given(st.sampled_from([(), (1,), (0,), (2, 3)]), st.integers(0, 300), *[st.integers(1, 3)] * 2, st.integers(0, 99))
def test_the_product_over_rows_is_the_transpose_times_b(lead, rows, depth, width, seed):
    rng = np.random.default_rng(seed)
    a, b = normal(rng, *lead, rows, depth), normal(rng, *lead, rows, width)
    magnitude = np.matrix_transpose(np.abs(a)) @ np.abs(b)
    assert_ratio(ops.product_over_rows(a, b), np.matrix_transpose(a) @ b, magnitude, np.finfo(float).eps)


@pytest.mark.parametrize(
    "rows", [ops.ROWS_A_SUM - 1, 2 * ops.ROWS_A_SUM, 2 * ops.ROWS_A_SUM + 1, ops.ROWS_A_SUM**2 + 1]
)
def test_whole_numbers_are_multiplied_and_summed_exactly_across_the_borders_of_blocks(rows, xp):
    a, b = np.arange(1.0, rows + 1)[None, :, None], np.asarray([[[1.0, -2.0]]] * rows).reshape(1, rows, 2)
    total = rows * (rows + 1) / 2
    got = ops.product_over_rows(xp.asarray(a), xp.asarray(b))
    np.testing.assert_array_equal(xp.to_numpy(got), [[[total, -2 * total]]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_of_what_stands_at_many_positions_keep_their_digits(dtype, rng):
    """Nothing cancels among positive numbers; a plain running sum has a ratio of about 100 here."""
    x, dy = np.abs(rng.normal(size=(2, 2**16, 64))).astype(dtype)
    _, _, dbias = ops.linear(x, np.eye(64, dtype=dtype), x[0])[1](dy)
    _, dgamma, dbeta = affine(x[None], x[0], x[0])[1](dy[None])
    total, product = np.sum(dy, axis=0, dtype=np.longdouble), np.sum(dy * x, axis=0, dtype=np.longdouble)
    for got, exact in ((dbias, total), (dbeta, total), (dgamma, product)):
        assert_ratio(got, exact, exact, float(np.finfo(dtype).eps))


def test_linear_without_a_bias_has_no_gradient_for_one(rng):
    _, backward = ops.linear(normal(rng, 2, 3), normal(rng, 4, 3))
    assert len(backward(normal(rng, 2, 4))) == 2


def test_scaled_product_compares_every_pair(xp, rng):
    theta, phi = normal(rng, 2, 3, 5), normal(rng, 2, 4, 5)
    scores, _ = ops.scaled_product(xp.asarray(theta), xp.asarray(phi), 0.375)
    for b, i, j in np.ndindex(2, 3, 4):
        exact = 0.375 * oracles.dot(theta[b, i], phi[b, j])
        assert_ratio(xp.to_numpy(scores)[b, i, j], exact, 0.375 * np.abs(theta[b, i]) @ np.abs(phi[b, j]), xp.eps)


def test_a_scale_of_one_and_no_scale_are_the_same(rng):
    theta, phi, ds = normal(rng, 2, 3, 5), normal(rng, 2, 4, 5), normal(rng, 2, 3, 4)
    scores, backward = ops.scaled_product(theta, phi)
    scaled, scaled_backward = ops.scaled_product(theta, phi, 1.0)
    np.testing.assert_array_equal(scaled, scores)
    for got, want in zip(scaled_backward(ds), backward(ds), strict=True):
        np.testing.assert_array_equal(got, want)


def test_softmax_of_known_logits(xp):
    p, backward = ops.softmax(xp.asarray(np.log([[[1.0, 3.0, 4.0]]])))
    assert_ratio(xp.to_numpy(p), [[[0.125, 0.375, 0.5]]], 1 + np.log(4), xp.eps)
    (dscores,) = backward(xp.asarray(np.array([[[8.0, 0.0, 0.0]]])))
    assert_ratio(xp.to_numpy(dscores), [[[0.875, -0.375, -0.5]]], 8 * (1 + np.log(4)), xp.eps)  # 8 P_0 (δ_0j - P_j)


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_softmax_cannot_overflow(size, xp):
    p, _ = ops.softmax(xp.asarray(np.array([[[size, -size, size]]])))
    np.testing.assert_array_equal(xp.to_numpy(p), [[[0.5, 0.0, 0.5]]])


def test_the_softmax_gradient_of_ones_is_zero_up_to_rounding(xp, rng):
    # which is why no test here uses a dy of ones
    p, backward = ops.softmax(xp.asarray(normal(rng, 2, 3, 4)))
    (dscores,) = backward(xp.asarray(np.ones((2, 3, 4))))
    assert_ratio(xp.to_numpy(dscores), np.zeros((2, 3, 4)), xp.to_numpy(p), xp.eps)


def test_softmax_tells_the_tap_its_stages_in_order(rng):
    names = []
    ops.softmax(normal(rng, 2, 3, 4), tap=lambda name, array: names.append(name))
    assert names == ["logits", "max", "exp", "sum"]


def test_a_masked_score_is_not_looked_at_whatever_it_is(rng):
    scores = normal(rng, 2, 3, 4)
    mask = np.array([True, False, True, True])
    p, _ = ops.softmax(scores, mask)
    for junk in (np.nan, np.inf, 1e300):
        np.testing.assert_array_equal(ops.softmax(np.where(mask, scores, junk), mask)[0], p)


def test_a_masked_score_weighs_nothing_even_where_its_row_holds_nan(xp):
    scores, mask = np.array([[[np.nan, 1.0, 2.0]]]), np.array([[[True, False, True]]])
    p, _ = ops.softmax(xp.asarray(scores), xp.asarray(mask))
    np.testing.assert_array_equal(xp.to_numpy(p), [[[np.nan, 0.0, np.nan]]])


def test_relu_of_known_numbers(xp):
    x = np.array([-2.0, -0.0, 0.0, 1e-300 if xp.eps < 1e-10 else 1e-30, 3.0])
    y, backward = ops.relu(xp.asarray(x))
    np.testing.assert_array_equal(xp.to_numpy(y), xp.to_numpy(xp.asarray(np.maximum(x, 0))))
    (dx,) = backward(xp.asarray(np.full(5, 7.0)))
    np.testing.assert_array_equal(xp.to_numpy(dx), [0, 0, 0, 7, 7])  # slope 0 at 0


def test_relu_carries_nan_through(xp):
    y, backward = ops.relu(xp.asarray(np.array([np.nan, -1.0])))
    np.testing.assert_array_equal(np.isnan(xp.to_numpy(y)), [True, False])
    (dx,) = backward(xp.asarray(np.array([np.nan, 2.0])))
    np.testing.assert_array_equal(np.isnan(xp.to_numpy(dx)), [True, False])


def test_relu_of_complex_numbers_branches_on_the_real_part():
    x = np.array([1 + 2j, -1 + 2j, 0 + 1j])
    y, backward = ops.relu(x)
    np.testing.assert_array_equal(y, [1 + 2j, 0, 0])
    np.testing.assert_array_equal(backward(np.full(3, 1j))[0], [1j, 0, 0])


def test_the_mean_over_all_positions_divides_by_their_number(xp, rng):
    f = normal(rng, 2, 3, 4)
    weights, _ = ops.mean_over_allowed(xp.asarray(f))
    np.testing.assert_array_equal(xp.to_numpy(weights), xp.to_numpy(xp.asarray(f)) / 4)


def test_the_mean_over_allowed_positions_divides_by_theirs(xp):
    f = np.array([[[2.0, 4.0, 8.0], [3.0, 5.0, 7.0]]])
    mask = np.array([[[True, False, True], [False, False, False]]])
    weights, _ = ops.mean_over_allowed(xp.asarray(f), xp.asarray(mask))
    np.testing.assert_array_equal(xp.to_numpy(weights), [[[1.0, 0.0, 4.0], [0.0, 0.0, 0.0]]])


def test_a_masked_value_is_not_looked_at_whatever_it_is():
    weights, _ = ops.mean_over_allowed(np.array([[[np.nan, 6.0]]]), np.array([[[False, True]]]))
    np.testing.assert_array_equal(weights, [[[0.0, 6.0]]])


def test_a_constant_has_the_kind_of_its_model(xp, rng):
    x = xp.asarray(normal(rng, 2))
    number = ops.constant(3.0, x)
    assert same_kind(number, x[0, ...])
    assert float(xp.to_numpy(number)) == 3.0


def test_no_tap_looks_at_nothing():
    assert ops.no_tap("y", None) is None


@pytest.mark.parametrize("imaginary", [1.0, -3.0])
def test_softmax_of_complex_scores_is_the_analytic_one(imaginary, rng):
    scores = normal(rng, 2, 3, 4) + 1j * imaginary * normal(rng, 2, 3, 4)
    p, _ = ops.softmax(scores)
    e = np.exp(scores)  # small enough to need no shift
    total = e.sum(axis=-1, keepdims=True)
    # the total of complex exponentials can cancel: its magnitude is that of the parts
    growth = np.abs(e).sum(axis=-1, keepdims=True) / np.abs(total)
    magnitude = np.abs(e / total) * growth * (1 + np.abs(scores).max())
    assert_ratio(p, e / total, magnitude, NUMPY.eps)
