"""Mistakes in layers, norms, rearrangements, two steps in time, and closures."""

import numpy as np

from tests.checker.planted.closures import TWO, two_layers
from tests.checker.planted.layers import LINEAR, MEAN, POOL, SQUARE, linear_backward
from tests.checker.planted.norms import BATCH_NORM, EPS, UNIT_LENGTH, batch_norm_backward
from tests.checker.planted.recurrent import TWO_STEPS, two_steps_backward
from tests.checker.planted.row import Family, arguments, planted


def w_not_transposed_in_dx(dy, cache):
    _, w = cache
    _, dw, db = linear_backward(dy, cache)
    return dy @ w, dw, db


def dw_divided_by_the_batch(dy, cache):
    dx, dw, db = linear_backward(dy, cache)
    return dx, dw / len(dy), db


def pool_shares_between_both(dy, cache):
    _, shape = cache
    return (np.stack([dy / 2, dy / 2], axis=2).reshape(shape),)


def mean_over_the_wrong_count(dy, cache):
    (shape,) = cache
    return (np.broadcast_to(dy[:, None], shape) / shape[0],)


def square_forward(x):
    return x * x, (x,)


def square_backward(dy, cache):
    (x,) = cache
    return (2 * x * dy,)


def two_of_the_square_forgotten(dy, cache):
    (x,) = cache
    return (x * dy,)


SQUARE_OF_X = Family(square_forward, square_backward, arguments(x=(2, 5, 3)))


def sigmoid_forward(x):
    y = (1 + np.tanh(x / 2)) / 2  # without an overflow
    return y, (x, y)


def sigmoid_backward(dy, cache):
    _, y = cache
    return (dy * y * (1 - y),)


def sigmoid_derivative_at_x(dy, cache):
    x, _ = cache
    return (dy * x * (1 - x),)


SIGMOID = Family(sigmoid_forward, sigmoid_backward, arguments(x=(2, 5, 3)))


def convolution_forward(x, kernel):
    """x (B, N), kernel (3,): y_n = Σ_k kernel_k x_{n+k}."""
    windows = np.stack([x[:, k : x.shape[1] - 2 + k] for k in range(3)], axis=-1)
    return windows @ kernel, (x, kernel, windows)


def convolution_backward(dy, cache):
    x, kernel, windows = cache
    dx = np.zeros_like(x)
    for k in range(3):
        dx[:, k : x.shape[1] - 2 + k] += dy * kernel[k]
    return dx, np.einsum("bn,bnk->k", dy, windows)


def kernel_gradient_flipped(dy, cache):
    dx, dkernel = convolution_backward(dy, cache)
    return dx, dkernel[::-1].copy()


CONVOLUTION = Family(convolution_forward, convolution_backward, arguments(x=(2, 7), kernel=(3,)))


def reordered_forward(x, order):
    """Positions in another order, then a square."""
    taken = x[:, order]
    return taken * taken, (taken, order)


def reordered_backward(dy, cache):
    taken, order = cache
    return ((2 * taken * dy)[:, np.argsort(order)],)


def order_applied_a_second_time(dy, cache):
    taken, order = cache
    return ((2 * taken * dy)[:, order],)


REORDERED = Family(reordered_forward, reordered_backward, arguments(x=(2, 5, 3), order=np.asarray([3, 0, 4, 1, 2])))


def shifted_forward(x):
    """Every position next to the one before."""
    before = np.roll(x, 1, axis=1)
    return np.sin(before), (before,)


def shifted_backward(dy, cache):
    (before,) = cache
    return (np.roll(dy * np.cos(before), -1, axis=1),)


def shift_not_undone(dy, cache):
    (before,) = cache
    return (np.roll(dy * np.cos(before), 1, axis=1),)


SHIFTED = Family(shifted_forward, shifted_backward, arguments(x=(2, 5, 3)))


def side_by_side_forward(a, b):
    y = np.tanh(np.concatenate([a, b], axis=-1))
    return y, (y, a.shape[-1])


def side_by_side_backward(dy, cache):
    y, width = cache
    both = dy * (1 - y * y)
    return both[..., :width], both[..., width:]


def halves_exchanged(dy, cache):
    da, db = side_by_side_backward(dy, cache)
    return db, da


SIDE_BY_SIDE = Family(side_by_side_forward, side_by_side_backward, arguments(a=(2, 5, 3), b=(2, 5, 3)))


def gain_forward(x, gain):
    return x * gain, (x, gain)


def gain_backward(dy, cache):
    x, gain = cache
    return dy * gain, (dy * x).sum(axis=(0, 1))


def gain_summed_over_the_batch_alone(dy, cache):
    x, gain = cache
    return dy * gain, (dy * x).sum(axis=0)


def gain_of_the_last_position(dy, cache):
    x, gain = cache
    return dy * gain, (dy * x).sum(axis=0)[-1]


GAIN = Family(gain_forward, gain_backward, arguments(x=(2, 5, 3), gain=(3,)))


def mean_taken_as_a_constant(dy, cache):
    _, gamma, x_hat, inverse_std = cache
    _, dgamma, dbeta = batch_norm_backward(dy, cache)
    dx_hat = dy * gamma
    return (dx_hat - x_hat * (dx_hat * x_hat).mean(axis=0)) * inverse_std, dgamma, dbeta


RUNNING_VARIANCE = np.asarray([0.5, 1.5, 3.0])


def running_variance_used_on_the_way_back(dy, cache):
    x, gamma, x_hat, _ = cache
    return batch_norm_backward(dy, (x, gamma, x_hat, 1 / np.sqrt(RUNNING_VARIANCE + EPS)))


def length_not_divided_by(dy, cache):
    _, y, _ = cache
    return (dy - y * (dy * y).sum(axis=-1, keepdims=True),)


def nothing_comes_from_the_later_step(dy, cache):
    _, w, _, states = cache
    _, *others = two_steps_backward(dy, cache)
    dx = np.stack([dy[:, t] * (1 - states[t + 1] ** 2) @ w.T for t in range(2)], axis=1)
    return dx, *others


def state_after_the_step_used_for_u(dy, cache):
    _, _, u, states = cache
    dx, dh0, dw, _ = two_steps_backward(dy, cache)
    da_second = dy[:, 1] * (1 - states[2] ** 2)
    da_first = (dy[:, 0] + da_second @ u.T) * (1 - states[1] ** 2)
    return dx, dh0, dw, states[1].T @ da_first + states[2].T @ da_second


def buffer_shared_by_both_layers(x, w1, w2):
    buffer = np.tanh(x @ w1)
    hidden = buffer
    buffer[...] = np.tanh(buffer @ w2)
    y = buffer.copy()

    def backward(dy):
        da2 = dy * (1 - y * y)
        da1 = da2 @ w2.T * (1 - hidden * hidden)  # hidden holds y by now
        return da1 @ w1.T, x.T @ da1, hidden.T @ da2

    return y, backward


MISTAKES = (
    LINEAR.mistake(w_not_transposed_in_dx, "x", "permuted", draw=SQUARE),
    LINEAR.mistake(dw_divided_by_the_batch, "w", "constant_factor"),
    POOL.mistake(pool_shares_between_both, "x", "index_ignored"),
    MEAN.mistake(mean_over_the_wrong_count, "x", "constant_factor"),
    SQUARE_OF_X.mistake(two_of_the_square_forgotten, "x", "constant_factor"),
    SIGMOID.mistake(sigmoid_derivative_at_x, "x", "stale_value"),
    CONVOLUTION.mistake(kernel_gradient_flipped, "kernel", "permuted"),
    REORDERED.mistake(order_applied_a_second_time, "x", "permuted"),
    SHIFTED.mistake(shift_not_undone, "x", "permuted"),
    SIDE_BY_SIDE.mistake(halves_exchanged, "a b", "another_argument"),
    GAIN.mistake(
        gain_summed_over_the_batch_alone,
        "gain",
        "missing_sum",
        breaks=r"gain has shape \(3,\), its gradient has shape \(5, 3\)",
    ),
    GAIN.mistake(gain_of_the_last_position, "gain", "missing_sum"),
    BATCH_NORM.mistake(mean_taken_as_a_constant, "x", "missing_term"),
    BATCH_NORM.mistake(running_variance_used_on_the_way_back, "x", "stale_value"),
    # a row's 1 / |x| is the scale that is forgotten
    UNIT_LENGTH.mistake(length_not_divided_by, "x", "scale_twice"),
    TWO_STEPS.mistake(nothing_comes_from_the_later_step, "x", "missing_term"),
    TWO_STEPS.mistake(state_after_the_step_used_for_u, "u", "stale_value"),
    planted(buffer_shared_by_both_layers, two_layers, TWO, "x w1 w2", "stale_value"),
)
