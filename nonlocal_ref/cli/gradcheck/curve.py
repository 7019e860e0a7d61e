"""The error of a measured derivative over its step: a difference has a best one, the complex step does not.

    n(h) = <u, J v> measured with step h      a = <backward(u), v>      error(h) = max |n - a| / max |a|

over a few random directions v of theta, on eq. (3) in float64 on NumPy.  Truncation falls with h, as h² for the central
and h⁴ for the fourth-order difference, until rounding, ε / h, takes over.
"""

from functools import cache
from typing import Any

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.checker.differences import SLOPES, Line, central, complex_step, fourth_order
from nonlocal_ref.testing.examples import SIZES, draw_example

MEASURES = {"central": central, "fourth": fourth_order, "complex": complex_step}
EXPONENTS = np.arange(0.0, -16.25, -0.25)
DIRECTIONS = 4


@cache
def error_over_step(seed: int) -> dict[str, Any]:
    """Plain values: the steps, one list of errors for each way to measure, and the step at which the checker starts."""
    rng = np.random.default_rng([seed, len(EXPONENTS)])
    arrays, u = draw_example("embedded_gaussian", SIZES, None, rng)
    theta, phi, g = arrays.values()
    directions = rng.normal(size=(DIRECTIONS, *theta.shape))
    _, backward = nl.nonlocal_op("embedded_gaussian", theta, phi, g, method="dense")
    dtheta, _, _ = backward(u)
    analytic = np.tensordot(directions, dtheta, 3)

    def line(v: np.ndarray) -> Line:
        return lambda t: nl.nonlocal_op("embedded_gaussian", theta + t * v, phi + 0 * t, g + 0 * t, method="dense")[0]

    def error(measure: Any, h: float) -> float:
        measured = np.asarray([np.sum(u * measure(line(v), h)) for v in directions])
        return float(np.max(np.abs(measured - analytic)) / np.max(np.abs(analytic)))

    steps = [float(10.0**exponent) for exponent in EXPONENTS]
    eps = float(np.finfo(np.float64).eps)
    return {
        "operation": "embedded_gaussian",
        "argument": "theta",
        "dtype": "float64",
        "directions": DIRECTIONS,
        "eps": eps,
        "steps": steps,
        "errors": {name: [error(measure, h) for h in steps] for name, measure in MEASURES.items()},
        "first_step": {name: eps**slope.power for name, slope in SLOPES.items()},
    }
