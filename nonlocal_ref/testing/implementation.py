"""Calling other people's code: whatever it returns, raises or changes becomes arrays by name, or a problem in words."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from nonlocal_ref.backend import dtype_name, from_host, load_backend, to_numpy
from nonlocal_ref.blame import in_one_line
from nonlocal_ref.testing.magnitudes import Values
from nonlocal_ref.wording import first_not_finite, kind


class BrokenError(Exception):
    """The implementation cannot be compared any further; the text says who did what."""


@dataclass
class Outcome:
    """What one run of an implementation gave: host arrays by name ("z", "dx", "dtheta.weight"), and what was wrong."""

    values: Values = field(default_factory=dict)
    dtypes: dict[str, np.dtype] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, name: str, array: Any, shape: tuple[int, ...]) -> None:
        """Keep one array as float64 on the host, if it is one of that shape."""
        if not is_array_api_obj(array):
            self.problems.append(f"{name} must be an array of shape {shape}, got {kind(array)}")
            return
        host = guarded(f"copying {name} to the host", to_numpy, array)
        if host.shape != shape:
            self.problems.append(f"{name} must have shape {shape}, got {host.shape}")
        elif host.dtype.kind != "f" or host.dtype.itemsize < 4:
            self.problems.append(f"{name} must be float64 or float32, got {dtype_name(host.dtype)}")
        else:
            self.values[name], self.dtypes[name] = host.astype(np.float64), host.dtype
            if not np.all(np.isfinite(host)):
                self.problems.append(f"{name} is not finite: {first_not_finite(host)}")

    def differs(self, again: "Outcome", name: str) -> bool:
        """Whether another run gave another array, but for the rounding of a parallel device."""
        one, other = self.values[name], again.values.get(name)
        rounding = 64 * float(np.finfo(self.dtypes[name]).eps) * float(np.max(np.abs(one), initial=0.0))
        return other is None or bool(np.any(np.abs(one - other) > rounding))


@dataclass(frozen=True)
class Implementation:
    """A function of arrays, with the library and precision in which the arrays are handed over."""

    function: Callable[..., Any]
    backend: str
    dtype: str

    def hand_over(self, tree: Any) -> Any:
        """Fresh arrays for the implementation, from host arrays or a dict of them."""
        xp, place = load_backend(self.backend)
        if isinstance(tree, dict):
            return {key: from_host(value, xp, place, self.dtype) for key, value in tree.items()}
        return from_host(tree, xp, place, self.dtype)

    def call(self, *host: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """Run it forward -> its value, its way back (None if it has none), the arrays it was given."""
        args = tuple(self.hand_over(tree) for tree in host)
        result = guarded("the implementation", self.function, *args)
        if isinstance(result, tuple) and len(result) == 2 and callable(result[1]):
            return result[0], result[1], args
        if isinstance(result, (tuple, list)):
            msg = f"the implementation must return an array or (array, backward), got {kind(result)}"
            raise BrokenError(msg)
        return result, None, args


def check_callable(fn: Any) -> None:
    """Refuse what cannot be called, and a class: what it makes is compared, not the making."""
    if isinstance(fn, type):
        msg = f"fn must be an object, got the class {fn.__name__}; make one: {fn.__name__}(...)"
        raise TypeError(msg)
    if not callable(fn):
        msg = f"fn must be callable, got {type(fn).__name__}"
        raise TypeError(msg)


def guarded(culprit: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call other people's code; whatever it raises becomes a problem that says where."""
    try:
        return function(*args)
    except BrokenError:
        raise
    except Exception as error:
        msg = f"{culprit} raised {in_one_line(error)}"
        raise BrokenError(msg) from error


def observe(
    implementation: Implementation,
    output: str,
    host: dict[str, Any],
    cotangent: np.ndarray,
    read_gradients: Callable[[Outcome, Any], None],
) -> Outcome:
    """Run it forward and back on one example; ``read_gradients`` knows what its way back should return."""
    outcome = Outcome()
    try:
        value, backward, args = implementation.call(*host.values())
        outcome.take(output, value, cotangent.shape)
        again = Outcome()
        again.take(output, implementation.call(*host.values())[0], cotangent.shape)
        if not outcome.problems and outcome.differs(again, output):
            outcome.problems.append(f"{output} differs when it is computed again from the same inputs; is it random?")
        if backward is None:
            outcome.notes.append("only the value was returned, no way back, so no gradient was checked")
        else:
            dy = implementation.hand_over(cotangent)
            read_gradients(outcome, guarded("backward", backward, dy))
            args, host = (*args, dy), host | {f"the cotangent of {output}": cotangent}
        for (name, before), given in zip(host.items(), args, strict=True):
            _check_unchanged(outcome, name, given, before, implementation.dtype)
    except BrokenError as error:
        outcome.problems.append(str(error))
    return outcome


def takes_parameters(function: Callable[..., Any]) -> bool:
    """Whether a function of a block wants (x, params) rather than x alone."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # builtins without a signature
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [p for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty]
    variadic = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    return len(wanted) > 1 or variadic or any(p.name == "params" for p in parameters)


def _check_unchanged(outcome: Outcome, name: str, given: Any, before: Any, dtype: str) -> None:
    """Whether the implementation wrote into what it was given."""
    if isinstance(before, dict):
        for key, then in before.items():
            _check_unchanged(outcome, key, given.get(key), then, dtype)
    elif not is_array_api_obj(given) or not np.array_equal(to_numpy(given), before.astype(dtype)):
        outcome.problems.append(f"{name} was changed by the implementation; inputs belong to the caller")
