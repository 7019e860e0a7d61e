"""Derivatives along a line, measured: everything here sees a function of one number and nothing else.

    f(t) = op(x + t v),    f'(0) = J v

``f`` takes a number and gives an array; ``h`` is a small step.  Three ways to f'(0), and what each costs in accuracy
(ε is the relative rounding error of f, |f| stands for the size of the terms that f sums):

    central        (f(h) - f(-h)) / 2h                              h²/6 f‴   + ε|f| / h        best h ~ ε^(1/3)
    fourth order   (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h      h⁴/30 f⁗′ + 1.5 ε|f| / h    best h ~ ε^(1/5)
    complex step   Im f(ih) / h                                     h²/6 f‴   + ε|f′|           h as small as you like

The first two subtract numbers that are nearly equal: a smaller step leaves fewer digits.  The complex step subtracts
nothing, so its step can be so small that h² vanishes beside 1; but op must be built from functions that are
differentiable in the complex plane (+, *, exp, matmul; not abs, conj, or a cast to real numbers).

All three follow from Taylor: f(±h) = f ± h f′ + h²/2 f″ ± h³/6 f‴ + ..., and f(ih) = f + ih f′ - h²/2 f″ - ....
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from nonlocal_ref.backend import Array

Line = Callable[[complex], Array]

HALVINGS, LAST = 40, 10
TINY_STEP = 2.0**-100  # its square, 6e-61, is nothing beside 1 in any dtype


def complex_step(f: Line, h: float) -> Array:
    """f'(0) = Im f(ih) / h + O(h²)."""
    return np.imag(f(1j * h)) / h


def central(f: Line, h: float) -> Array:
    """f'(0) = (f(h) - f(-h)) / 2h + O(h²)."""
    return (f(h) - f(-h)) / (2 * h)


def fourth_order(f: Line, h: float) -> Array:
    """f'(0) = (4 central(h) - central(2h)) / 3 + O(h⁴): the h² terms of the two cancel (Richardson)."""
    return (4 * central(f, h) - central(f, 2 * h)) / 3


def one_sided_gap(f: Line, h: float) -> Array:
    """Slope to the right minus slope to the left: h f″ + O(h³) where f is smooth, the jump at a kink for every h."""
    return (f(h) - 2 * f(0) + f(-h)) / h


def bend(f: Line, h: float) -> Array:
    """Whether the gap shrinks with the step: gap(2h) - 2 gap(h) is O(h³) where f is smooth and -jump at a kink."""
    return np.abs(one_sided_gap(f, 2 * h) - 2 * one_sided_gap(f, h))


def jump(f: Callable[[float], float], near: float, far: float, resolution: float = 0.0) -> float:
    """What a number changes by at once between two places, halved towards its largest change; 0 where that shrinks.

    The halving ends at ``resolution``: a number moved by less jumps itself, from one last place to the next.
    """
    sizes: list[float] = []
    while len(sizes) < LAST or (len(sizes) < HALVINGS and abs(far - near) > 2 * resolution):
        middle = (near + far) / 2
        near, far = (near, middle) if abs(f(middle) - f(near)) >= abs(f(far) - f(middle)) else (middle, far)
        sizes.append(abs(f(far) - f(near)))
    return sizes[-1] if sizes[-1] > sizes[-LAST] / 2 else 0.0


def off_the_line(f: Line, places: Sequence[float]) -> Array:
    """How far each value is from the straight line between its neighbours; one row for each place but the ends."""
    t, y = np.asarray(places), np.asarray([f(place).ravel() for place in places])
    right_share = (np.diff(t)[:-1] / (t[2:] - t[:-2]))[:, np.newaxis]
    return np.abs(y[1:-1] - (1 - right_share) * y[:-2] - right_share * y[2:])


class Slope(NamedTuple):
    """A measured f'(0) and what is known about its error."""

    value: Array
    truncation: Array  # estimated from a second step
    per_noise: float  # an error of 1 in f is an error of this much in the slope
    bend: Array


def central_slope(f: Line, h: float) -> Slope:
    """Central difference; at 2h its truncation is four times as large, so a third of the distance estimates it."""
    value = central(f, h)
    return Slope(value, np.abs(central(f, 2 * h) - value) / 3, 1 / h, bend(f, h))


def fourth_order_slope(f: Line, h: float) -> Slope:
    """Fourth-order difference; at 2h its truncation error is sixteen times as large."""
    value = fourth_order(f, h)
    return Slope(value, np.abs(fourth_order(f, 2 * h) - value) / 15, 1.5 / h, bend(f, h))


class SlopeMethod(NamedTuple):
    """A way to measure a slope, and the power of ε that balances its truncation and its rounding."""

    measure: Callable[[Line, float], Slope]
    power: float


SLOPES = {"central": SlopeMethod(central_slope, 1 / 3), "fourth": SlopeMethod(fourth_order_slope, 1 / 5)}
STRIDE = 2.0**4  # from one step to the next
STRIDES_UP, STRIDES_DOWN = 9, 3


class Demands(Protocol):
    """Three questions about a slope."""

    def smooth(self, slope: Slope) -> bool:
        """Whether f is straight enough over the step."""

    def resolved(self, slope: Slope) -> bool:
        """Whether the slope stands out of the rounding."""

    def error(self, slope: Slope) -> float:
        """How far off it may be; 0 is good enough."""


def best_slope(f: Line, method: str, unit: float, eps: float, demands: Demands) -> Slope | None:
    """The slope with the smallest error over a few steps; None if f bends over every one of them.

    The first step balances truncation and rounding for an f that changes over a length of ``unit``.  If f bends over
    it, shorter steps are tried.  If the rounding shows, longer ones are, up to ``unit``.  A slope that is lost in the
    rounding is taken from the first step alone: a flat f looks straight over any longer one, whatever cancels inside,
    and stairs (a function that is rounded coarsely inside) look flat over a shorter one.
    """
    measure, power = SLOPES[method]
    first = unit * eps**power
    slope = measure(f, first)
    best = slope if demands.smooth(slope) else None
    if best is not None and not demands.resolved(best):
        return best
    longer = [first * STRIDE**k for k in range(1, STRIDES_UP + 1) if best is not None]
    shorter = [first / STRIDE**k for k in range(1, STRIDES_DOWN + 1)]
    for steps in (longer, shorter):
        for h in steps:
            if best is not None and demands.error(best) == 0:
                return best
            if h > unit:
                break
            slope = measure(f, h)
            fits = demands.smooth(slope) and demands.resolved(slope)
            if fits and (best is None or demands.error(slope) < demands.error(best)):
                best = slope
            elif best is not None:
                break
    return best
