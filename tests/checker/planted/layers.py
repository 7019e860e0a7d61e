"""Mistakes in linear layers, gates, pooling, means and sums."""

import numpy as np

from tests.checker.planted.row import Family, arguments


def linear_forward(x, w, b):
    return x @ w + b, (x, w)


def linear_backward(dy, cache):
    x, w = cache
    return dy @ w.T, np.einsum("bnc,bnd->cd", x, dy), dy.sum(axis=(0, 1))


def dw_transposed(dy, cache):
    dx, dw, db = linear_backward(dy, cache)
    return dx, dw.T, db


def bias_not_summed(dy, cache):
    dx, dw, _ = linear_backward(dy, cache)
    return dx, dw, dy


def bias_averaged(dy, cache):
    dx, dw, _ = linear_backward(dy, cache)
    return dx, dw, dy.mean(axis=(0, 1))


def bias_of_the_first_element_only(dy, cache):
    dx, dw, _ = linear_backward(dy, cache)
    return dx, dw, dy[0].sum(axis=0)


def dx_and_dw_in_the_wrong_order(dy, cache):
    x, w = cache
    return x.T @ dy, dy @ w.T


def weight_decay_added(dy, cache):
    _, w = cache
    dx, dw, db = linear_backward(dy, cache)
    return dx, dw + 1e-2 * w, db


LINEAR = Family(linear_forward, linear_backward, arguments(x=(2, 5, 3), w=(3, 4), b=(4,)))
SQUARE = arguments(x=(2, 5, 3), w=(3, 3), b=(3,))


def product_forward(x, w):
    return x @ w, (x, w)


def product_backward(dy, cache):
    x, w = cache
    return dy @ w.T, x.T @ dy


PRODUCT = Family(product_forward, product_backward, arguments(x=(3, 3), w=(3, 3)))


def relu_forward(x):
    return x * (x > 0), (x,)


def relu_backward(dy, cache):
    (x,) = cache
    return (dy * (x > 0),)


def relu_gate_upside_down(dy, cache):
    (x,) = cache
    return (dy * (x < 0),)


def relu_gated_by_dy(dy, cache):
    return (dy * (dy > 0),)


RELU = Family(relu_forward, relu_backward, arguments(x=(2, 5, 3)))


def dropout_forward(x, keep):
    return np.where(keep, x, 0) / 0.65, (keep,)


def dropout_backward(dy, cache):
    (keep,) = cache
    return (np.where(keep, dy, 0) / 0.65,)


def dropped_entries_get_a_gradient(dy, cache):
    return (dy / 0.65,)


DROPOUT = Family(
    dropout_forward, dropout_backward, arguments(x=(2, 5, 3), keep=lambda rng: rng.random((2, 5, 3)) < 0.65)
)


def pool_forward(x):
    """The larger of two neighbours, x (B, 2 N, C) -> (B, N, C)."""
    b, n, c = x.shape
    pairs = x.reshape(b, n // 2, 2, c)
    second = pairs[:, :, 1] > pairs[:, :, 0]
    return np.where(second, pairs[:, :, 1], pairs[:, :, 0]), (second, x.shape)


def pool_backward(dy, cache):
    second, shape = cache
    return (np.stack([np.where(second, 0, dy), np.where(second, dy, 0)], axis=2).reshape(shape),)


def pool_gives_to_both(dy, cache):
    _, shape = cache
    return (np.stack([dy, dy], axis=2).reshape(shape),)


def pool_gives_to_the_loser(dy, cache):
    second, shape = cache
    return pool_backward(dy, (~second, shape))


POOL = Family(pool_forward, pool_backward, arguments(x=(2, 6, 3)))


def mean_forward(x):
    return x.mean(axis=1), (x.shape,)


def mean_backward(dy, cache):
    (shape,) = cache
    return (np.broadcast_to(dy[:, None], shape) / shape[1],)


def mean_without_one_over_n(dy, cache):
    (shape,) = cache
    return (np.broadcast_to(dy[:, None], shape).copy(),)


MEAN = Family(mean_forward, mean_backward, arguments(x=(2, 5, 3)))


def outer_sum_forward(a, b):
    """tanh(a_i + b_j)"""
    y = np.tanh(a[:, :, None] + b[:, None, :])
    return y, (y,)


def outer_sum_backward(dy, cache):
    (y,) = cache
    ds = dy * (1 - y * y)
    return ds.sum(axis=2), ds.sum(axis=1)


def outer_sum_over_the_wrong_axes(dy, cache):
    (y,) = cache
    ds = dy * (1 - y * y)
    return ds.sum(axis=1), ds.sum(axis=2)


def outer_sum_without_the_last_key(dy, cache):
    (y,) = cache
    ds = dy * (1 - y * y)
    return ds[:, :, :-1].sum(axis=2), ds.sum(axis=1)


OUTER_SUM = Family(outer_sum_forward, outer_sum_backward, arguments(a=(2, 5), b=(2, 4)))
SQUARE_SUM = arguments(a=(2, 4), b=(2, 4))


def lookup_forward(table, index):
    return table[index], (table, index)


def lookup_backward(dy, cache):
    table, index = cache
    dtable = np.zeros_like(table)
    np.add.at(dtable, index, dy)
    return (dtable,)


def lookup_overwrites_what_repeats(dy, cache):
    table, index = cache
    dtable = np.zeros_like(table)
    dtable[index] += dy  # adds once where an index comes twice
    return (dtable,)


LOOKUP = Family(lookup_forward, lookup_backward, arguments(table=(4, 3), index=np.asarray([0, 2, 2, 1, 2, 0])))


def swish_forward(x):
    s = (1 + np.tanh(x / 2)) / 2  # the sigmoid, without an overflow
    return x * s, (x, s)


def swish_backward(dy, cache):
    x, s = cache
    return (dy * (s + x * s * (1 - s)),)


def swish_without_the_product_rule(dy, cache):
    _, s = cache
    return (dy * s,)


SWISH = Family(swish_forward, swish_backward, arguments(x=(2, 5, 3)))


def tanh_forward(x):
    y = np.tanh(x)
    return y, (x, y)


def tanh_backward(dy, cache):
    _, y = cache
    return (dy * (1 - y * y),)


def tanh_derivative_at_x(dy, cache):
    x, _ = cache
    return (dy * (1 - x * x),)


TANH = Family(tanh_forward, tanh_backward, arguments(x=(2, 5, 3)))


def residual_forward(x, w):
    h = np.tanh(x @ w)
    return x + h, (x, w, h)


def residual_backward(dy, cache):
    x, w, h = cache
    da = dy * (1 - h * h)
    return dy + da @ w.T, x.T @ da


def shortcut_forgotten(dy, cache):
    x, w, h = cache
    da = dy * (1 - h * h)
    return da @ w.T, x.T @ da


RESIDUAL = Family(residual_forward, residual_backward, arguments(x=(5, 3), w=(3, 3)))


def channels_first_forward(x):
    """x (B, N, C) -> (B, C, N), squared."""
    y = x.transpose(0, 2, 1)
    return y * y, (x,)


def channels_first_backward(dy, cache):
    (x,) = cache
    return (2 * x * dy.transpose(0, 2, 1),)


def reshaped_where_transposed(dy, cache):
    (x,) = cache
    return ((2 * x.transpose(0, 2, 1) * dy).reshape(x.shape),)


CHANNELS_FIRST = Family(channels_first_forward, channels_first_backward, arguments(x=(2, 5, 3)))

MISTAKES = (
    LINEAR.mistake(dw_transposed, "w", "permuted", draw=SQUARE),
    LINEAR.mistake(bias_not_summed, "b", "missing_sum", breaks=r"b has shape \(4,\), its gradient has shape"),
    # one over the number of rows is a mean where the sum belongs: two names for one mistake
    LINEAR.mistake(bias_averaged, "b", "constant_factor", "missing_sum"),
    LINEAR.mistake(bias_of_the_first_element_only, "b", "missing_sum"),
    # w gets more than its gradient, whatever dy is: not linear, and none of the names says that
    LINEAR.mistake(weight_decay_added, "w", None, breaks="w gets a gradient that is not 0 for dy = 0"),
    PRODUCT.mistake(dx_and_dw_in_the_wrong_order, "x w", "another_argument"),
    RELU.mistake(relu_gate_upside_down, "x", "index_ignored"),
    RELU.mistake(relu_gated_by_dy, "x", "index_ignored", breaks="x gets a gradient for -2 dy that is not -2 times"),
    DROPOUT.mistake(dropped_entries_get_a_gradient, "x", "index_ignored"),
    POOL.mistake(pool_gives_to_both, "x", "index_ignored"),
    # the neighbour gets it: an index turned round is also a flip of every pair
    POOL.mistake(pool_gives_to_the_loser, "x", "index_ignored", "permuted"),
    MEAN.mistake(mean_without_one_over_n, "x", "constant_factor"),
    OUTER_SUM.mistake(outer_sum_over_the_wrong_axes, "a b", "another_argument", draw=SQUARE_SUM),
    OUTER_SUM.mistake(outer_sum_without_the_last_key, "a", "missing_sum"),
    LOOKUP.mistake(lookup_overwrites_what_repeats, "table", "missing_sum"),
    SWISH.mistake(swish_without_the_product_rule, "x", "missing_term"),
    TANH.mistake(tanh_derivative_at_x, "x", "stale_value"),
    RESIDUAL.mistake(shortcut_forgotten, "x", "missing_term"),
    CHANNELS_FIRST.mistake(reshaped_where_transposed, "x", "permuted"),
)
