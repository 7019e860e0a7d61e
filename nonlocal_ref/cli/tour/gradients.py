"""Stage (c): the four instantiations and the block, forward and backward, every gradient checked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.backend import to_numpy
from nonlocal_ref.checker import Report
from nonlocal_ref.cli.progress import Tick

INNER = 4
GRID = 8  # the checks look at a grid of 8 x 8 pixels


@dataclass(frozen=True)
class Run:
    """One operation on the whole crop, with times in seconds, and the checks of its gradients on a grid of pixels."""

    operation: str
    variant: str
    positions: int
    forward: float
    backward: float
    report: Report


def run_and_check(features: np.ndarray, backend: str, rng: np.random.Generator, tick: Tick) -> list[Run]:
    """features (H, W, C): every operation forward and backward on all of them, checked on a grid of them."""
    step = max(min(features.shape[:2]) // GRID, 1)
    grid = features[::step, ::step][:GRID, :GRID]
    makers = [(name, variant) for name in ("nonlocal_op", "block") for variant in nl.VARIANTS]
    runs = []
    for done, (name, variant) in enumerate(makers, start=1):
        make = operation_case if name == "nonlocal_op" else block_case
        op, args, size = make(variant, features, backend, rng)
        forward, backward = time_both_ways(op, args, backend, rng)
        checked_op, checked_args, _ = make(variant, grid, backend, rng)
        report = nl.gradcheck(checked_op, *checked_args, rng=rng)
        runs.append(Run(name, variant, size, forward, backward, report))
        tick(done, len(makers))
    return runs


def operation_case(
    variant: str, features: np.ndarray, backend: str, rng: np.random.Generator
) -> tuple[Callable[..., Any], tuple[Any, ...], int]:
    """nl.nonlocal_op on random projections of the features: what to call, with what, on how many positions."""
    height, width, channels = features.shape
    x = features.reshape(1, height * width, channels)
    theta, phi, g = (x @ rng.normal(0, channels**-0.5, (channels, INNER)) for _ in range(3))
    w_f = [rng.normal(0, INNER**-0.5, 2 * INNER)] if variant == "concatenation" else []
    args = (variant, *(nl.to_backend(value, backend) for value in (theta, phi, g, *w_f)))
    return nl.nonlocal_op, args, height * width


def block_case(
    variant: str, features: np.ndarray, backend: str, rng: np.random.Generator
) -> tuple[Callable[..., Any], tuple[Any, ...], int]:
    """nl.block in training mode, on the features as a feature map, with a scale after batch norm that is not zero."""
    height, width, channels = features.shape
    config = nl.BlockConfig(channels, dims=2, variant=variant, inner_channels=INNER)
    params = nl.init_params(config, rng)
    params["bn.weight"] = rng.standard_normal((channels,))  # at the initial 0 only gamma and beta get a gradient
    x = np.ascontiguousarray(np.moveaxis(features, -1, 0)[None])
    return (
        partial(nl.block, training=True),
        (nl.to_backend(x, backend), nl.to_backend(params, backend), config),
        height * width,
    )


def time_both_ways(
    op: Callable[..., Any], args: tuple[Any, ...], backend: str, rng: np.random.Generator
) -> tuple[float, float]:
    """Seconds forward and backward, one run each; fetching the result waits for a GPU."""
    start = time.perf_counter()
    y, backward = op(*args)
    dy = rng.standard_normal(to_numpy(y).shape)
    middle = time.perf_counter()
    to_numpy(backward(nl.to_backend(dy, backend))[0])
    return middle - start, time.perf_counter() - middle
