"""The numbers, masks and settings that an operation works with: its arguments, and what its closure holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from nonlocal_ref.checker.leaves import Arguments
from nonlocal_ref.params import BlockConfig

LARGEST = 1e100  # its square is a number; beyond stand the fillers of masks, as np.finfo(float).min
DEEPEST = 4  # functions inside functions: a decorated, partially applied operation


@dataclass
class Constants:
    """What was found; names are those of arguments, keywords and variables."""

    numbers: dict[str, float] = field(default_factory=dict)
    masks: list[np.ndarray] = field(default_factory=list)
    configs: list[BlockConfig] = field(default_factory=list)

    def add(self, name: str, value: Any) -> None:
        """Keep what can be used."""
        if isinstance(value, (bool, np.bool_)):
            return
        if isinstance(value, (int, float, np.integer, np.floating)):
            number = value if isinstance(value, int) else float(value)  # an int may be too large for a float
            if number == 0 or 1 / LARGEST < abs(number) < LARGEST:  # NaN is not kept either
                self.numbers.setdefault(name, float(number))
        elif isinstance(value, np.ndarray) and value.dtype == np.bool_:
            self.masks.append(value)
        elif isinstance(value, BlockConfig):
            self.configs.append(value)
            if value.scale_factor is not None:
                self.numbers.setdefault("scale", value.scale_factor)
        elif isinstance(value, dict):
            for key, part in value.items():
                if not isinstance(part, dict):
                    self.add(str(key), part)


def read_constants(op: Callable[..., Any], arguments: Arguments) -> Constants:
    """All of them; those of the call come first."""
    found = Constants()
    for name, value in zip(arguments.names, arguments.given, strict=True):
        found.add(name, value)
    for leaf in arguments.leaves:
        if leaf.values.dtype == np.bool_:
            found.masks.append(leaf.values)
    for name, value in _held_by(op, 0):
        found.add(name, value)
    return found


def _held_by(function: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Keywords of a partial, defaults and closure of a function; those of the functions among them too."""
    if depth > DEEPEST:
        return
    inner: list[tuple[str, Any]] = []
    if isinstance(function, partial):
        inner = [("", function.func), *(("", value) for value in function.args), *function.keywords.items()]
    code = getattr(function, "__code__", None)
    if code is not None:
        names = code.co_varnames[: code.co_argcount]
        defaults = getattr(function, "__defaults__", None) or ()
        inner += list(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        inner += list((getattr(function, "__kwdefaults__", None) or {}).items())
        inner += list(zip(code.co_freevars, _cells(function), strict=True))
    for name, value in inner:
        if callable(value):
            yield from _held_by(value, depth + 1)
        else:
            yield name, value


def _cells(function: Any) -> list[Any]:
    """What the closure holds; None for a variable that is not bound yet."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # an empty cell
            found.append(None)
    return found
