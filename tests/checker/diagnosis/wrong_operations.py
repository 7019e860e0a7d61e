"""Operations with one wrong gradient each, and what the checker proposes for them."""

import numpy as np

import nonlocal_ref as nl


def normal(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).normal(size=shape)


def turned(x):
    return np.swapaxes(x, -1, -2)


def softmax(scores, axis=-1):
    e = np.exp(scores - np.max(np.real(scores), axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_backward(p, dp):
    return p * (dp - np.sum(p * dp, axis=-1, keepdims=True))


def spoiled(op, spoil):
    """The operation with spoil(its gradients, dy, y, *args) in the place of its gradients."""

    def wrong(*args):
        y, right = op(*args)
        return y, lambda dy: spoil(right(dy), dy, y, *args)

    return wrong


def attention(q, k, v):
    """Somebody's own: softmax(q kᵀ / sqrt(D)) v."""
    scale = q.shape[-1] ** -0.5
    p = softmax(scale * q @ turned(k))

    def backward(dy):
        ds = softmax_backward(p, dy @ turned(v))
        return scale * ds @ k, scale * turned(ds) @ q, turned(p) @ dy

    return p @ v, backward


def linear(x, w):
    return x @ w.T, lambda dy: (dy @ w, dy.T @ x)


def shift(x, b):
    return np.sin(x) + b, lambda dy: (dy * np.cos(x), dy.sum(axis=tuple(range(dy.ndim - b.ndim))))


def sine(x):
    return np.sin(x), lambda dy: (np.cos(x) * dy,)


def first_names(op, *args, **options):
    """The first proposal for each array that has one."""
    report = nl.gradcheck(op, *args, rng=0, **options)
    return {name: proposals[0].name for name, proposals in report.diagnosis.items()}


def proposals(op, *args, **options):
    """All that is proposed for the only wrong array."""
    (found,) = nl.gradcheck(op, *args, rng=0, **options).diagnosis.values()
    return found


QKV = [normal(2, 2, 8), normal(2, 3, 8), normal(2, 3, 4)]
SQUARE = [normal(2, 4, 3, seed=i) for i in range(3)]
