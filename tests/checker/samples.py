"""Small operations with right backwards, of every kind that the checker must be at ease with."""

import functools

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.backend import array_namespace


def square(x):
    def backward(dy):
        return (2 * x * dy,)

    return x * x, backward


def linear(x, weight):
    """y = x Wᵀ."""

    def backward(dy):
        return dy @ weight, dy.T @ x

    return x @ weight.T, backward


def affine(x, params):
    """y = x Wᵀ + b, with a dict of parameters and a count that is none."""

    def backward(dy):
        return dy @ params["weight"], {"weight": dy.T @ x, "bias": dy.sum(axis=0)}

    return x @ params["weight"].T + params["bias"], backward


def softmax(scores):
    xp = array_namespace(scores)
    e = xp.exp(scores - xp.max(xp.real(scores), axis=-1, keepdims=True))
    p = e / xp.sum(e, axis=-1, keepdims=True)

    def backward(dp):
        return (p * (dp - xp.sum(dp * p, axis=-1, keepdims=True)),)

    return p, backward


def mean(x):
    """y = Σ x / N over the last axis."""

    def backward(dy):
        return (np.broadcast_to(dy[..., None] / x.shape[-1], x.shape),)

    return x.mean(axis=-1), backward


def weighted_sum(weights, x):
    """y_i = Σ_j w_ij x_j, one of two paths to x left to the reader."""

    def backward(dy):
        return dy @ x.T, weights.T @ dy

    return weights @ x, backward


def residual(x, weight):
    """y = tanh(x Wᵀ) + x: x goes two ways."""
    h = np.tanh(x @ weight.T)

    def backward(dy):
        dh = dy * (1 - h * h)
        return dh @ weight + dy, dh.T @ x

    return h + x, backward


def relu(x):
    def backward(dy):
        return (np.where(x > 0, dy, 0.0),)

    return np.where(np.real(x) > 0, x, 0.0), backward


def absolute(x):
    """|x|, for which the complex step is silently wrong: it is no holomorphic function."""

    def backward(dy):
        return (np.sign(x) * dy,)

    return np.abs(x) + 0 * x, backward


def largest(x):
    """The maximum over the last axis; on a tie the first takes the gradient."""
    first = np.argmax(np.real(x), axis=-1)[..., None]

    def backward(dy):
        dx = np.zeros_like(x)
        np.put_along_axis(dx, first, dy[..., None], axis=-1)
        return (dx,)

    return np.take_along_axis(x, first, axis=-1)[..., 0], backward


def loss(x):
    """A number, as a NumPy scalar."""

    def backward(dy):
        return (dy * np.cos(x),)

    return np.sum(np.sin(x)), backward


def only_real(x):
    """exp, for real numbers alone."""
    if np.iscomplexobj(x):
        msg = "no complex numbers here"
        raise TypeError(msg)
    y = np.exp(x)
    return y, lambda dy: (y * dy,)


def normal(shape, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=shape)


def attention_arrays(seed=0, scale=1.0):
    """theta (2, 3, 4), phi (2, 5, 4), g (2, 5, 3)."""
    return [normal(shape, seed + i, scale) for i, shape in enumerate([(2, 3, 4), (2, 5, 4), (2, 5, 3)])]


SMOOTH = {
    "square": (square, [normal((3, 2))]),
    "linear": (linear, [normal((3, 2)), normal((4, 2), 1)]),
    "softmax": (softmax, [normal((2, 5))]),
    "mean": (mean, [normal((2, 5))]),
    "weighted_sum": (weighted_sum, [normal((2, 5)), normal((5, 3), 1)]),
    "residual": (residual, [normal((2, 3)), normal((3, 3), 1)]),
    "loss": (loss, [normal((2, 3))]),
    "affine": (affine, [normal((3, 2)), {"weight": normal((4, 2), 1), "bias": normal(4, 2), "count": 3}]),
    "gaussian": (functools.partial(nl.nonlocal_op, "gaussian"), attention_arrays()),
    "dot_product": (functools.partial(nl.nonlocal_op, "dot_product"), attention_arrays()),
    "concatenation": (functools.partial(nl.nonlocal_op, "concatenation"), [*attention_arrays(), normal(8, 3)]),
}
