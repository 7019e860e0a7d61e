"""How close is close enough, and why: the tolerances of the tests.

The error ratio.  A computed number is compared with the exact one in units of what rounding alone can do to it:

    ratio = |got - exact| / (eps * magnitude)

A sum that cancels has a small result and a large magnitude: its last digits are lost whoever computes it, and counting
them against the small result would measure the data, not the code.  The magnitudes of operations and blocks come from
the package's own account of rounding, `nonlocal_ref.testing.magnitudes`; `nonlocal_ref/testing/rounding.py` derives it.
Each of the few roundings on a path adds at most eps / 2 of the magnitude; a sum of n terms adds at most n eps / 2, and
about sqrt(n) eps / 2 as a rule.  With the short sums of the tests this gives ratios of about 1.  The threshold is
LAPACK's, 30 for every routine (its TESTING/*.in): an order above what rounding does and far below what a wrong term
does.

Finite differences have an error of their own, the step's; `central_difference_error` states it.
"""

from types import SimpleNamespace

import numpy as np

from nonlocal_ref.testing.magnitudes import LIMIT, error_ratios, operation_magnitudes


def error_ratio(got, exact, magnitude, eps):
    """Largest |got - exact| / (eps magnitude); a magnitude of 0 asks for the exact number, up to underflow."""
    assert np.shape(got) == np.shape(exact), f"shape {np.shape(got)} is not {np.shape(exact)}"
    return float(np.max(error_ratios(got, exact, magnitude, eps), initial=0.0))


def assert_ratio(got, exact, magnitude, eps, ratio=LIMIT):
    """The error ratio is at most 30."""
    found = error_ratio(got, exact, magnitude, eps)
    assert found <= ratio, f"error ratio {found:.3g} > {ratio:.3g}\ngot\n{np.asarray(got)}\nexact\n{np.asarray(exact)}"


def operation(variant, arrays, dy, **options):
    """Magnitudes of eq. (1); arrays are theta, phi, g, and w_f if any -> weights, y, and gradients, a list."""
    named = dict(zip(("theta", "phi", "g", "w_f"), arrays, strict=False))
    weights, y, *gradients = operation_magnitudes(variant, named, dy, **options).values()
    return SimpleNamespace(weights=weights, y=y, gradients=gradients)


def largest(*arrays):
    """The largest absolute value in any of the arrays: the magnitude where a comparison does not go term by term."""
    return max(float(np.max(np.abs(x), initial=0.0)) for x in arrays)


def central_difference_error(value_magnitude, derivative, step, third_derivative):
    """Error of (L(s) - L(-s)) / (2 s) in float64, from Taylor and from rounding.

    Taylor leaves s^2 / 6 times the third derivative along the direction.  Each L carries an error of LIMIT eps M(L),
    two of them are divided by 2 s.  Relative 1e-7 of the derivative covers the terms beyond the third.
    """
    eps = np.finfo(np.float64).eps
    return 1e-7 * np.abs(derivative) + step**2 / 6 * third_derivative + LIMIT * eps * value_magnitude / step
