"""The arguments of an operation, taken apart into named arrays (leaves) and put together again.

A leaf is an array argument, or one array of a dict argument: ``theta``, ``params.theta.weight``.  Floating leaves are
what the checker moves.  Every other argument (a config, a string, a mask) is a constant and gets no gradient.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_array_api_obj

from nonlocal_ref.arguments import FLOATS, Like, check_array, check_byte_order, like
from nonlocal_ref.backend import BACKENDS, Array, array_namespace, backend_name, dtype_name, from_host, to_numpy
from nonlocal_ref.wording import first_not_finite

Values = list[np.ndarray]  # one host array per leaf


class Leaf(NamedTuple):
    """One array among the arguments, with its values on the host."""

    name: str
    argument: int  # its position in args
    key: Any  # its key, if that argument is a dict
    values: np.ndarray
    like: Like
    floating: bool

    @property
    def scale(self) -> float:
        """Root mean square of the values; 1 where they are all zero, so that there is a unit to step by."""
        rms = float(np.sqrt(np.mean(np.square(self.values, dtype=np.float64)))) if self.values.size else 0.0
        return rms or 1.0


Convert = Callable[[Leaf, np.ndarray], Array]  # from the host to where the operation wants its arrays


@dataclass(frozen=True)
class Arguments:
    """What an operation is called with: the arguments as given, their names, and the leaves in them."""

    given: tuple[Any, ...]
    names: tuple[str, ...]
    leaves: tuple[Leaf, ...]

    @property
    def values(self) -> Values:
        """Host copies of all leaves, in their own dtypes."""
        return [leaf.values for leaf in self.leaves]

    @property
    def with_gradient(self) -> tuple[int, ...]:
        """Positions of the arguments that must get a gradient: float arrays and dicts with a float array."""
        return tuple(sorted({leaf.argument for leaf in self.leaves if leaf.floating}))

    def fill(self, values: Sequence[np.ndarray], convert: Convert) -> tuple[tuple[Any, ...], list[Array]]:
        """Arguments for the operation, and the arrays among them: fresh arrays and dicts, the constants as given."""
        args = [dict(x) if isinstance(x, dict) else x for x in self.given]
        arrays = [convert(leaf, value) for leaf, value in zip(self.leaves, values, strict=True)]
        for leaf, array in zip(self.leaves, arrays, strict=True):
            if isinstance(self.given[leaf.argument], dict):
                args[leaf.argument][leaf.key] = array
            else:
                args[leaf.argument] = array
        return tuple(args), arrays


def as_given(leaf: Leaf, values: np.ndarray) -> Array:
    """A fresh array with the namespace, device and precision that the leaf came with."""
    return from_host(values, leaf.like.xp, leaf.like.device, dtype_name(leaf.values.dtype) if leaf.floating else None)


def read_arguments(op: Callable[..., Any], args: tuple[Any, ...], names: Sequence[str] | None) -> Arguments:
    """Find the leaves of ``args``; refuse arguments that the checker cannot differentiate."""
    labels = argument_names(op, args) if names is None else check_names(names, len(args))
    leaves = []
    for position, (label, value) in enumerate(zip(labels, args, strict=True)):
        parts = value.items() if isinstance(value, dict) else [(None, value)]
        for key, part in parts:
            leaf_name = f"{label}.{key}" if isinstance(value, dict) else label
            if _is_array(part):
                leaves.append(read_leaf(leaf_name, position, key, part))
    shared = [name for name, count in Counter(leaf.name for leaf in leaves).items() if count > 1]
    if shared:
        msg = f"every array must have a name of its own in the report, {shared[0]!r} is that of two; choose other names"
        raise ValueError(msg)
    floating = [leaf for leaf in leaves if leaf.floating]
    if not floating:
        came = ", ".join(f"{label} is {_describe(value)}" for label, value in zip(labels, args, strict=True))
        msg = f"gradcheck needs a float32 or float64 array (or a dict of them), got {came or 'nothing'}"
        raise TypeError(msg)
    if all(leaf.values.size == 0 for leaf in floating):
        msg = f"there is nothing to differentiate by: {', '.join(leaf.name for leaf in floating)} has no entries"
        raise ValueError(msg)
    return Arguments(args, labels, tuple(leaves))


def read_leaf(name: str, position: int, key: Any, x: Array) -> Leaf:
    """Copy one array to the host; refuse half precision (too coarse to check), NaN and inf."""
    check_array(name, x)
    if backend_name(x) not in BACKENDS:
        msg = f"{name} is a {backend_name(x)} array; known libraries are {', '.join(BACKENDS)}"
        raise TypeError(msg)
    floating = dtype_name(x.dtype) in FLOATS
    if not floating and array_namespace(x).isdtype(x.dtype, "real floating"):
        msg = f"{name} must be float32 or float64 to be checked, got {dtype_name(x.dtype)}; cast it first"
        raise TypeError(msg)
    if floating:
        check_byte_order(name, x)
    values = to_numpy(x)
    if floating and not np.all(np.isfinite(values)):
        msg = f"{name} must be finite to be differentiated by, got {first_not_finite(values)}"
        raise ValueError(msg)
    return Leaf(name, position, key, values, like(x), floating)


def argument_names(op: Callable[..., Any], args: tuple[Any, ...]) -> tuple[str, ...]:
    """Names of the positional arguments from the signature; ``arg0``, ``arg1`` where it has none."""
    try:
        bound = inspect.signature(op).bind_partial(*args).arguments
    except (TypeError, ValueError):  # builtins without a signature, or more arguments than the operation takes
        return tuple(f"arg{i}" for i in range(len(args)))
    names: list[str] = []
    for name, value in bound.items():
        variadic = inspect.signature(op).parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        names += [f"{name}[{i}]" for i in range(len(value))] if variadic else [name]
    return tuple(names)


def check_names(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Refuse names that are not one different string per argument."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        msg = f"names must be a sequence of strings, one per argument, got {names!r}"
        raise TypeError(msg)
    if len(names) != count or len(set(names)) != count:
        msg = f"names must be {count} different strings, one per argument (constants too), got {tuple(names)}"
        raise ValueError(msg)
    return tuple(names)


def _is_array(x: Any) -> bool:
    """Whether x is an array of numbers or booleans; scalars, strings and objects are constants."""
    if not is_array_api_obj(x) or isinstance(x, np.generic):
        return False
    return not (isinstance(x, np.ndarray) and x.dtype.kind not in "biufc")


def unseen(arguments: Arguments) -> tuple[str, ...]:
    """Arguments that look as if a gradient were wanted, and are constants."""
    notes = []
    for name, x in zip(arguments.names, arguments.given, strict=True):
        parts = x.items() if isinstance(x, dict) else [(None, x)]
        for key, part in parts:
            label = name if key is None else f"{name}.{key}"
            kind = type(part).__name__
            if _holds_arrays(part):
                told = (
                    "pass its arrays as arguments or in a dict" if key is None else "put its arrays into the outer dict"
                )
                notes.append(f"{label}: a {kind} is a constant; {told} to check them")
            elif isinstance(part, np.floating):
                notes.append(f"{label}: a number is a constant; make it np.asarray({float(part):g}) to check it")
    return tuple(notes)


def _holds_arrays(x: Any) -> bool:
    """Whether a list, tuple or dict has an array of floats in it, however deep."""
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    return any(_holds_arrays(part) or (_is_array(part) and dtype_name(part.dtype) in FLOATS) for part in parts)


def _describe(x: Any) -> str:
    if isinstance(x, np.floating):
        return f"a number; make it np.asarray({float(x):g})"
    return f"an array of {dtype_name(x.dtype)}" if isinstance(x, np.ndarray) or _is_array(x) else _kind_of(x)


def _kind_of(x: Any) -> str:
    hint = "; pass its arrays as arguments" if _holds_arrays(x) else ""
    return f"of type {type(x).__name__}{hint}"
