"""Each checker as check(op, arrays, seed) -> "right", "wrong" or "undecided"; op comes with its own way back.

PyTorch gets the operation as an `autograd.Function`, JAX as a `custom_vjp`, both on their own arrays, so that what is
differentiated and what is planted are the same lines of code everywhere.
"""

import importlib.util
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np

import nonlocal_ref as nl


class Checker(NamedTuple):
    """A checker, and the library it needs."""

    title: str
    settings: str
    check: Callable[..., str]
    needs: str | None = None

    @property
    def is_here(self):
        return self.needs is None or importlib.util.find_spec(self.needs) is not None


def ours(op, arrays, seed, **options):
    status = nl.gradcheck(op, *arrays, rng=seed, **options).status
    return "undecided" if status == "inconclusive" else status


def taught(op, arrays, seed, threshold):
    """What CS231n teaches: h = 1e-5, entry by entry, |a - n| / (|a| + |n|) with 1e-8 in place of less."""
    h, rng = 1e-5, np.random.default_rng(seed)
    y, backward = op(*arrays)
    dy = rng.normal(size=y.shape).astype(y.dtype)
    for position, (x, dx) in enumerate(zip(arrays, backward(dy), strict=True)):
        measured = np.empty_like(x)
        for index in np.ndindex(*x.shape):
            above, below = x.copy(), x.copy()
            above[index] += h
            below[index] -= h
            plus, minus = (op(*arrays[:position], moved, *arrays[position + 1 :])[0] for moved in (above, below))
            measured[index] = np.sum((plus - minus) * dy) / (2 * h)
        if np.any(np.abs(dx - measured) > threshold * np.maximum(1e-8, np.abs(dx) + np.abs(measured))):
            return "wrong"
    return "right"


def pytorch(op, arrays, seed, **options):
    import torch

    class Operation(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            y, ctx.way_back = op(*tensors)
            return y

        @staticmethod
        def backward(ctx, dy):
            return tuple(ctx.way_back(dy))

    torch.manual_seed(seed)
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not a double precision floating point.*")  # float32 is asked for
        accepted = torch.autograd.gradcheck(Operation.apply, tensors, raise_exception=False, **options)
    return "right" if accepted else "wrong"


def jax_check(op, arrays, seed, **options):
    """JAX draws its direction from a seed of its own, always the same."""
    import jax
    from jax.test_util import check_grads

    @jax.custom_vjp
    def function(*given):
        return op(*given)[0]

    def way_back(given, dy):
        _, backward = op(*given)
        return tuple(backward(jax.numpy.asarray(dy)))  # check_grads hands it over as a NumPy array

    function.defvjp(lambda *given: (function(*given), given), way_back)
    with sixty_four_bits(jax):
        try:
            check_grads(function, tuple(map(jax.numpy.asarray, arrays)), order=1, modes=("rev",), **options)
        except AssertionError:
            return "wrong"
    return "right"


@contextmanager
def sixty_four_bits(jax):
    """JAX with 64 bits, for as long as this lasts."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def checkers(tight):
    """All of them; `tight` maps "torch" and "jax" to the tolerance that `measure.tightest` found for them."""
    found = {
        "ours": Checker("nonlocal_ref", "defaults", ours),
        "ours_full": Checker("nonlocal_ref, full", 'mode="full"', partial(ours, mode="full")),
        "torch": Checker("PyTorch", "defaults: eps 1e-6, atol 1e-5, rtol 1e-3", pytorch, "torch"),
        "torch_fast": Checker(
            "PyTorch, fast", "fast_mode=True, else defaults", partial(pytorch, fast_mode=True), "torch"
        ),
    }
    if "torch" in tight:
        t = tight["torch"]
        found["torch_tight"] = Checker(
            "PyTorch, tight", f"atol = rtol = {t:.0e}", partial(pytorch, atol=t, rtol=t), "torch"
        )
    found["jax"] = Checker("JAX", "defaults: eps 1e-4, atol = rtol = 1e-5", jax_check, "jax")
    if "jax" in tight:
        t = tight["jax"]
        found["jax_tight"] = Checker("JAX, tight", f"atol = rtol = {t:.0e}", partial(jax_check, atol=t, rtol=t), "jax")
    for threshold, words in ((1e-4, "1e-4"), (1e-7, "1e-7")):
        found[f"taught_{threshold:g}"] = Checker(
            f"CS231n, {words}",
            f"h = 1e-5, relative error at most {words}",
            partial(taught, threshold=threshold),
        )
    return {name: checker for name, checker in found.items() if checker.is_here}
