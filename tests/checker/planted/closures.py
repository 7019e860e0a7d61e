"""Mistakes with what a closure keeps: rebound names, loop variables, caches, arrays written into."""

import numpy as np

from tests.checker.planted.row import arguments, planted


def layer(x, w):
    y = np.tanh(x @ w)

    def backward(dy):
        da = dy * (1 - y * y)
        return da @ w.T, x.T @ da

    return y, backward


def name_rebound(x, w):
    x = np.tanh(x @ w)

    def backward(dy):
        da = dy * (1 - x * x)
        return da @ w.T, x.T @ da  # x is y by now

    return x, backward


def saved_array_written_into(x, w):
    a = x @ w
    saved = a
    np.tanh(a, out=a)

    def backward(dy):
        da = dy * (1 - np.tanh(saved) ** 2)  # saved holds tanh(a) by now
        return da @ w.T, x.T @ da

    return a, backward


def two_layers(x, w1, w2):
    h, first = layer(x, w1)
    y, second = layer(h, w2)

    def backward(dy):
        dh, dw2 = second(dy)
        dx, dw1 = first(dh)
        return dx, dw1, dw2

    return y, backward


def loop_variable_captured(x, w1, w2):
    steps = []
    for w in (w1, w2):
        y = np.tanh(x @ w)

        def step(dy, x=x, y=y):
            da = dy * (1 - y * y)
            return da @ w.T, x.T @ da  # noqa: B023 - the mistake: every step sees the last w

        steps.append(step)
        x = y

    def backward(dy):
        dh, dw2 = steps[1](dy)
        dx, dw1 = steps[0](dh)
        return dx, dw1, dw2

    return y, backward


def make_memo():
    """Activations remembered by shape; a first call on other numbers of that shape came before."""
    memo = {}

    def remembered_by_shape(x, w):
        y = np.tanh(x @ w)
        kept = memo.setdefault(y.shape, y)

        def backward(dy):
            da = dy * (1 - kept * kept)
            return da @ w.T, x.T @ da

        return y, backward

    remembered_by_shape(np.ones((4, 3)), 0.2 * np.eye(3))
    return remembered_by_shape


def make_last_call():
    """One cache for all calls, as in a layer object with self.x."""
    cache = {}

    def cache_of_the_last_call(x, w):
        cache["x"], cache["w"], cache["y"] = x, w, np.tanh(x @ w)

        def backward(dy):
            da = dy * (1 - cache["y"] ** 2)
            return da @ cache["w"].T, cache["x"].T @ da

        return cache["y"], backward

    return cache_of_the_last_call


def make_accumulated():
    """Gradients added to those of the call before, and nobody sets them to zero."""
    total = {"w": 0}

    def gradients_never_set_to_zero(x, w):
        y, right = layer(x, w)

        def backward(dy):
            dx, dw = right(dy)
            total["w"] = total["w"] + dw
            return dx, total["w"]

        return y, backward

    return gradients_never_set_to_zero


def dy_written_into(x, w):
    y = np.tanh(x @ w)

    def backward(dy):
        dy *= 1 - y * y
        return dy @ w.T, x.T @ dy

    return y, backward


def kept_derivative_written_into(x, w):
    y = np.tanh(x @ w)
    slope = 1 - y * y

    def backward(dy):
        nonlocal slope
        slope *= dy
        return slope @ w.T, x.T @ slope

    return y, backward


ONE = arguments(x=(4, 3), w=(3, 3))
TWO = arguments(x=(4, 3), w1=(3, 3), w2=(3, 3))

MISTAKES = (
    planted(name_rebound, layer, ONE, "w", "stale_value"),
    planted(saved_array_written_into, layer, ONE, "x w", "stale_value"),
    planted(loop_variable_captured, two_layers, TWO, "x", "stale_value"),
    planted(make_memo(), layer, ONE, "x w", "stale_value"),
    planted(
        make_last_call(), layer, ONE, "x w", None, breaks="x gets another gradient after the operation ran on other"
    ),
    planted(make_accumulated(), layer, ONE, "w", None, breaks="w gets another gradient when backward is called a seco"),
    planted(dy_written_into, layer, ONE, "", None, breaks="backward changes dy in place"),
    planted(
        kept_derivative_written_into,
        layer,
        ONE,
        "x w",
        None,
        breaks="x gets another gradient when backward is called a second time",
    ),
)
