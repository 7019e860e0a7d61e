"""The three differences are what their first page says they are."""

import cmath

import numpy as np
import pytest

from nonlocal_ref.checker.differences import bend, central, complex_step, fourth_order, one_sided_gap


def sine(t):
    return np.asarray(cmath.sin(1 + t) if isinstance(t, complex) else np.sin(1 + t))


RIGHT = np.cos(1.0)


def error(slope):
    return abs(float(slope) - RIGHT)


@pytest.mark.parametrize(("difference", "order"), [(central, 2), (fourth_order, 4)])
def test_halving_the_step_divides_the_error_by_two_to_the_order(difference, order):
    assert error(difference(sine, 0.1)) / error(difference(sine, 0.05)) == pytest.approx(2**order, rel=0.02)


def test_each_is_as_exact_as_its_best_step_allows():
    eps = np.finfo(float).eps
    assert error(central(sine, eps ** (1 / 3))) < 1e-10
    assert error(fourth_order(sine, eps ** (1 / 5))) < 1e-12
    assert error(complex_step(sine, 1e-30)) < 1e-15


def test_a_smaller_step_helps_only_the_complex_step():
    assert error(central(sine, 1e-12)) > 1e-6
    assert error(complex_step(sine, 1e-300)) < 1e-15


@pytest.mark.parametrize("h", [1e-1, 1e-3, 1e-5])
def test_the_gap_between_the_sides_is_the_jump_at_a_kink(h):
    assert one_sided_gap(lambda t: np.asarray(max(3 * t, -t)), h) == pytest.approx(4)


def test_the_bend_vanishes_with_the_step_where_the_function_is_smooth():
    assert bend(sine, 1e-2) / bend(sine, 1e-3) == pytest.approx(1000, rel=0.1)
    assert bend(lambda t: np.asarray(abs(t)), 1e-5) == pytest.approx(2)
