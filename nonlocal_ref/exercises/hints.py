"""Small named tests of what is wrong: first the mistakes of the exercise, then those that every gradient can have."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

RTOL = 1e-9  # of the largest entry: far above rounding (1e-15, times a hundred terms), far below any mistake


NEARLY = 1e-3  # of the largest entry: what another step of a difference, or another eps, makes of a right answer
OF_A_NUMBER = {"factor", "constant_added", "nearly"}  # names of hints whose number may depend on the input


class Hint(NamedTuple):
    """What is wrong with an answer, one of ``Result.hints``.

    Attributes
    ----------
    name : str
        For programs: that of a known mistake ("jacobian_missing") or of a relation to the right numbers ("factor").
    text : str
        For people.
    """

    name: str
    text: str


def same(a: Any, b: Any) -> bool:
    """Equal shapes, and equal numbers up to rounding; NaN equals NaN."""
    if a is None or b is None or np.shape(a) != np.shape(b):
        return False
    size = np.max(np.abs(np.nan_to_num(np.asarray(b, dtype=np.float64), posinf=0, neginf=0)), initial=0.0)
    return bool(np.allclose(a, b, rtol=RTOL, atol=RTOL * max(float(size), 1e-6), equal_nan=True))


def read_hint(mistake: Callable[..., Any]) -> Hint:
    """A wrong solution's name and docstring."""
    name = mistake.__name__
    return Hint(name, " ".join((mistake.__doc__ or name).split()))


def exchanged(name: str, got: dict[str, Any], right: dict[str, Any], gradients: Sequence[str]) -> Hint | None:
    """A right gradient in the place of another."""
    for other in gradients:
        if other != name and name in gradients and same(got[name], right[other]):
            text = f"In the place of {name} stands {other}. Gradients come in the order of the arguments: "
            return Hint("order", text + f"{', '.join(gradients)}.")
    return None


def general(name: str, got: Any, right: Any) -> Hint | None:
    """The first test that recognises how these numbers are wrong; None where they are right."""
    if got is None or same(got, right):
        return None
    a, b = np.asarray(got), np.asarray(right)
    if a.shape != b.shape:
        return wrong_shape(name, a, b)
    for test in TESTS:
        found = test(name, a, b)
        if found is not None:
            return found
    return None


def wrong_shape(name: str, got: np.ndarray, right: np.ndarray) -> Hint:
    """The shape says which sum or which transposition is missing."""
    said = f"{name} has shape {got.shape}; it must have shape {right.shape}"
    if got.ndim >= 2 and same(np.swapaxes(got, -1, -2), right):
        return Hint("transposed", f"{said}. The numbers are right: it is transposed.")
    if got.ndim > right.ndim and got.shape[got.ndim - right.ndim :] == right.shape:
        more = "The argument is used at every position, so its gradient is a sum over all of them"
        return Hint("sum_missing", f"{said}. {more}: a copy on the way forth is a sum on the way back.")
    if got.ndim == right.ndim and all(m in (1, n) for n, m in zip(got.shape, right.shape, strict=True)):
        return Hint("sum_missing", f"{said}. What was broadcast on the way forth is summed on the way back.")
    return Hint("shape", f"{said}.")


def not_finite(name: str, got: np.ndarray, right: np.ndarray) -> Hint | None:
    """NaN or inf where there should be a number."""
    if np.all(np.isfinite(got)) or not np.all(np.isfinite(right)):
        return None
    return Hint("not_finite", f"{name} holds inf or nan: something overflowed, or 0 was divided by 0.")


def zero(name: str, got: np.ndarray, right: np.ndarray) -> Hint | None:
    """Nothing arrives."""
    return None if np.any(got) else Hint("zero", f"{name} is zero everywhere: nothing arrives there.")


def sign(name: str, got: np.ndarray, right: np.ndarray) -> Hint | None:
    """Minus the right numbers."""
    return Hint("sign", f"{name} has the wrong sign, all of it.") if same(got, -right) else None


def factor(name: str, got: np.ndarray, right: np.ndarray) -> Hint | None:
    """The right numbers times a constant."""
    if np.count_nonzero(right) < 2:  # one number is a multiple of any other
        return None
    times = float(np.sum(got * right)) / float(np.sum(right * right))
    if not same(got, times * right):
        return None
    return Hint("factor", f"{name} is {times:.6g} times what it should be, everywhere.")


def factor_of_numbers(name: str, pairs: Sequence[tuple[Any, Any]]) -> Hint | None:
    """The same factor for several inputs, whose values are one number each."""
    if len(pairs) < 2 or not all(np.isfinite(got) and got and right for got, right in pairs):  # 0 has a name of its own
        return None
    times = pairs[-1][0] / pairs[-1][1]
    if not all(same(got, times * right) for got, right in pairs):
        return None
    return Hint("factor", f"{name} is {times:.6g} times what it should be, for every input.")


def transposed(name: str, got: np.ndarray, right: np.ndarray) -> Hint | None:
    """The last two axes changed places."""
    if got.ndim < 2 or got.shape[-1] != got.shape[-2] or not same(np.swapaxes(got, -1, -2), right):
        return None
    return Hint("transposed", f"{name} is transposed.")


def constant_added(name: str, got: np.ndarray, right: np.ndarray) -> Hint | None:
    """The right numbers plus a constant."""
    difference = got - right
    if right.size < 2 or not same(difference, np.broadcast_to(difference.flat[0], right.shape)):
        return None
    return Hint("constant_added", f"{name} is off by the same number everywhere, {difference.flat[0]:.6g}.")


def nearly(name: str, got: np.ndarray, right: np.ndarray) -> Hint | None:
    """Right in the first digits."""
    size, error = float(np.max(np.abs(right), initial=0.0)), float(np.max(np.abs(got - right), initial=0.0))
    if not error < NEARLY * size:
        return None
    of_what = "its largest entry" if right.ndim else "the right number"
    return Hint("nearly", f"{name} is nearly right: it differs by {error / size:.1g} of {of_what}.")


TESTS: tuple[Callable[[str, np.ndarray, np.ndarray], Hint | None], ...] = (
    not_finite,
    zero,
    sign,
    transposed,
    factor,
    constant_added,
    nearly,
)
