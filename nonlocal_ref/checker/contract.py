"""What ``y, backward = op(*args)`` promises, beside the numbers.

    y           a finite array; the same again for the same arguments
    backward    backward(dy) -> a tuple with one gradient per array argument, in argument order; a dict argument gets a
                dict of gradients, and a key without one is a constant
    gradients   shape, dtype, namespace and device of the array they belong to, finite
    purity      nothing that came in is changed, nor dy, nor y; calling backward twice, or after op ran on other inputs,
                gives the same
    linearity   backward(0) = 0 and backward(-2 dy) = -2 backward(dy)

A promise that is not kept is a `Problem` with the name of the culprit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from array_api_compat import is_array_api_obj

from nonlocal_ref.arguments import Like, like
from nonlocal_ref.backend import Array, dtype_name, from_host, to_numpy
from nonlocal_ref.blame import in_one_line
from nonlocal_ref.checker.leaves import Arguments, Convert, Leaf, Values, as_given, unseen
from nonlocal_ref.wording import first_not_finite, kind

Gradients = dict[int, np.ndarray]  # position of the leaf -> its gradient on the host, float64


class Problem(NamedTuple):
    """A promise that was not kept: who, and what happened.

    Attributes
    ----------
    culprit : str
        The argument that it was broken for, "op", "y" or "backward".
    message : str
        What it did.
    kind : {"overwritten", "not_linear", "not_repeatable", "other"}
        Of the promises that say by themselves what is wrong: an array that belongs to somebody else, or to an earlier
        call, was written to; backward is not linear in dy; it gives other numbers each time, so that there is none to
        compare.
    """

    culprit: str
    message: str
    kind: Literal["overwritten", "not_linear", "not_repeatable", "other"] = "other"


class NoGradients(dict[str, Any]):
    """No gradient for any array of a dict argument, where that is meant: a plain ``{}`` may have been forgotten."""


class ContractError(Exception):
    """The operation cannot be checked any further."""

    def __init__(self, culprit: str, message: str) -> None:
        super().__init__(f"{culprit} {message}")
        self.problem = Problem(culprit, message)


@dataclass(frozen=True)
class Call:
    """One run of the operation on fresh arrays, with what is needed to see later whether anything was changed."""

    op: Callable[..., Any]
    arguments: Arguments
    values: Values
    convert: Convert
    args: tuple[Any, ...]
    arrays: list[Array]  # those in args, one per leaf
    y: Array
    y_values: np.ndarray
    y_like: Like
    backward: Callable[[Array], Any]

    def again(self, values: Values) -> "Call":
        """The same operation on other values."""
        return run(self.op, self.arguments, values, self.convert)

    def returned(self, u: np.ndarray) -> dict[int, Any]:
        """What backward returns for the cotangent ``u``, by the position of the leaf it belongs to."""
        dy = from_host(u.astype(self.y_values.dtype), self.y_like.xp, self.y_like.device)
        before = to_numpy(dy)
        gradients = _guarded("backward", self.backward, dy)
        if not np.array_equal(to_numpy(dy), before):
            raise ContractError("backward", "changes dy in place; dy belongs to the caller")
        return match_gradients(self.arguments, gradients)

    def gradients(self, u: np.ndarray) -> Gradients:
        """Those of them that can be computed with."""
        return {
            position: to_numpy(dx).astype(np.float64)
            for position, dx in self.returned(u).items()
            if unusable(self.arguments.leaves[position], dx) is None
        }

    def precision(self, position: int) -> np.finfo:
        """The coarser of the two precisions that a gradient passes through: that of y, and that of its array."""
        dtypes = (self.y_values.dtype, np.dtype(dtype_name(self.arrays[position].dtype)))
        return max((np.finfo(dtype) for dtype in dtypes), key=lambda info: info.eps)

    def changes(self) -> list[Problem]:
        """What was changed, up to now, by code that does not own it."""
        problems = []
        for name, given, now in zip(self.arguments.names, self.arguments.given, self.args, strict=True):
            if isinstance(given, dict) and given.keys() != now.keys():
                problems.append(Problem(name, "had keys added or removed; arguments belong to the caller"))
        for leaf, value, array in zip(self.arguments.leaves, self.values, self.arrays, strict=True):
            holder = self.args[leaf.argument]
            if isinstance(holder, dict) and holder.get(leaf.key) is not array:
                problems.append(
                    Problem(leaf.name, "was replaced in its dict; arguments belong to the caller", "overwritten")
                )
            elif not np.array_equal(to_numpy(array), value, equal_nan=value.dtype.kind in "fc"):
                problems.append(
                    Problem(leaf.name, "was changed in place; arguments belong to the caller", "overwritten")
                )
        if not np.array_equal(to_numpy(self.y), self.y_values):
            problems.append(Problem("backward", "changes y in place; y belongs to the caller", "overwritten"))
        return problems


def run(op: Callable[..., Any], arguments: Arguments, values: Values, convert: Convert = as_given) -> Call:
    """Run the operation forward and look at what comes back."""
    args, arrays = arguments.fill(values, convert)
    result = _guarded("op", op, *args)
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ContractError("op", f"must return (y, backward), got {kind(result)}")
    if not callable(result[1]):
        raise ContractError("op", f"must return (y, backward) with backward a function, got {kind(result[1])} there")
    y, backward = result
    if not is_array_api_obj(y):
        raise ContractError("y", f"must be an array, got {kind(y)}")
    y_values, y_like = _to_host("y", y), like(y)
    if y_values.dtype.kind != "f":
        raise ContractError("y", f"must be real and floating to have a derivative, got {y_values.dtype}")
    leader = like(next(x for x, leaf in zip(arrays, arguments.leaves, strict=True) if leaf.floating))
    if y_like.xp is not leader.xp or y_like.device != leader.device:
        raise ContractError("y", f"is a {_place(y_like)} array, the arguments are {_place(leader)} arrays")
    if not np.all(np.isfinite(y_values)):
        raise ContractError("y", f"is not finite: {first_not_finite(y_values)}")
    return Call(op, arguments, values, convert, args, arrays, y, y_values, y_like, backward)


def match_gradients(arguments: Arguments, returned: Any) -> dict[int, Any]:
    """Which leaf each returned gradient belongs to."""
    wanted = arguments.with_gradient
    names = [arguments.names[i] for i in wanted]
    needs = f"must return a tuple with one gradient per array argument ({', '.join(names)})"
    if not isinstance(returned, tuple):
        hint = f"; write `return (d{names[0]},)`" if len(names) == 1 and returned is not None else ""
        raise ContractError("backward", f"{needs}, got {kind(returned)}{hint}")
    if len(returned) != len(wanted):
        constants = [name for i, name in enumerate(arguments.names) if i not in wanted]
        hint = f"; constants get none: {', '.join(constants)}" if constants else ""
        hint += "".join(f"; {note}" for note in unseen(arguments))
        raise ContractError("backward", f"{needs}, got {len(returned)}{hint}")
    found: dict[int, Any] = {}
    for i, dx in zip(wanted, returned, strict=True):
        keys = {leaf.key: p for p, leaf in enumerate(arguments.leaves) if leaf.argument == i and leaf.floating}
        if not isinstance(arguments.given[i], dict):
            found[keys[None]] = dx
        elif isinstance(dx, NoGradients) or (isinstance(dx, dict) and dx and dx.keys() <= keys.keys()):
            found |= {keys[key]: part for key, part in dx.items()}
        else:
            got = f"a dict with the keys {list(dx)}" if isinstance(dx, dict) else kind(dx)
            raise ContractError(
                arguments.names[i], f"is a dict; its gradient must be a dict with keys out of {list(keys)}, got {got}"
            )
    return found


def unusable(leaf: Leaf, dx: Any) -> str | None:
    """Why the values of a gradient cannot be compared with anything; None if they can."""
    if not is_array_api_obj(dx):
        return f"gets {kind(dx)} for a gradient, it must be an array"
    if tuple(dx.shape) != leaf.like.shape:
        return f"has shape {leaf.like.shape}, its gradient has shape {tuple(dx.shape)}"
    values = _to_host(leaf.name, dx)
    if values.dtype.kind != "f":
        return f"is {leaf.values.dtype}, its gradient is {values.dtype}"
    return None if np.all(np.isfinite(values)) else f"has a gradient that is not finite: {first_not_finite(values)}"


def misplaced(leaf: Leaf, dx: Any) -> str | None:
    """How a gradient differs from the array it belongs to, though its values may be right."""
    came = like(dx)
    if came.xp is not leaf.like.xp or came.device != leaf.like.device:
        return f"is a {_place(leaf.like)} array, its gradient is a {_place(came)} array"
    if dtype_name(dx.dtype) != leaf.values.dtype.name:
        return f"is {leaf.values.dtype}, its gradient is {dtype_name(dx.dtype)}"
    return None


def _guarded(culprit: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call the user's function; whatever it raises becomes a problem that says where."""
    try:
        return function(*args)
    except Exception as error:
        raise ContractError(culprit, f"raised {in_one_line(error)}") from error


def _to_host(culprit: str, x: Array) -> np.ndarray:
    """Copy to the host what the user's function made, of whatever library and dtype that is."""
    try:
        return to_numpy(x)
    except Exception as error:
        raise ContractError(culprit, f"has values that cannot be read on the host: {error}") from error


def _place(x: Like) -> str:
    return f"{x.xp.__name__.removeprefix('array_api_compat.')} ({x.device})"
