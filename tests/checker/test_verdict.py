"""When two numbers count as equal."""

import numpy as np
import pytest

from nonlocal_ref.checker.verdict import SAFETY, default_rtol, judge, worst


def test_the_bound_is_the_sum_of_its_three_parts():
    verdict = judge(2.0, -3.0, rtol=1e-3, noise=1e-5, truncation=1e-4)
    assert verdict.bound == pytest.approx(3e-3 + 1e-4 + SAFETY * 1e-5)
    assert verdict.error == 5.0
    assert not verdict.right


def test_equal_numbers_are_right_without_any_allowance():
    assert judge(0.0, 0.0, rtol=1e-7, noise=0.0).right
    assert judge(0.0, 0.0, rtol=1e-7, noise=0.0).excess == 0


def test_different_numbers_without_allowance_are_infinitely_far_off():
    assert judge(0.0, 1e-300, rtol=1e-320, noise=0.0).excess == np.inf


@pytest.mark.parametrize("pair", [(np.nan, 1.0), (1.0, np.nan), (np.inf, np.inf)])
def test_what_is_not_finite_is_never_right(pair):
    assert not judge(*pair, rtol=1e-7, noise=1.0).right


def test_the_default_follows_the_precision():
    assert default_rtol(float(np.finfo(np.float64).eps)) == 1e-7
    assert default_rtol(float(np.finfo(np.float32).eps)) == pytest.approx(3.6e-6, rel=0.01)


def test_the_worst_is_wrong_before_it_is_large():
    large, wrong = judge(1e9, 1e9, 1e-7, 0.0), judge(1.0, 1.1, 1e-7, 0.0)
    assert worst([large, wrong]) is wrong
    assert worst([judge(0.0, 0.0, 1e-7, 0.0), large]) is large
