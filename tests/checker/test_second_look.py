"""Where a difference sees too little to call a gradient wrong, and rounding must not be taken for a mistake."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref import norm, ops
from nonlocal_ref.checker.noise import steepest_slope
from tests.checker.random_cases import spoil
from tests.checker.samples import normal


@pytest.mark.parametrize("distance", [1e-8, -3e-9])
@pytest.mark.parametrize("seed", range(5))
def test_a_millionth_is_rejected_beside_a_kink_that_allows_tiny_steps_only(distance, seed):
    x = normal((3, 4), seed)
    x[0, 0] = distance
    assert nl.gradcheck(ops.relu, x, rng=seed)
    assert nl.gradcheck(spoil(ops.relu, 0, 1 + 1e-6), x, rng=seed).status == "wrong"


def test_nothing_is_rejected_by_a_second_look_that_has_nowhere_to_look():
    """A millionth away the operation raises."""
    x = normal((3, 4))
    x[0, 0] = 1e-8

    def picky(z):
        moved = np.abs(np.real(z) - x) > 0
        if (
            np.all(moved)
            and not np.iscomplexobj(z)
            and np.max(np.abs(z / x - 1)) < 1e-6
            and np.max(np.abs(z / x - 1)) > 1e-9
        ):
            msg = "not here"
            raise ValueError(msg)
        return ops.relu(z)

    reports = [nl.gradcheck(spoil(op, 0, 1 + 1e-6), x, rng=1, directions=1) for op in (picky, ops.relu)]
    assert [report.status for report in reports] == ["right", "wrong"]


@pytest.mark.parametrize("seed", range(5))
def test_a_bias_before_batch_norm_has_no_gradient_and_does_not_alarm(seed):
    """The sum of constants rounds, and batch norm blows the rounding up by 1 / sqrt(eps)."""

    def op(bias):
        x = np.ones((2, 7, 2)) * bias
        y, backward = norm.standardise(x, eps=1e-5)
        return y, lambda dy: (np.sum(backward(dy)[0], axis=(0, 1)),)

    assert nl.gradcheck(op, normal(2, seed), rng=seed)


def test_what_cancels_to_nothing_in_a_saturated_softmax_does_not_alarm():
    """A shift of all logits changes nothing; the gradient is what rounding leaves of p_k (dp_k - dp_j)."""
    logits = np.asarray([[[0.0, -90.0, -230.0]]])

    def op(shift):
        p, backward = ops.softmax(logits + shift)
        return p, lambda dp: (np.sum(backward(dp)[0], keepdims=True)[0, 0],)

    for seed in range(5):
        assert nl.gradcheck(op, normal(1, seed), rng=seed)


def test_a_gradient_below_the_smallest_normal_number_over_the_step_does_not_alarm():
    tiny = np.asarray([[[0.0, -680.0]]])

    def op(g):
        p, _ = ops.softmax(tiny)
        return p @ g, lambda dy: (np.swapaxes(p, 1, 2) @ dy,)

    for seed in range(5):
        assert nl.gradcheck(op, normal((1, 2, 2), seed), rng=seed, mode="full")


def distance_of(f):
    return lambda s, t: np.abs(np.asarray([f(t) - f(s)]))


def test_the_steepest_slope_of_a_flat_softmax_is_the_one_where_it_turns_over():
    logistic = lambda t: 1 / (1 + np.exp(np.float64(30.0 - t)))  # noqa: E731
    with np.errstate(over="ignore"):
        found = steepest_slope(distance_of(logistic), np.asarray([0.5]), 1e-6)
    assert 0.2 < found[0] <= 0.25


def test_the_steepest_slope_of_a_line_is_its_slope():
    assert steepest_slope(distance_of(lambda t: 3.0 * t), np.asarray([1.0]), -1e-6)[0] == pytest.approx(3.0)


def test_the_walk_ends_where_the_function_does():
    with np.errstate(invalid="ignore"):
        found = steepest_slope(distance_of(lambda t: np.sqrt(np.float64(1 - t))), np.asarray([9.0]), 1e-6)
    assert 0.5 <= found[0] < 1.0
