"""Mistakes in a recurrent network of two steps: h_t = tanh(x_t w + h_{t-1} u), y the two h."""

import numpy as np

from tests.checker.planted.row import Family, arguments


def two_steps_forward(x, h0, w, u):
    states = [h0]
    for t in range(2):
        states.append(np.tanh(x[:, t] @ w + states[-1] @ u))
    return np.stack(states[1:], axis=1), (x, w, u, states)


def two_steps_backward(dy, cache):
    x, w, u, states = cache
    dx, dw, du, dh = np.zeros_like(x), 0, 0, 0
    for t in (1, 0):
        da = (dy[:, t] + dh) * (1 - states[t + 1] ** 2)
        dx[:, t] = da @ w.T
        dw = dw + x[:, t].T @ da
        du = du + states[t].T @ da
        dh = da @ u.T
    return dx, dh, dw, du


def weights_of_the_first_step_only(dy, cache):
    x, _, u, states = cache
    dx, dh, _, du = two_steps_backward(dy, cache)
    da_second = dy[:, 1] * (1 - states[2] ** 2)
    da_first = (dy[:, 0] + da_second @ u.T) * (1 - states[1] ** 2)
    return dx, dh, x[:, 0].T @ da_first, du


def steps_collected_backwards(dy, cache):
    _, w, u, states = cache
    _, dh0, dw, du = two_steps_backward(dy, cache)
    dx, dh = [], 0
    for t in (1, 0):
        da = (dy[:, t] + dh) * (1 - states[t + 1] ** 2)
        dx.append(da @ w.T)
        dh = da @ u.T
    return np.stack(dx, axis=1), dh0, dw, du


def last_state_used_for_both_steps(dy, cache):
    x, w, u, states = cache
    h = states[-1]
    dx, dw, du, dh = np.zeros_like(x), 0, 0, 0
    for t in (1, 0):
        da = (dy[:, t] + dh) * (1 - h**2)
        dx[:, t] = da @ w.T
        dw = dw + x[:, t].T @ da
        du = du + states[t].T @ da
        dh = da @ u.T
    return dx, dh, dw, du


def first_state_gets_zeros(dy, cache):
    dx, dh, dw, du = two_steps_backward(dy, cache)
    return dx, np.zeros_like(dh), dw, du


TWO_STEPS = Family(two_steps_forward, two_steps_backward, arguments(x=(2, 2, 3), h0=(2, 4), w=(3, 4), u=(4, 4)))

MISTAKES = (
    # a weight used at every step gets a sum over the steps: one term of two, or a partial sum
    TWO_STEPS.mistake(weights_of_the_first_step_only, "w", "missing_sum", "missing_term"),
    TWO_STEPS.mistake(steps_collected_backwards, "x", "permuted"),
    TWO_STEPS.mistake(last_state_used_for_both_steps, "x h0 w u", "stale_value"),
    TWO_STEPS.mistake(first_state_gets_zeros, "h0", "zero_gradient"),
)
