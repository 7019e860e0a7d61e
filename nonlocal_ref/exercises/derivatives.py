"""Exercises on measuring a derivative: the central difference and the complex step.  Plain functions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.exercises.ladder import Exercise, Rung, climb, normal
from nonlocal_ref.exercises.result import Result

Function = Callable[[Array], Array]


def check_central_difference(mine: Callable[..., Any]) -> Result:
    """Check ``slope = central_difference(f, x, v, h)``: (f(x + h v) - f(x - h v)) / 2h.

    Parameters
    ----------
    mine : callable
        f a function of one array, x and v arrays of one shape, h a number -> an array with the shape of f(x).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    Nocedal and Wright, Numerical Optimization, 2nd edition 2006, section 8.1.

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_central_difference
    >>> check_central_difference(lambda f, x, v, h: (f(x + h * v) - f(x)) / h).hints[0].name
    'one_sided'
    """
    return climb(CENTRAL, mine)


def check_complex_step(mine: Callable[..., Any]) -> Result:
    """Check ``slope = complex_step(f, x, v, h)``: the imaginary part of f(x + i h v), divided by h.

    Parameters
    ----------
    mine : callable
        f a function of one array, x and v arrays of one shape, h a number -> an array with the shape of f(x).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    Squire and Trapp, SIAM Review 40 (1998), 110-112.

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_complex_step
    >>> bool(check_complex_step(lambda f, x, v, h: f(x + 1j * h * v).imag / h))
    True
    """
    return climb(COMPLEX, mine)


def central_difference(f: Function, x: Array, v: Array, h: float) -> Array:
    """(f(x + h v) - f(x - h v)) / 2h."""
    return (f(x + h * v) - f(x - h * v)) / (2 * h)


def complex_step(f: Function, x: Array, v: Array, h: float) -> Array:
    """Im f(x + i h v) / h."""
    return np.imag(f(x + 1j * h * v)) / h


# Mistakes: each is a wrong solution, its docstring the hint that is shown.


def one_sided(f: Function, x: Array, v: Array, h: float) -> Array:
    """That is the one-sided difference, with an error of h f'' / 2. Step to both sides and h f'' cancels."""
    return (f(x + h * v) - f(x)) / h


def one_sided_backwards(f: Function, x: Array, v: Array, h: float) -> Array:
    """That is the one-sided difference backwards, with an error of -h f'' / 2. Step to both sides and h f'' cancels."""
    return (f(x) - f(x - h * v)) / h


def divided_by_h(f: Function, x: Array, v: Array, h: float) -> Array:
    """Divided by h. From x - h v to x + h v the distance is 2h."""
    return 2 * central_difference(f, x, v, h)


def times_half_h(f: Function, x: Array, v: Array, h: float) -> Array:
    """`/ 2 * h` divides by 2 and multiplies by h; write / (2 * h)."""
    return central_difference(f, x, v, h) * h * h


def direction_forgotten(f: Function, x: Array, v: Array, h: float) -> Array:
    """The direction v is not used: every entry of x moves by the same h."""
    return central_difference(f, x, np.ones_like(x), h)


def half_step(f: Function, x: Array, v: Array, h: float) -> Array:
    """That is the central difference with half the step. Go to x + h v and x - h v, and divide by 2h."""
    return central_difference(f, x, v, h / 2)


def not_divided_by_h(f: Function, x: Array, v: Array, h: float) -> Array:
    """The imaginary part is h times the slope: divide it by h."""
    return np.imag(f(x + 1j * h * v))


def real_part(f: Function, x: Array, v: Array, h: float) -> Array:
    """That is the real part, which is f(x) itself. The derivative is in the imaginary part."""
    return np.real(f(x + 1j * h * v)) / h


def complex_direction_forgotten(f: Function, x: Array, v: Array, h: float) -> Array:
    """The direction v is not used: every entry of x moves by the same i h."""
    return complex_step(f, x, np.ones_like(x), h)


def difference_of_values(f: Function, x: Array, v: Array, h: float) -> Array:
    """That is a central difference. With so small an h its digits cancel; an imaginary step has no difference."""
    return central_difference(f, x, v, h)


def real_step(f: Function, x: Array, v: Array, h: float) -> Array:
    """Zero: the step was real, or the complex numbers were made real on the way. Write x + 1j * h * v."""
    return 0 * central_difference(f, x, v, 1.0)


def square(x: Array) -> Array:
    """x * x"""  # noqa: D400 -- shown as the function's formula
    return x * x


def exponential(x: Array) -> Array:
    """np.exp(x)"""  # noqa: D400
    return np.exp(x)


def sum_of_cubes(x: Array) -> Array:
    """np.sum(x**3, axis=-1)"""  # noqa: D400
    return np.sum(x**3, axis=-1)


def ladder_with(h: float) -> list[Rung]:
    """One number, a vector, a matrix, and a function whose value has another shape than x."""
    one = Rung((square, normal(1), np.asarray([2.0]), h))
    return [
        one,
        *(Rung((f, normal(*s), normal(*s, seed=1), h)) for f, s in [(exponential, (3,)), (sum_of_cubes, (2, 3))]),
    ]


ARGUMENTS = ("f", "x", "v", "h")
CENTRAL = Exercise(
    *("central_difference", ARGUMENTS, "slope", central_difference, lambda: ladder_with(1e-3)),
    (one_sided, one_sided_backwards, divided_by_h, times_half_h, half_step, direction_forgotten),
    plain=True,
)
COMPLEX = Exercise(
    *("complex_step", ARGUMENTS, "slope", complex_step, lambda: ladder_with(1e-10)),
    (not_divided_by_h, complex_direction_forgotten, difference_of_values, real_step, real_part),
    plain=True,
)
