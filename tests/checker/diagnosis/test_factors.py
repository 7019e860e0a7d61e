"""Zero; off by a constant factor, and which; the scale twice; the mean for the sum."""

import numpy as np
import pytest

from tests.checker.diagnosis.wrong_operations import (
    QKV,
    attention,
    first_names,
    linear,
    normal,
    proposals,
    shift,
    sine,
    spoiled,
)

X = normal(3, 8)


def times(factor):
    return spoiled(sine, lambda found, dy, y, x: (factor * found[0],))


def test_a_zero_gradient_is_called_zero():
    assert first_names(times(0.0), X) == {"args[0]": "zero_gradient"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factor", "told"),
    [
        (-1.0, "the sign is turned"),
        (2.0, "twice what it must be (factor 2.0000000)"),
        (0.5, "half of what it must be (factor 0.5000000)"),
        (3.0, "args[0].shape[0] = 3"),
        (1 / 24, "1 / (args[0].shape[0] args[0].shape[1]) = 24"),
        (8**0.5, "sqrt(args[0].shape[1]), args[0].shape[1] = 8"),
        (-0.125, "-1 / args[0].shape[1]"),
        (1.0 + 1e-6, "1.000001 times"),
        (0.777, "0.777 times what it must be"),
    ],
)
def test_a_constant_factor_is_named(factor, told):
    found = [text for name, text in proposals(times(factor), X) if name == "constant_factor"]
    assert told in found[0]


def test_letters_of_the_paper_are_used_where_the_names_are_known():
    def op(theta, phi, g):
        y, right = attention(theta, phi, g)
        return y, lambda dy: (right(dy)[0], right(dy)[1] * 3**-2, right(dy)[2])

    assert "1 / M squared, M = phi.shape[1] = 3" in proposals(op, *QKV)[0].text


def test_a_factor_of_one_entry_alone_is_no_constant_factor():
    def one_entry(found, dy, y, x):
        spoilt = found[0].copy()
        spoilt[1, 2] *= 2
        return (spoilt,)

    assert "constant_factor" not in first_names(spoiled(sine, one_entry), X).values()


def test_one_number_may_be_any_multiple_so_only_a_common_factor_is_named():
    assert first_names(times(2.0), np.asarray(1.3)) == {"args[0]": "constant_factor"}
    assert first_names(times(1.234), np.asarray(1.3)) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("power", "told"), [(1, "is the scale applied twice?"), (-1, "is the scale forgotten?")])
def test_the_scale_of_a_known_operation_is_recognised(power, told):
    scale = 8**-0.5
    op = spoiled(attention, lambda found, dy, y, *args: (found[0] * scale**power, *found[1:]))
    first, second = proposals(op, *QKV)
    assert first.name == "scale_twice"
    assert told in first.text
    assert second.name == "constant_factor"


def test_the_scale_does_not_reach_g():
    op = spoiled(attention, lambda found, dy, y, *args: (*found[:2], found[2] * 8**-0.5))
    assert first_names(op, *QKV) == {"args[2]": "constant_factor"}


def test_an_operation_without_a_scale_has_none_to_forget():
    def unscaled(q, k, v):
        return attention(q * 8**0.5, k, v)

    def unscaled_with_backward(q, k, v):
        y, right = unscaled(q, k, v)
        return y, lambda dy: (8**0.5 * 8**0.5 * right(dy)[0], *right(dy)[1:])

    assert first_names(unscaled_with_backward, *QKV) == {"q": "constant_factor"}


NUMBERS = {
    "filler of a mask": np.finfo(np.float64).min,
    "filler in float32": np.finfo(np.float32).min,
    "beyond a float": 10**400,
    "beyond a float16": np.float16(2.0),
    "tiny": 1e-300,
    "infinite": -np.inf,
    "without an opposite": np.int8(-128),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_of_any_size_in_the_closure_does_not_disturb(name):
    fill = NUMBERS[name]

    def op(x):
        return np.where(np.isnan(x), fill is None, np.sin(x)), lambda dy: (3.7 * np.cos(x) * dy,)

    assert first_names(op, X) == {"x": "constant_factor"}


def test_a_number_of_any_size_among_the_arguments_does_not_disturb():
    op = lambda x, number: (np.sin(x), lambda dy: (2 * np.cos(x) * dy,))  # noqa: E731
    assert first_names(op, X, 10**400) == {"x": "constant_factor"}


def test_a_number_among_the_arguments_called_scale_is_a_scale():
    def product(theta, phi, scale):
        return scale * theta * phi, lambda dy: (scale * scale * dy * phi, scale * dy * theta)

    report = proposals(product, X, X, 0.3)
    assert report[0].name == "scale_twice"
    assert "scale = 0.3" in report[0].text


def test_gamma_twice_is_a_scale_for_each_channel():
    def op(x, gamma):
        return np.sin(x) * gamma, lambda dy: (dy * np.cos(x) * gamma**2, np.sum(dy * np.sin(x), axis=0))

    assert first_names(op, X, normal(8)) == {"x": "scale_twice"}


def test_gamma_forgotten_before_a_linear_layer_is_seen_in_its_weight():
    def op(x, w, gamma):
        h = x @ w.T
        return h * gamma, lambda dy: ((dy * gamma) @ w, dy.T @ x, np.sum(dy * h, axis=0))

    assert first_names(op, X, normal(4, 8), normal(4)) == {"w": "scale_twice"}


def test_the_mean_for_the_sum_over_a_broadcast_axis_is_a_missing_sum():
    op = spoiled(shift, lambda found, dy, y, x, b: (found[0], found[1] / 3))
    first, second = proposals(op, X, normal(8))
    assert (first.name, second.name) == ("missing_sum", "constant_factor")
    assert "the mean over axis 0 of dy" in first.text


def test_the_mean_over_rows_in_a_weight_is_a_missing_sum():
    op = spoiled(linear, lambda found, dy, y, x, w: (found[0], found[1] / 5))
    assert first_names(op, normal(5, 8), normal(4, 8)) == {"args[1]": "missing_sum"}


def test_a_third_of_a_gradient_that_sums_over_nothing_is_a_constant_factor():
    assert first_names(times(1 / 3), X) == {"args[0]": "constant_factor"}


def test_as_many_factors_as_equations_are_no_proposal():
    matrix = normal(2, 1, seed=4)
    op = lambda x, w: (np.tanh(x @ w), lambda dy: (0 * x + np.sum(dy), (dy.T @ matrix).T + 0 * w))  # noqa: E731
    assert first_names(op, normal(2, 1), normal(1, 1)).get("w") is None
