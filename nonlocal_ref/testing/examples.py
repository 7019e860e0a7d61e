"""The examples that implementations are compared on: small, and exact in float32 as well."""

from collections.abc import Mapping
from math import prod

import numpy as np

from nonlocal_ref.machine.hardware import free_memory
from nonlocal_ref.pairwise import SOFTMAX_VARIANTS
from nonlocal_ref.params import BlockConfig, param_shapes
from nonlocal_ref.residual_block import Params, block
from nonlocal_ref.testing.magnitudes import Values

SIZES = {"B": 3, "N": 5, "M": 4, "D": 7, "E": 6}  # all different, so that no two axes can be mixed up unseen

BIAS = 0.3  # of the size of what it is added to: more would hide it, and leave eq. (5) no pair above zero


def check_memory(variant: str, pairs: int, entries: int) -> None:
    """Refuse, before anything is allocated, what cannot fit: so many numbers a pair and an entry, as measured."""
    needed = 8 * ((15 if variant in SOFTMAX_VARIANTS else 7) * pairs + 5 * entries)
    free = free_memory()
    if free is not None and needed > free:
        msg = (
            f"these sizes need about {needed / 1e9:.3g} GB for the reference, which holds every pair of positions; "
            f"{free / 1e9:.3g} GB are free"
        )
        raise ValueError(msg)


def check_sizes(variant: str, sizes: Mapping[str, int]) -> None:
    """Refuse an operation that cannot fit into memory."""
    batch, queries, keys, depth, width = (sizes[letter] for letter in "BNMDE")
    check_memory(variant, batch * queries * keys, batch * (queries + keys) * (depth + width))


def check_shape(config: BlockConfig, shape: tuple[int, ...]) -> None:
    """Refuse a block that cannot fit into memory."""
    if len(shape) != 2 + config.dims:
        return  # that is said elsewhere
    batch, channels, *space = shape
    seen = list(space)  # by one query
    if config.domain == "space":
        seen[0] = 1
    if config.domain == "time":
        seen[1:] = [1] * (config.dims - 1)
    if config.frame_group is not None:
        seen[0] = config.frame_group
    kernel = config.kernel or (1,) * config.dims
    keys = prod(max(size // window, 1) for size, window in zip(seen, kernel, strict=True))
    weights = sum(prod(shape) for shape in param_shapes(config).values())
    check_memory(config.variant, batch * prod(space) * keys, batch * channels * prod(space) + weights)


def draw(rng: np.random.Generator, shape: tuple[int, ...], size: float = 1.0) -> np.ndarray:
    """Random normal numbers that float32 holds exactly, so that every precision sees the same ones."""
    return rng.normal(0.0, size, shape).astype(np.float32).astype(np.float64)


def vector_size(depth: int, scale: float | None) -> float:
    """Standard deviation of theta and phi that makes logits of about 1: no row is one-hot, none is flat."""
    factor = abs(1.0 if scale is None else scale) or 1.0
    return float((depth**-0.5 / factor) ** 0.5)


def draw_example(
    variant: str, sizes: Mapping[str, int], scale: float | None, rng: np.random.Generator
) -> tuple[Values, np.ndarray]:
    """theta, phi, g, w_f where there is one, and a cotangent: never ones, softmax's gradient of ones is zero."""
    batch, queries, keys, depth, width = (sizes[letter] for letter in "BNMDE")
    length = vector_size(depth, scale)
    arrays = {
        "theta": draw(rng, (batch, queries, depth), length),
        "phi": draw(rng, (batch, keys, depth), length),
        "g": draw(rng, (batch, keys, width)),
    }
    if variant == "concatenation":
        arrays["w_f"] = draw(rng, (2 * depth,))
    return arrays, draw(rng, (batch, queries, width))


def default_shape(config: BlockConfig) -> tuple[int, ...]:
    """A small x: every axis holds its kernel at least twice, most with a remainder; groups of frames fill T."""
    kernel = config.kernel or (1,) * config.dims
    space = [max(2 * size + extra, 2 + extra) for size, extra in zip(kernel, (1, 0, 1)[-config.dims :], strict=True)]
    if config.frame_group is not None:
        space[0] = 2 * config.frame_group
    return (3, config.channels, *space)


def random_params(config: BlockConfig, rng: np.random.Generator) -> Params:
    """A block in the middle of its life: nothing is zero, logits are of about 1, variances are positive."""
    params = {}
    for key, shape in param_shapes(config).items():
        size = vector_size(config.depth, config.scale_factor) if key.startswith(("theta", "phi")) else 1.0
        if key.endswith("bias"):
            size *= BIAS
        elif len(shape) == 2:
            size *= shape[1] ** -0.5
        params[key] = draw(rng, shape, size)
    if "bn.running_var" in params:
        params["bn.running_var"] = (np.abs(params["bn.running_var"]) + 0.5).astype(np.float32).astype(np.float64)
    return params


def with_pairs(config: BlockConfig, x: np.ndarray, params: Params) -> Params:
    """The parameters, or for eq. (5) those with -w_f if that brings more pairs above zero: with none, z is x."""
    if config.variant != "concatenation":
        return params
    seen: dict[str, np.ndarray] = {}
    block(x, params, config, method="dense", tap=lambda name, array: seen.update({name: array}))
    return params if np.mean(seen["weights"] > 0) >= 0.5 else params | {"w_f.weight": -params["w_f.weight"]}


def feature_size(config: BlockConfig) -> float:
    """Standard deviation of x; the Gaussian variant compares x itself."""
    return vector_size(config.depth, config.scale_factor) if config.variant == "gaussian" else 1.0
