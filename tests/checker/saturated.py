"""Losses with right backwards, each as it is usually written, to be looked at where they are saturated."""

import numpy as np

LABELS = np.asarray([2, 0, 1, 4, 3, 2])
ONE_HOT = np.eye(5)[LABELS]
ROWS = np.arange(6)


def log_softmax(z):
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def cross_entropy_of_one(z):
    p = np.exp(z - z.max())
    p = p / p.sum()
    return -np.log(p[0]), lambda d: (d * (p - np.eye(len(p))[0]),)


def cross_entropy_of_p(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return -np.log(p[ROWS, LABELS]).mean(), lambda d: (d * (p - ONE_HOT) / len(z),)


def cross_entropy_of_log_p(z):
    log_p = log_softmax(z)
    return -log_p[ROWS, LABELS].mean(), lambda d: (d * (np.exp(log_p) - ONE_HOT) / len(z),)


def cross_entropy_by_logsumexp(z):
    shift = z.real.max(axis=-1, keepdims=True)
    total = shift + np.log(np.exp(z - shift).sum(axis=-1, keepdims=True))
    return (total[:, 0] - z[ROWS, LABELS]).mean(), lambda d: (d * (np.exp(z - total) - ONE_HOT) / len(z),)


def cross_entropy_of_rows(z):
    log_p = log_softmax(z)
    return -log_p[ROWS, LABELS], lambda d: (d[:, None] * (np.exp(log_p) - ONE_HOT),)


def cross_entropy_of_real_numbers(z):
    if np.iscomplexobj(z):
        msg = "no complex numbers here"
        raise TypeError(msg)
    return cross_entropy_of_p(z)


def binary(softplus_of_minus):
    """Binary cross entropy of logits; the targets are their signs."""

    def op(z):
        s, target = 1 / (1 + np.exp(-z)), (z.real > 0).astype(float)
        return np.mean(np.maximum(z, 0) - z * target + softplus_of_minus(np.abs(z))), lambda d: (
            d * (s - target) / z.size,
        )

    return op


def contrastive(a):
    """InfoNCE: row i of a is to be like itself and not like the others."""
    log_p = log_softmax(a @ a.T)

    def backward(d):
        ds = d * (np.exp(log_p) - np.eye(len(a))) / len(a)
        return (ds @ a + ds.T @ a,)

    return -np.trace(log_p) / len(a), backward


def entropy(z):
    log_p = log_softmax(z)
    p = np.exp(log_p)
    h = -(p * log_p).sum(axis=-1)
    return h, lambda d: (-d[:, None] * p * (log_p + h[:, None]),)


def log_probabilities(z):
    log_p = log_softmax(z)
    return log_p, lambda dy: (dy - np.exp(log_p) * dy.sum(axis=-1, keepdims=True),)


def tanh(z):
    t = np.tanh(z)
    return t, lambda dy: (dy * (1 - t * t),)


def sigmoid(z):
    s = 1 / (1 + np.exp(-z))
    return s, lambda dy: (dy * s * (1 - s),)


def logits(margin, seed):
    """(6, 5): the right class ahead of the others by about the margin."""
    return margin * ONE_HOT + np.random.default_rng(seed).normal(size=(6, 5))


def far_out(margin, seed):
    """(6, 5), each about the margin away from 0, on either side."""
    rng = np.random.default_rng(seed)
    return margin * np.sign(rng.normal(size=(6, 5))) + rng.normal(size=(6, 5))


def first_ahead(margin, seed):
    """(3,): the first ahead of the others by about the margin."""
    return margin * np.eye(3)[0] + np.random.default_rng(seed).normal(size=3)


CLASSIFIERS = {
    "-log p of one": (cross_entropy_of_one, first_ahead),
    "-log p": (cross_entropy_of_p, logits),
    "-log_softmax": (cross_entropy_of_log_p, logits),
    "logsumexp - z": (cross_entropy_by_logsumexp, logits),
    "row by row": (cross_entropy_of_rows, logits),
    "real numbers only": (cross_entropy_of_real_numbers, logits),
    "binary, log1p": (binary(lambda z: np.log1p(np.exp(-z))), far_out),
    "binary, log": (binary(lambda z: np.log(1 + np.exp(-z))), far_out),
}
POINTWISE = {"tanh": (tanh, far_out), "sigmoid": (sigmoid, far_out)}
SPREAD = {"entropy": entropy, "log probabilities": log_probabilities, "contrastive": contrastive} | {
    name: CLASSIFIERS[name][0] for name in ("-log p", "logsumexp - z", "binary, log1p", "binary, log")
}
