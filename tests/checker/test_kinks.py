"""Where the operation has a kink there is nothing to compare with; next to it there is."""

import numpy as np
import pytest

import nonlocal_ref as nl
from tests.checker.samples import absolute, largest, normal, relu

METHODS = ("auto", "complex", "central", "fourth")
SOME_ZEROS = normal((4, 5)) * (normal((4, 5), 1) > 0)
TIES = np.round(normal((6, 8)))


def relu_with_derivative_one_at_zero(x):
    y, _ = relu(x)
    return y, lambda dy: (np.where(x >= 0, dy, 0.0),)


def largest_that_shares_ties(x):
    y, _ = largest(x)
    ties = x == y[..., None]
    return y, lambda dy: (ties * dy[..., None] / ties.sum(axis=-1, keepdims=True),)


@pytest.mark.parametrize("mode", ["fast", "full"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("op", "x"),
    [
        (relu, normal((4, 5))),
        (relu, SOME_ZEROS),
        (relu_with_derivative_one_at_zero, SOME_ZEROS),
        (absolute, normal((4, 5))),
        (absolute, SOME_ZEROS),
        (largest, normal((6, 8))),
        (largest, TIES),
        (largest_that_shares_ties, TIES),
    ],
    ids=["relu", "relu at 0", "relu'(0) = 1", "abs", "abs at 0", "max", "max, ties", "max, ties shared"],
)
def test_kinks_do_not_alarm(op, x, method, mode):
    nl.check_gradients(op, x, rng=0, method=method, mode=mode)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("op", [relu, absolute])
def test_a_wrong_gradient_beside_a_kink_is_still_wrong(op, method):
    report = nl.gradcheck(lambda x: (op(x)[0], lambda dy: (1.001 * op(x)[1](dy)[0],)), SOME_ZEROS, rng=0, method=method)
    assert report.status == "wrong"


@pytest.mark.parametrize("method", ["auto", "central", "fourth"])
def test_a_kink_in_every_direction_is_inconclusive(method):
    report = nl.gradcheck(absolute, np.zeros((3, 3)), rng=0, method=method)
    assert report.status == "inconclusive"
    assert not report
    assert report["x"].kinked == 2 * 9 - 1  # all nine entries, their halves, ..., each entry by itself
    assert "a kink in every direction" in str(report)


def test_no_more_than_ten_kinks_a_direction_are_gone_into():
    report = nl.gradcheck(absolute, np.zeros(1000), rng=0, directions=3)
    assert report.status == "inconclusive"
    assert report["x"].kinked == 3 * 11


def test_directions_with_a_kink_are_counted():
    leaf = nl.gradcheck(relu, SOME_ZEROS, rng=0)["x"]
    assert leaf.smooth >= 3
    assert leaf.kinked > 0


def wrong_at(entry):
    """ReLU, but one entry of its gradient is wrong by a thousandth."""

    def op(x):
        y, backward = relu(x)
        factor = np.where(np.arange(x.size).reshape(x.shape) == entry, 1.001, 1.0)
        return y, lambda dy: (factor * backward(dy)[0],)

    return op


@pytest.mark.parametrize("entry", np.flatnonzero(SOME_ZEROS > 0)[:6])
def test_kinks_elsewhere_hide_no_wrong_entry(entry):
    assert nl.gradcheck(wrong_at(entry), SOME_ZEROS, rng=0).status == "wrong"


def test_three_kinks_among_many_entries_are_found_and_the_rest_is_compared():
    x = normal((6, 8))
    x[[0, 2, 5], [1, 6, 3]] = 0
    report = nl.gradcheck(relu, x, rng=0, method="central")
    assert "3 of 48 entries are beside a kink" in str(report)


def test_kinked_entries_are_left_out_and_counted():
    leaf = nl.gradcheck(relu, SOME_ZEROS, rng=0, mode="full", method="central")["x"]
    assert leaf.kinked == np.sum(SOME_ZEROS == 0)
    assert leaf.smooth == np.sum(SOME_ZEROS != 0)


def test_an_operation_that_rounds_coarsely_inside_is_not_called_right():
    def stairs(x):
        return np.sin(x.astype(np.float32)).astype(np.float64), lambda dy: (dy * np.cos(x),)

    assert not nl.gradcheck(stairs, normal(5), rng=0)


def test_where_complex_step_and_difference_disagree_the_difference_decides():
    report = nl.gradcheck(absolute, normal((4, 5)), rng=0)
    assert report["x"].method == "central"
    assert "the difference decides" in str(report)


def test_a_gradient_that_only_the_complex_step_believes_is_wrong():
    # the complex step through abs(x) + 0 x sees no slope, and neither does this backward
    report = nl.gradcheck(lambda x: (absolute(x)[0], lambda dy: (0 * dy,)), normal((4, 5)), rng=0)
    assert report.status == "wrong"


def test_steps_out_of_the_domain_do_not_alarm():
    report = nl.gradcheck(
        lambda x: (np.log(x), lambda dy: (dy / x,)), np.asarray([1e-3, 1.0, 100.0]), rng=0, method="central"
    )
    assert report.status != "wrong"
