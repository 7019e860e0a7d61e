"""Right operations drawn at random: every family in turn, sizes of 1 to 5, scales from 1e-3 to 1e3, both precisions."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref import norm, ops
from tests.cases import FAST
from tests.helpers import random_params


class RandomCase(NamedTuple):
    """An operation whose gradients are right, and arguments for it."""

    label: str
    op: Callable[..., Any]
    args: list[Any]
    linear: bool = False  # in each array on its own

    def check(self, seed, **options):
        """The report of the checker."""
        return nl.gradcheck(self.op, *self.args, rng=seed, linear=self.linear, **options)

    def spoiled(self, leaf, factor):
        """The same with one gradient multiplied by a factor; `leaf` counts arrays, those in dicts too."""
        return self._replace(label=f"{self.label}, gradient {leaf} x {factor!r}", op=spoil(self.op, leaf, factor))


def spoil(op, leaf, factor):
    """The operation, with one of its gradients multiplied by a factor."""

    def spoiled(*args):
        y, right_backward = op(*args)

        def backward(dy):
            count, gradients = 0, []
            for dx in right_backward(dy):
                parts = dx if isinstance(dx, dict) else {None: dx}
                parts = {
                    key: part * factor if leaf == count + n else part for n, (key, part) in enumerate(parts.items())
                }
                count += len(parts)
                gradients.append(parts if isinstance(dx, dict) else parts[None])
            return tuple(gradients)

        return y, backward

    return spoiled


def operation(rng, variant, method, draw):
    """A non-local operation, in every second case with a mask, and with a scale where there is one."""
    batch, queries, keys, depth, width = rng.integers(1, 6, size=5)
    options = {"method": method}
    if rng.random() < 0.5:
        options["mask"] = rng.random((batch, queries, keys)) < 0.7
    if "gaussian" in variant and rng.random() < 0.5:
        options["scale"] = depth**-0.5
    arrays = [draw(batch, queries, depth), draw(batch, keys, depth), draw(batch, keys, width)]
    w_f = [draw(2 * depth)] if variant == "concatenation" else []
    return partial(nl.nonlocal_op, variant, **options), [*arrays, *w_f]


def block(rng, variant, training, draw):
    """A whole block, its weights of ordinary size, its norm and its sizes drawn."""
    channels, frames, side = rng.integers(2, 5, size=3)
    config = nl.BlockConfig(
        int(channels),
        variant=variant,
        dims=2,
        subsample=bool(rng.integers(2)),
        norm="batch" if training else [None, "affine", "batch"][rng.integers(3)],
        pool_order=["after", "before"][rng.integers(2)],
        bias=bool(rng.integers(2)),
    )
    x = draw(2, channels, frames, side + 1)
    params = {key: value.astype(x.dtype) for key, value in random_params(config, rng).items()}
    return partial(nl.block, training=training), [x, params, config]


def families():
    """Label -> how to draw (op, args)."""
    sizes = partial(np.random.Generator.integers, low=1, high=6)

    def linear(rng, draw):
        rows, width, depth = sizes(rng, size=3)
        return ops.linear, [draw(2, rows, width), draw(depth, width), draw(depth)]

    def product(rng, draw):
        batch, rows, inner, width = sizes(rng, size=4)
        return ops.matmul, [draw(batch, rows, inner), draw(batch, inner, width)]

    def softmax(rng, draw):
        return ops.softmax, [draw(*sizes(rng, size=3))]

    def batch_norm(rng, draw):
        batch, rows, channels = sizes(rng, size=3)
        return partial(norm.standardise, eps=1e-5), [draw(batch, rows + 1, channels)]

    found = {"linear": linear, "matrix product": product, "softmax": softmax, "batch norm": batch_norm}
    for variant in nl.VARIANTS:
        for method in ("dense", FAST[variant]):
            found[f"{variant}, {method}"] = partial(operation, variant=variant, method=method)
        for training in (False, True):
            found[f"block, {variant}, {'training' if training else 'evaluation'}"] = partial(
                block, variant=variant, training=training
            )
    return found


FAMILIES = families()


def random_case(seed, *, float32=0.25):
    """The case of that number: families take turns, all else is drawn; `float32` is the part in that precision."""
    rng = np.random.default_rng(seed)
    name = list(FAMILIES)[seed % len(FAMILIES)]
    dtype = np.float32 if rng.random() < float32 else np.float64

    def draw(*shape):
        return (10.0 ** rng.uniform(-3, 3) * rng.normal(size=shape)).astype(dtype)

    op, args = FAMILIES[name](rng=rng, draw=draw)
    return RandomCase(f"{name}, {np.dtype(dtype).name}, seed {seed}", op, args, name == "matrix product")
