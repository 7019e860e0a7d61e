"""Every operation of the core, (y, backward) = op(*arrays), in one table: what all of them must do is tested on all.

Shapes are written in the design's letters, "B N D", or in numbers; a "+" in front draws positive numbers, a "?"
booleans.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref import norm, ops, pairwise, positions
from nonlocal_ref.backend import array_namespace
from nonlocal_ref.dense import dense
from nonlocal_ref.pairwise.concatenation import concatenation_scores
from tests.helpers import CONFIGS, normal

SIZES = {"B": 2, "N": 3, "M": 4, "D": 5, "E": 3, "C": 3, "T": 4, "H": 3, "W": 5}


@dataclass(frozen=True)
class Case:
    """One operation and the shapes of its arguments; constants get no gradient and go by keyword."""

    name: str
    op: Any
    arguments: dict[str, str]
    constants: dict[str, str] = field(default_factory=dict)

    def draw(self, rng, sizes=SIZES):
        """Host arrays: a list of those that have a gradient, a dict of the constants."""
        arrays = [draw(shape, rng, sizes) for shape in self.arguments.values()]
        return arrays, {name: draw(shape, rng, sizes) for name, shape in self.constants.items()}

    def run(self, xp, rng, sizes=SIZES):
        """The operation on one example on one backend -> arguments, y, backward, a random dy."""
        arrays, constants = self.draw(rng, sizes)
        arguments = [xp.asarray(x) for x in arrays]
        y, backward = self.op(*arguments, **{name: xp.asarray(x) for name, x in constants.items()})
        return arguments, y, backward, xp.asarray(normal(rng, *y.shape))


def draw(shape, rng, sizes):
    sides = [side(word, sizes) for word in shape.lstrip("+?").split()]
    if shape.startswith("?"):
        return rng.random(sides) < 0.7
    return np.abs(normal(rng, *sides)) + 0.5 if shape.startswith("+") else normal(rng, *sides)


def side(word, sizes):
    """ "3" is three, "D" the size of D, "2D" twice that."""
    if word.isdigit():
        return int(word)
    return int(word[:-1] or 1) * sizes[word[-1]]


def scores(theta, phi, w_f):
    """`concatenation_scores`, its two values side by side."""
    (a, b), split_backward = concatenation_scores(theta, phi, w_f)
    queries = a.shape[1]

    def backward(dy):
        return split_backward(dy[:, :queries], dy[:, queries:])

    return array_namespace(a).concat([a, b], axis=1), backward


def unfold(features, **options):
    """`unfold` to the x that `SIZES` describes."""
    return positions.unfold(features, tuple(SIZES[letter] for letter in "BCTHW"), **options)


def block_of(config, keys, training, x, *values, **statistics):
    """`block` as a function of x and its trainable parameters in a row."""
    params = dict(zip(keys, values, strict=True)) | statistics
    z, block_backward = nl.block(x, params, config, training=training)

    def backward(dz):
        dx, grads = block_backward(dz)
        return dx, *(grads[key] for key in keys)

    return z, backward


def block_cases():
    for name, (config, shape) in CONFIGS.items():
        sides = {key: " ".join(map(str, sizes)) for key, sizes in nl.param_shapes(config).items()}
        statistics = {key: "+" + text for key, text in sides.items() if "running" in key}
        arguments = {key: text for key, text in sides.items() if key not in statistics}
        for training in (False, True) if config.norm == "batch" else (False,):
            op = partial(block_of, config, tuple(arguments), training)
            mode = "train" if training else "eval"
            yield Case(f"block-{name}-{mode}", op, {"x": " ".join(map(str, shape))} | arguments, statistics)


EMBEDDED = {"theta": "B N D", "phi": "B M D", "g": "B M E"}
PAIR = {"theta": "B N D", "phi": "B M D"}
MASK = {"mask": "?B N M"}
W_F = {"w_f": "2D"}

PIECES = [
    Case("identity", ops.identity, {"x": "B N C"}),
    Case("linear", ops.linear, {"x": "B N C", "weight": "D C", "bias": "D"}),
    Case("linear-no-bias", ops.linear, {"x": "B H W C", "weight": "D C"}),
    Case("matmul", ops.matmul, {"a": "B N M", "b": "B M E"}),
    Case("scaled_product", ops.scaled_product, PAIR),
    Case("scaled_product-scale", partial(ops.scaled_product, scale=0.375), PAIR),
    Case("softmax", ops.softmax, {"scores": "B N M"}),
    Case("softmax-mask", ops.softmax, {"scores": "B N M"}, MASK),
    Case("relu", ops.relu, {"x": "B N M"}),
    Case("mean_over_allowed", ops.mean_over_allowed, {"f": "B N M"}),
    Case("mean_over_allowed-mask", ops.mean_over_allowed, {"f": "B N M"}, MASK),
    Case("gaussian", pairwise.gaussian, PAIR),
    Case("gaussian-scale-mask", partial(pairwise.gaussian, scale=0.5), PAIR, {"mask": "?B 1 M"}),
    Case(
        "embedded_gaussian",
        pairwise.embedded_gaussian,
        {"x": "B N C", "keys": "B M C", "w_theta": "D C", "w_phi": "D C"},
    ),
    Case("dot_product", pairwise.dot_product, PAIR),
    Case("dot_product-mask", pairwise.dot_product, PAIR, MASK),
    Case("concatenation_scores", scores, PAIR | W_F),
    Case("concatenation", pairwise.concatenation, PAIR | W_F),
    Case("concatenation-mask", pairwise.concatenation, PAIR | W_F, MASK),
    Case("dense", partial(dense, pairwise.gaussian), EMBEDDED),
    Case("fold", positions.fold, {"x": "B C T H W"}),
    Case("fold-space", partial(positions.fold, domain="space"), {"x": "B C T H W"}),
    Case("fold-time", partial(positions.fold, domain="time"), {"x": "B C T H W"}),
    Case("fold-groups", partial(positions.fold, frame_group=2), {"x": "B C 4 H W"}),
    Case("unfold", unfold, {"features": "2 4 3 5 3"}),
    Case("unfold-space", partial(unfold, domain="space"), {"features": "8 1 3 5 3"}),
    Case("unfold-time", partial(unfold, domain="time"), {"features": "30 4 3"}),
    Case("unfold-groups", partial(unfold, frame_group=2), {"features": "4 2 3 5 3"}),
    Case("max_pool", partial(positions.max_pool, kernel=(1, 2, 2)), {"x": "B T H W C"}),
    Case("max_pool-1d", partial(positions.max_pool, kernel=(3,)), {"x": "B W C"}),
    Case("max_pool-none", partial(positions.max_pool, kernel=None), {"x": "B W C"}),
    Case("affine", norm.affine, {"x": "B N C", "weight": "C", "bias": "C"}),
    Case("standardise", partial(norm.standardise, eps=0.25), {"x": "B N C"}),
    Case("standardise_with", partial(norm.standardise_with, eps=0.25), {"x": "B N C"}, {"mean": "C", "var": "+C"}),
]
FAST = {"gaussian": "tiled", "embedded_gaussian": "tiled", "dot_product": "reassociated", "concatenation": "sorted"}


def operation_cases():
    for variant in nl.VARIANTS:
        w_f = W_F if variant == "concatenation" else {}
        for suffix, mask in (("", {}), ("-mask", MASK)):
            yield Case(f"weights-{variant}{suffix}", partial(nl.weights, variant), PAIR | w_f, mask)
            for method in ("dense", FAST[variant]):
                op = partial(nl.nonlocal_op, variant, method=method)
                yield Case(f"nonlocal_op-{variant}-{method}{suffix}", op, EMBEDDED | w_f, mask)


OPERATIONS = list(operation_cases())
BLOCKS = list(block_cases())


def named_cases(*tables):
    """pytest parameters, by the cases' names."""
    return [pytest.param(case, id=case.name) for table in tables for case in table]


every_operation = pytest.mark.parametrize("case", named_cases(PIECES, OPERATIONS, BLOCKS))
