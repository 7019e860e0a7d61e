"""Checks at the public edges: what came, what fits, before anything large is allocated.

TypeError for the wrong kind of thing, ValueError for a wrong shape or value.  Values of arrays are never looked at:
that would synchronise a GPU.
"""

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_array_api_obj, is_numpy_array

from nonlocal_ref.backend import Array, array_namespace, backend_name, device, dtype_name, library_name

FLOATS = ("float32", "float64")
COMPLEXES = ("complex64", "complex128")


class Like(NamedTuple):
    """What an array must share with another: everything but its values."""

    xp: Any
    dtype: Any
    device: Any
    shape: tuple[int, ...]


def like(x: Array) -> Like:
    """Remember the namespace, dtype, device and shape of an array without keeping the array."""
    return Like(array_namespace(x), x.dtype, device(x), tuple(x.shape))


def check_array(name: str, x: Any, *, unmask: str = "fill it first: {name}.filled(value)") -> None:
    """Refuse what is not an array of a library we know: lists, scalars, masked arrays; ``unmask`` says what helps."""
    if not is_array_api_obj(x) or isinstance(x, np.generic):
        msg = f"{name} must be an array (NumPy, CuPy, PyTorch, JAX, ...), got {type(x).__name__}"
        raise TypeError(msg)
    if isinstance(x, np.ma.MaskedArray):
        msg = f"{name} must be a plain array, got numpy {type(x).__name__}; {unmask.format(name=name)}"
        raise TypeError(msg)


def check_floating(name: str, x: Any, *, complex_too: bool = False) -> None:
    """Refuse everything but float32 and float64 arrays (and complex ones where the dense form takes them)."""
    check_array(name, x)
    kind = dtype_name(x.dtype)
    if kind in FLOATS or (complex_too and kind in COMPLEXES):
        check_byte_order(name, x)
        return
    cast = "float32" if kind in {"float16", "bfloat16"} else "float64"
    msg = f"{name} must be float32 or float64, got {kind}; cast it first: xp.astype({name}, xp.{cast})"
    raise TypeError(msg)


def check_byte_order(name: str, x: Array) -> None:
    """Refuse NumPy's arrays in the byte order of other machines: results would come in one order or the other."""
    if is_numpy_array(x) and not x.dtype.isnative:
        msg = (
            f"{name} must have the byte order of this machine, got {x.dtype.str}; convert it first: "
            f"{name}.astype({name}.dtype.newbyteorder('='))"
        )
        raise TypeError(msg)


def check_alike(arrays: dict[str, Any], *, complex_too: bool = False) -> Like:
    """Refuse arrays that do not share one library, floating dtype and device; the first one sets the rule."""
    first, leader = next(iter(arrays.items()))
    check_floating(first, leader, complex_too=complex_too)
    rule = like(leader)
    for name, x in arrays.items():
        check_same_kind(name, x, first, rule, complex_too=complex_too)
    return rule


def check_same_kind(name: str, x: Any, first: str, rule: Like, *, complex_too: bool = False) -> None:
    """Refuse an array of another library, dtype or device than ``rule``, which the argument ``first`` set."""
    check_array(name, x)
    if array_namespace(x) is not rule.xp:
        msg = (
            f"{name} is a {backend_name(x)} array but {first} is a {library_name(rule.xp)} array; "
            "see nonlocal_ref.to_backend"
        )
        raise TypeError(msg)
    check_floating(name, x, complex_too=complex_too)
    if x.dtype != rule.dtype:
        msg = f"{name} is {dtype_name(x.dtype)} but {first} is {dtype_name(rule.dtype)}; all arrays need one dtype"
        raise TypeError(msg)
    check_device(name, x, first, rule)


def check_device(name: str, x: Any, first: str, rule: Like) -> None:
    """Refuse an array on another device; JAX's tracers are on none."""
    if device(x) != rule.device and None not in (device(x), rule.device):
        msg = f"{name} is on {device(x)} but {first} is on {rule.device}; all arrays need one device"
        raise ValueError(msg)


def check_cotangent(name: str, dy: Any, y: Like, output: str) -> None:
    """Refuse a dy that does not match the output it is the gradient of."""
    check_same_kind(name, dy, output, y, complex_too=True)
    if tuple(dy.shape) != y.shape:
        msg = f"{name} must have the shape of {output}, {y.shape}, got {tuple(dy.shape)}"
        raise ValueError(msg)


def check_rank(name: str, x: Array, letters: str) -> None:
    """Refuse an array whose number of axes differs from that of ``letters``, as in ``"B N D"``."""
    axes = letters.split()
    if x.ndim == len(axes):
        return
    hint = f"; for one example pass {name}[None]" if x.ndim == len(axes) - 1 and axes[0] == "B" else ""
    msg = f"{name} must have {len(axes)} axes ({', '.join(axes)}), got shape {tuple(x.shape)}{hint}"
    raise ValueError(msg)


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Refuse a value that is not one of the choices; the message lists them."""
    options = tuple(choices)
    if not is_choice(value, options):
        msg = f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}"
        raise ValueError(msg)


def is_choice(value: Any, choices: Iterable[Any]) -> bool:
    """Whether a value is one of the choices; True is not 1, and NumPy's scalars are what they hold."""
    plain = value.item() if isinstance(value, np.generic) else value
    return any(plain is option or (type(plain) is type(option) and plain == option) for option in choices)


def check_callable(name: str, value: Any, call: str) -> None:
    """Refuse what cannot be called as ``call``; None is nothing to call."""
    if value is not None and not callable(value):
        msg = f"{name} must be callable as {call}, got {type(value).__name__}"
        raise TypeError(msg)


def check_integer(name: str, value: Any, *, least: int) -> int:
    """Refuse what is not a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        msg = f"{name} must be an integer, got {value!r} ({type(value).__name__})"
        raise TypeError(msg)
    if value < least:
        msg = f"{name} must be at least {least}, got {value}"
        raise ValueError(msg)
    return int(value)


def check_rng(rng: Any) -> np.random.Generator:
    """The generator given, or one from a seed or, for None, from the system's entropy; anything else is refused."""
    if rng is None or isinstance(rng, np.random.Generator):
        return np.random.default_rng(rng)
    return np.random.default_rng(check_integer("rng", rng, least=0))


def check_number(name: str, value: Any, fits: Callable[[float], bool], what_fits: str) -> float:
    """Refuse what is not a real number for which ``fits`` holds (NaN fits nothing)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = f"{name} must be a number, got {value!r} ({type(value).__name__})"
        raise TypeError(msg)
    try:
        number = float(value)
    except OverflowError as error:  # of an integer or a fraction, which know no bounds
        msg = f"{name} must be {what_fits}, got a number that no float holds"
        raise ValueError(msg) from error
    if not fits(number):
        msg = f"{name} must be {what_fits}, got {value!r}"
        raise ValueError(msg)
    return number


def read_seed(rng: np.random.Generator | int | None) -> int:
    """A seed that repeats what is drawn: the one given, or one from the generator or from the system's entropy."""
    if isinstance(rng, np.random.Generator) or rng is None:
        return int(np.random.default_rng(rng).integers(2**32))
    return check_integer("rng", rng, least=0)
