"""What is checked: the weights, the operation in every form, the block with every option; each on a small example."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.exact import tiled
from nonlocal_ref.exact.planning import FAST_FORMS
from nonlocal_ref.exact.tiles import Tiling
from nonlocal_ref.pairwise import SOFTMAX_VARIANTS
from nonlocal_ref.params import STATISTICS
from nonlocal_ref.testing.examples import (
    SIZES,
    default_shape,
    draw,
    draw_example,
    feature_size,
    random_params,
    with_pairs,
)

CHANNELS = 4
SMALL_TILES = Tiling(2, 2, 3, 1)  # two batch elements, 2 queries, 3 keys: neither divides the example's sizes
DENSE_ALONE = ("dense", "weights")  # what carries complex numbers through


@dataclass(frozen=True)
class Case:
    """One operation and one example.

    ``group`` is its line in the short table; ``constants`` are the arrays that get no gradient; ``holomorphic`` says
    whether a complex step goes through it.
    """

    group: str
    name: str
    op: Callable[..., Any]
    names: tuple[str, ...]
    make: Callable[[np.random.Generator], list[Any]]
    constants: frozenset[str] = frozenset()
    holomorphic: bool = True

    def arguments(self, seed: int) -> list[Any]:
        """The example, on the host in float64, the same one whatever else is checked."""
        return self.make(np.random.default_rng([seed, crc32(self.name.encode())]))


def all_cases(variants: list[str], dims: list[int], *, quick: bool) -> list[Case]:
    """Every case for these variants and numbers of axes."""
    operations = [case for variant in variants for case in operation_cases(variant)]
    return operations + [case for variant in variants for case in block_cases(variant, dims, quick=quick)]


def operation_cases(variant: str) -> Iterator[Case]:
    """The weights, and the operation: dense, in the exact form without the N x M matrix, under a mask, scaled."""
    pair = ("theta", "phi", *(["w_f"] if variant == "concatenation" else []))
    names = (*pair[:2], "g", *pair[2:])
    fast = FAST_FORMS[variant]

    def make(rng: np.random.Generator, scale: float | None = None) -> list[Any]:
        arrays, _ = draw_example(variant, SIZES, scale, rng)
        return [arrays[name] for name in names]

    def make_pair(rng: np.random.Generator) -> list[Any]:
        arrays, _ = draw_example(variant, SIZES, None, rng)
        return [arrays[name] for name in pair]

    def make_masked(rng: np.random.Generator) -> list[Any]:
        mask = rng.random((SIZES["B"], SIZES["N"], SIZES["M"])) < 0.6
        mask[0, 0] = False  # a query without any key
        return [*make(rng), mask]

    def masked(*args: Any, method: str) -> Any:
        return nl.nonlocal_op(variant, *args[:-1], mask=args[-1], method=method)

    def case(form: str, detail: str, op: Callable[..., Any], names: tuple[str, ...], make: Any) -> Case:
        group = f"{variant}, {form}"
        return Case(group, group + detail, op, names, make, holomorphic=form in DENSE_ALONE)

    yield case("weights", "", partial(nl.weights, variant), pair, make_pair)
    for form in ("dense", fast):
        yield case(form, "", partial(nl.nonlocal_op, variant, method=form), names, make)
        if form in ("dense", "tiled"):
            yield case(form, ", masked", partial(masked, method=form), (*names, "mask"), make_masked)
        if variant in SOFTMAX_VARIANTS:
            scaled = partial(nl.nonlocal_op, variant, scale=SIZES["D"] ** -0.5, method=form)
            yield case(form, ", scaled", scaled, names, partial(make, scale=SIZES["D"] ** -0.5))
    if fast == "tiled":
        yield case(fast, ", many tiles", partial(tiled, tiling=SMALL_TILES, scale=None), names, make)


def block_cases(variant: str, dims: list[int], *, quick: bool) -> Iterator[Case]:
    """The block with so many axes, in training and with running statistics; its options on the largest of them."""
    most = max(dims)
    configs = {f"{axes}D": {"": nl.BlockConfig(CHANNELS, variant=variant, dims=axes)} for axes in dims}
    if not quick:
        make = partial(nl.BlockConfig, CHANNELS, variant=variant, dims=most)
        others = ("caffe2", "mmcv")  # the paper's is the one above; alexhex7's differs in its initial values alone
        configs["presets"] = {n: nl.BlockConfig.preset(n, CHANNELS, variant=variant, dims=most) for n in others}
        configs["norm, bias"] = {
            "norm affine": make(norm="affine"),
            "norm none": make(norm=None),
            "no bias": make(bias=False),
        }
        configs["pooling"] = {"pooled before": make(pool_order="before"), "not pooled": make(subsample=False)}
        if most == 3:
            kernel = (2, 1, 1)
            configs["domains"] = {
                "space": make(domain="space"),
                "time": make(domain="time", subsample=kernel),
                "groups of frames": make(frame_group=2),
            }
    for group, members in configs.items():
        for detail, config in members.items():
            yield block_case(f"block {variant}, {group}", detail, config, training=config.norm == "batch")
            if not detail:
                yield block_case(f"block {variant}, {group}", detail, config, training=False)


def block_case(group: str, detail: str, config: nl.BlockConfig, *, training: bool) -> Case:
    """One block in the middle of its life: nothing in it is zero."""

    def make(rng: np.random.Generator) -> list[Any]:
        params = random_params(config, rng)
        x = draw(rng, default_shape(config), feature_size(config))
        return [x, with_pairs(config, x, params)]

    statistics = "" if config.norm != "batch" else "training" if training else "running statistics"
    name = ", ".join(word for word in (group, detail, statistics) if word)
    constants = frozenset(f"params.{key}" for key in STATISTICS if key in nl.param_shapes(config))
    op = partial(nl.block, config=config, training=training)
    return Case(group, name, op, ("x", "params"), make, constants)
