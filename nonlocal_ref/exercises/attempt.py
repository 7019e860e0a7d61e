"""Calling what a learner handed in, which may be anything: what goes wrong becomes a sentence, never a crash."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nonlocal_ref.blame import frame_of, message_of, place_of
from nonlocal_ref.exercises.hints import same
from nonlocal_ref.wording import kind


class TroubleError(Exception):
    """Why an answer cannot be compared with the right one."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings of overflow and the like: what they lead to is seen in the numbers."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def outputs(
    solution: Any,
    args: tuple[Any, ...],
    value_name: str,
    gradient_names: tuple[str, ...],
    call: str,
    right: dict[str, Any] | None,
) -> dict[str, Any]:
    """The value of a solution and, where there are gradients, those that its backward gives; by name.

    With ``right`` everything is looked at: what is no array of numbers is a `TroubleError`.  Behind a wrong value
    backward is not asked for gradients; they are None.
    """
    if not callable(solution):
        raise TroubleError(
            "not_callable", f"Hand in the function itself, not what it returns: this is {kind(solution)}."
        )
    result = guarded("The function", solution, *map(copied, args), call=call)
    if not gradient_names:
        value = result
        if isinstance(result, tuple) and right is not None and not isinstance(right[value_name], tuple):
            raise TroubleError("not_plain", f"It returned {kind(result)}; here the value alone is asked for: {call}.")
        return {value_name: value if right is None else checked(value_name, value, right)}
    if result is None:
        raise TroubleError("none", f"It returned None: is there a `return`? It must be {call}.")
    if not (isinstance(result, tuple) and len(result) == 2):
        raise TroubleError(
            "not_a_pair", f"It returned {kind(result)}; it must return the value and the way back: {call}."
        )
    value, backward = result
    found = {value_name: value if right is None else checked(value_name, value, right)}
    if right is not None and not same(found[value_name], right[value_name]):
        return found | dict.fromkeys(gradient_names)
    if not callable(backward):
        raise TroubleError("no_backward", f"The second thing it returned is {kind(backward)}; it must be a function.")
    gradients = guarded("backward", backward, cotangent(value), call=f"backward(d{value_name})")
    return found | named_gradients(gradients, gradient_names, right)


def cotangent(y: Any) -> np.ndarray:
    """A dy for this y: random, never ones, of two decimals.  The same for the same shape."""
    shape = np.shape(y)
    return np.asarray(np.round(np.random.default_rng((1, *shape)).normal(size=shape), 2) + 0.0)


def named_gradients(gradients: Any, names: tuple[str, ...], right: dict[str, Any] | None) -> dict[str, Any]:
    """What backward returned, by name; a `TroubleError` if it is not one gradient per array argument."""
    if right is None:
        return dict(zip(names, gradients, strict=True))
    wanted = f"a tuple: return {', '.join(names)}{',' if len(names) == 1 else ''}"
    if gradients is None:
        raise TroubleError("backward_none", f"backward returned None: is there a `return`? It must be {wanted}.")
    if not isinstance(gradients, tuple):
        comma = " (the comma makes the tuple)" if len(names) == 1 else ""
        raise TroubleError("not_a_tuple", f"backward returned {kind(gradients)}; it must be {wanted}{comma}.")
    if len(gradients) != len(names):
        raise TroubleError("wrong_number", f"backward returned {len(gradients)} gradients; it must be {wanted}.")
    return {name: checked(name, dx, right) for name, dx in zip(names, gradients, strict=True)}


def checked(name: str, got: Any, right: dict[str, Any]) -> Any:
    """The array (or number) itself; a `TroubleError` if it is none, or not one of real floating-point numbers."""
    wanted = right[name]
    if got is None:
        raise TroubleError("is_none", f"{name} is None.")
    if not isinstance(wanted, np.ndarray):
        if isinstance(got, (int, float, np.number)) and not isinstance(got, bool):
            return got
        if isinstance(got, np.ndarray) and got.ndim == 0 and got.dtype.kind in "iuf":
            return got[()]
        raise TroubleError("not_a_number", f"{name} must be a number; this is {kind(got)}.")
    if isinstance(got, (np.ma.MaskedArray, np.matrix)) or not isinstance(got, (np.ndarray, np.floating)):
        fix = f"; make it one with np.asarray({name})" if isinstance(got, (list, tuple)) else ""
        raise TroubleError("not_an_array", f"{name} must be a NumPy array; this is {kind(got)}{fix}.")
    if got.dtype != wanted.dtype:
        raise TroubleError("wrong_dtype", f"{name} has the dtype {got.dtype}; it must be {wanted.dtype}.")
    return np.array(got)  # a copy: the learner's own may change later


def guarded(who: str, function: Callable[..., Any], *args: Any, call: str) -> Any:
    """Call it; whatever it raises becomes a sentence with the line at fault."""
    try:
        return function(*args)
    except NotImplementedError as error:
        raise TroubleError("to_be_written", f"{who} is still to be written: {call}.") from error
    except Exception as error:
        raise TroubleError("raised", f"{who} raised {described(error)} It was called as {call}.") from error


def described(error: BaseException) -> str:
    """What was raised, and the last line of the learner's own code on the way there."""
    frame = frame_of(error)
    line = f": `{frame.line}`" if frame and frame.line else ""
    place = f" ({place_of(error)}{line})" if frame else ""
    return f"{message_of(error)}{place}."


def copied(argument: Any) -> Any:
    """A fresh array, so that nobody can spoil the inputs."""
    return argument.copy() if isinstance(argument, np.ndarray) else argument
