"""One planted mistake: an operation with a right forward and a wrong backward, and what the checker should say."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], dict[str, Any]]


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and how the checker should call it.

    `right` is the twin: the same forward, the right backward.  `wrong` names the arguments whose gradient is wrong, in
    the order of the report.  `label` is the name the first proposal for the first of them should have; `also` holds
    names that describe the same mistake in other words (a comment at the row says why).  `breaks` is a pattern for a
    promise of the contract that is broken, besides or instead of a wrong value; without a label that is all there is
    to find.
    """

    op: Callable[..., Any]
    right: Callable[..., Any]
    draw: Draw
    wrong: tuple[str, ...]
    label: str | None
    also: frozenset[str] = frozenset()
    breaks: str = ""

    @property
    def name(self) -> str:
        """What the mistake is called."""
        return self.op.__name__

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arguments."""
        return tuple(self.draw(np.random.default_rng(0)))

    @property
    def accepted(self) -> frozenset[str | None]:
        """What the first proposal may be called."""
        return self.also | {self.label}


@dataclass(frozen=True)
class Family:
    """Backwards for one forward, in the style of y, cache = forward(*args); gradients = backward(dy, cache)."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    draw: Draw
    right: Callable[..., Any] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "right", paired(self.forward, self.backward))

    def mistake(self, backward, wrong, label, also="", *, breaks="", draw=None):
        """The row for one wrong backward; names separated by blanks."""
        return planted(paired(self.forward, backward), self.right, draw or self.draw, wrong, label, also, breaks)


def planted(op, right, draw, wrong, label, also="", breaks=""):
    """A row; names separated by blanks."""
    return Mistake(op, right, draw, tuple(wrong.split()), label, frozenset(also.split()), breaks)


def paired(forward, backward):
    """y, backward = op(*args) out of the two halves."""

    def op(*args):
        y, cache = forward(*args)
        return y, lambda dy: backward(dy, cache)

    op.__name__ = backward.__name__
    return op


def arguments(**named) -> Draw:
    """How to draw arguments: a tuple is a shape, a function is given the generator, all else is a constant."""

    def draw(rng):
        return {name: draw_one(rng, what) for name, what in named.items()}

    return draw


def draw_one(rng, what):
    if isinstance(what, tuple):
        return rng.normal(size=what)
    return what(rng) if callable(what) else what


def pairs_allowed(*shape):
    """A mask: about two pairs of three are candidates, the first key always is."""
    return lambda rng: (rng.random(shape) < 0.65) | (np.arange(shape[-1]) == 0)


def transposed(x):
    return np.swapaxes(x, -1, -2)
