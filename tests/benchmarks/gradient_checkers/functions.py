"""The functions that every checker is given: y, backward = op(*arrays), on arrays of NumPy, PyTorch and JAX alike.

Shapes are fixed, since JAX compiles for every new one; numbers are drawn.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref import norm, ops

SCALES = (1e-3, 1e-1, 1.0, 1e1, 1e3)
QUERIES, KEYS, DEPTH, WIDTH = 3, 4, 3, 2
EPS = 1e-5  # batch norm's


class Function(NamedTuple):
    """An operation, and draw(rng, scale) -> its arrays, in float64."""

    title: str
    op: Callable[..., Any]
    draw: Callable[[np.random.Generator, float], list[np.ndarray]]
    scales: tuple[float, ...] = SCALES


def embeddings(rng, scale):
    """theta, phi, g; the logits are of ordinary size at every scale, so that nothing saturates."""
    shapes = (1, QUERIES, DEPTH), (1, KEYS, DEPTH), (1, KEYS, WIDTH)
    return [factor * rng.normal(size=shape) for factor, shape in zip((scale, 1 / scale, scale), shapes, strict=True)]


def scaled_embeddings(rng, scale):
    """theta, phi, g, all multiplied by the scale."""
    return [scale * x for x in embeddings(rng, 1.0)]


def saturated(rng, scale):
    """Logits of which one is ahead by 12 to 18: p is 1 to five digits and more."""
    logits = scale * rng.normal(size=(1, QUERIES, KEYS))
    logits[..., 0] = np.max(logits, axis=-1) + rng.uniform(12, 18, size=QUERIES)
    return [logits]


FUNCTIONS = {
    "attention": Function("softmax attention", partial(nl.nonlocal_op, "gaussian", method="dense"), embeddings),
    "dot_product": Function("dot product", partial(nl.nonlocal_op, "dot_product", method="dense"), scaled_embeddings),
    "concatenation": Function(
        "concatenation, ReLU",
        partial(nl.nonlocal_op, "concatenation", method="dense"),
        lambda rng, scale: [*scaled_embeddings(rng, scale), rng.normal(size=2 * DEPTH)],
    ),
    "linear": Function(
        "linear",
        ops.linear,
        lambda rng, scale: [scale * rng.normal(size=shape) for shape in ((4, DEPTH), (WIDTH, DEPTH), (WIDTH,))],
    ),
    "batch_norm": Function(
        "batch norm",
        partial(norm.standardise, eps=EPS),
        lambda rng, scale: [scale * rng.normal(size=(2, 4, WIDTH))],
    ),
    "saturated": Function("saturated softmax", ops.softmax, saturated, scales=(1.0,)),
}


def planted(op, position, error):
    """The operation, one of its gradients multiplied by 1 + error."""

    def wrong(*arrays):
        y, right_backward = op(*arrays)

        def backward(dy):
            return tuple(dx * (1 + error) if n == position else dx for n, dx in enumerate(right_backward(dy)))

        return y, backward

    return wrong


# Right cases that are hard to call right


def ordinary(rng):
    name = rng.choice([name for name in FUNCTIONS if name != "saturated"])
    return FUNCTIONS[name].op, FUNCTIONS[name].draw(rng, 1.0)


def any_scale(rng):
    """Every array at a scale of its own, 1e-3 to 1e3; attention saturates in some of them."""
    op, arrays = ordinary(rng)
    return op, [10 ** rng.uniform(-3, 3) * x for x in arrays]


def any_saturation(rng):
    """A softmax of logits that are spread by 10 to 100."""
    return ops.softmax, [10 ** rng.uniform(1, 2) * rng.normal(size=(1, QUERIES, KEYS))]


def near_a_kink(rng):
    """A ReLU with one of its inputs 1e-9 to 1e-4 away from 0."""
    x = rng.normal(size=(4, DEPTH))
    x.flat[rng.integers(x.size)] = rng.choice([-1, 1]) * 10 ** rng.uniform(-9, -4)
    return ops.relu, [x]


def single_precision(rng):
    op, arrays = ordinary(rng)
    return op, [x.astype(np.float32) for x in arrays]


GROUPS = {
    "ordinary": ("float64, scale 1", ordinary),
    "scales": ("float64, scales 1e-3 to 1e3", any_scale),
    "saturated": ("saturated softmax", any_saturation),
    "kinks": ("ReLU near its kink", near_a_kink),
    "float32": ("float32, scale 1", single_precision),
}


def larger_attention(rng):
    """For the time of a check: 16 queries, 16 keys, 8 channels."""
    return FUNCTIONS["attention"].op, list(rng.normal(size=(3, 1, 16, 8)))
