"""What is checked, and how: an operation or a block, through which adapter, against which config."""

import argparse
import importlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any

import nonlocal_ref as nl
from nonlocal_ref.cli.check.finding import find, is_layer, make, read_pairs, required
from nonlocal_ref.cli.check.python_call import python_call
from nonlocal_ref.cli.usage import fail
from nonlocal_ref.comparison.devices import Backend
from nonlocal_ref.testing import (
    ConformanceError,
    ConformanceReport,
    check_block,
    check_operation,
    from_jax,
    from_layer,
    from_pair,
    from_torch,
    load_weights,
)
from nonlocal_ref.testing.implementation import takes_parameters
from nonlocal_ref.testing.torch_module import is_torch_module

FIELDS = ("dims", "inner_channels", "scale", "subsample", "pool_order", "norm", "domain", "frame_group", "bias", "eps")
OF_BLOCKS = ("channels", "preset", *(field for field in FIELDS if field != "scale"))
OF_BLOCKS_TOO = ("shape", "training", "keys", "identity", "params")
CHANNELS = 4


def check(args: argparse.Namespace) -> ConformanceReport:
    """The report, whatever it says; one line where there is nothing to compare."""
    channels = args.channels or CHANNELS
    made = make(args.what, find("MODULE:NAME", args.what), read_pairs("--with", args.arguments), channels)
    there = made.thing
    if not (callable(there) or is_layer(there)):
        fail(
            "check",
            f"{args.what} must give something to call, or with forward and backward, got {type(there).__name__}",
        )
    common = {"rng": args.seed, "backend": args.backend, "dtype": args.dtype, "ratio": args.ratio}
    config = None
    try:
        with Backend("jax" if args.form == "jax" else args.backend).holding(args.dtype):
            if is_block(there, args):
                fn, config = as_block(there, args), block_config(there, args)
                return check_block(fn, config, **block_options(args), **common)
            sizes = read_pairs("--sizes", args.sizes) or None
            return check_operation(as_operation(there, args), args.variant, scale=args.scale, sizes=sizes, **common)
    except ConformanceError as error:
        return replace(error.report, call=python_call(made, args, config))
    except (TypeError, ValueError) as error:  # options that do not fit, a backend that is not here
        fail("check", str(error), error)


def is_block(there: Any, args: argparse.Namespace) -> bool:
    """What it takes tells: x, or x and params, for a block; theta, phi, g for an operation.  Else the options do."""
    of_blocks = [option(name) for name in (*OF_BLOCKS, *OF_BLOCKS_TOO) if getattr(args, name) is not None]
    of_blocks += ["--block"] if args.block else []
    takes = required(there.forward if is_torch_module(there) or is_layer(there) else there)
    if takes is None:
        block = bool(of_blocks)
    else:
        block = len(takes) < 3
        if of_blocks and not block:
            fail("check", f"{', '.join(of_blocks)}: of a block, and {args.what} takes {', '.join(takes)}: an operation")
    if block and args.sizes:
        fail("check", f"--sizes: of an operation, and {args.what} is a block; its sizes are --channels and --shape")
    return block


def option(name: str) -> str:
    """What is written on the command line for an argument of that name."""
    return {"bias": "--no-bias", "identity": "--no-identity"}.get(name, f"--{name.replace('_', '-')}")


def as_operation(there: Any, args: argparse.Namespace) -> Callable[..., Any]:
    """``op(theta, phi, g)``, whatever the form."""
    if is_torch_module(there):
        torch = importlib.import_module("torch")
        return named(from_torch(deepcopy(there).to(getattr(torch, args.dtype))), args.what, there.forward)
    return adapted(there, args)


def as_block(there: Any, args: argparse.Namespace) -> Any:
    """``fn(x, params)``, ``fn(x)`` or a module."""
    if is_torch_module(there):
        return there
    fn = adapted(there, args)
    if args.params is None and not takes_parameters(fn):
        fail(
            "check",
            f"{args.what} takes x alone: give the parameters that it was made with by --params FILE, under our keys",
        )
    return fn


def adapted(there: Any, args: argparse.Namespace) -> Callable[..., Any]:
    """The form that the contract has, from the one that was found or named."""
    if args.backward is not None:
        path = args.backward if ":" in args.backward else f"{args.what.partition(':')[0]}:{args.backward}"
        return named(from_pair(there, find("--backward", path)), args.what, there)
    if args.form == "torch":
        return named(from_torch(there), args.what, there)
    if args.form == "jax":
        return named(from_jax(there), args.what, there)
    if is_layer(there):
        return named(from_layer(there), args.what, there.forward)
    return there  # type: ignore[no-any-return]


def named(op: Callable[..., Any], path: str, source: Callable[..., Any]) -> Callable[..., Any]:
    """The operation under the name that it was found by, with the names of its own arguments."""
    op.__name__ = path.partition(":")[2]
    with suppress(TypeError, ValueError):  # builtins have no signature
        op.__signature__ = inspect.signature(source)  # type: ignore[attr-defined]
    return op


def block_config(there: Any, args: argparse.Namespace) -> nl.BlockConfig:
    """The preset, with what a module says of its size, and with what was asked for."""
    given = {field: getattr(args, field) for field in FIELDS if getattr(args, field) is not None}
    if given.get("norm") == "none":
        given["norm"] = None
    found = module_sizes(there) if is_torch_module(there) else {}
    channels = args.channels or found.pop("channels", CHANNELS)
    found.pop("channels", None)
    return nl.BlockConfig.preset(args.preset or "paper", channels, variant=args.variant, **(found | given))


def module_sizes(module: Any) -> dict[str, int]:
    """Channels, inner channels and dims, off the first weight of a module: that of theta, phi or g as a rule."""
    shape = next((tuple(weight.shape) for weight in module.parameters() if weight.ndim >= 2), None)
    if shape is None:
        return {}
    sizes = {"channels": shape[1], "inner_channels": shape[0]}
    return sizes | ({"dims": len(shape) - 2} if 3 <= len(shape) <= 5 else {})


def block_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `check_block` takes besides the config."""
    options = {name: getattr(args, name) for name in OF_BLOCKS_TOO if getattr(args, name) is not None}
    if "params" in options:
        try:
            options["params"] = load_weights(args.params)
        except OSError as error:
            fail("check", f"argument --params: cannot read {str(args.params)!r}: {error.strerror}", error)
        except (ValueError, ImportError) as error:
            fail("check", f"argument --params: {error}", error)
    return options
