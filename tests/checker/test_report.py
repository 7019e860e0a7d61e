"""The report: numbers to compute with, text to act on, and the seed that repeats it."""

import numpy as np
import pytest

import nonlocal_ref as nl
from tests.checker.samples import linear, normal, relu, square

X = normal((3, 2))


def wrong(x):
    return x * x, lambda dy: (x * dy,)


def numbers(report):
    return [(leaf.analytic, leaf.numeric, leaf.error, leaf.bound, leaf.worst) for leaf in report]


@pytest.mark.parametrize("rng", [None, 7, np.random.default_rng(7)], ids=["None", "int", "Generator"])
def test_the_seed_in_the_report_repeats_it(rng):
    report = nl.gradcheck(wrong, X, rng=rng)
    assert f"repeat with rng={report.seed}, mode='fast', directions=3" in str(report)
    assert numbers(nl.gradcheck(wrong, X, rng=report.seed)) == numbers(report)


def test_an_int_is_its_own_seed():
    assert nl.gradcheck(square, X, rng=5).seed == 5


def test_a_generator_is_used_but_not_reseeded():
    rng = np.random.default_rng(5)
    assert nl.gradcheck(square, X, rng=rng).seed != nl.gradcheck(square, X, rng=rng).seed


def test_the_numbers_of_a_right_gradient():
    leaf = nl.gradcheck(square, X, rng=0)["x"]
    assert leaf.status == "right"
    assert leaf.error == abs(leaf.analytic - leaf.numeric)
    assert leaf.error <= leaf.bound
    assert leaf.relative_error < 1e-14
    assert leaf.worst is None
    assert leaf.method == "complex"
    assert (leaf.name, leaf.shape, leaf.smooth, leaf.kinked) == ("x", (3, 2), 3, 0)


def test_the_numbers_of_a_wrong_gradient():
    leaf = nl.gradcheck(wrong, X, rng=0, mode="full")["x"]
    assert leaf.status == "wrong"
    assert leaf.numeric == pytest.approx(2 * leaf.analytic)
    assert leaf.relative_error == pytest.approx(0.5)
    assert leaf.error > leaf.bound
    assert leaf.smooth == 6


def test_full_mode_names_the_worst_entry_of_a_right_gradient_too():
    off = np.asarray([[0, 0], [1e-9, 0], [0, 0]])  # far more than the rounding, and less than anybody minds
    report = nl.gradcheck(lambda x: (x * x, lambda dy: ((2 + off) * x * dy,)), X, rng=0, mode="full", names=["x"])
    assert report
    assert report["x"].worst == (1, 0)


def test_the_text_of_a_right_operation():
    text = str(nl.gradcheck(linear, X, X, rng=0))
    assert text.startswith("linear: right (2 gradients checked)\n")
    assert "weight" in text
    assert "complex step" in text


def test_the_text_of_a_wrong_operation_names_argument_and_entry():
    text = str(nl.gradcheck(wrong, X, rng=0))
    assert text.startswith("wrong: WRONG: x\n")
    assert "wrong: x is worst at [" in text


def test_a_report_shows_itself_at_the_prompt_and_in_a_failing_assertion():
    report = nl.gradcheck(wrong, X, rng=0)
    assert repr(report) == str(report)


def test_a_report_is_iterated_by_gradient():
    assert [leaf.name for leaf in nl.gradcheck(linear, X, X, rng=0)] == ["x", "weight"]


def test_a_zero_gradient_says_that_nothing_else_was_checked():
    assert "x: zero within rounding" in str(nl.gradcheck(relu, -np.abs(X) - 1, rng=0))


def test_gradient_and_number_that_are_both_zero_have_no_error():
    assert nl.gradcheck(relu, -np.abs(X) - 1, rng=0)["x"].relative_error == 0


def test_every_line_fits_a_page_and_goes_on_under_its_text():
    def op(values_of_a_long_name, weights_of_a_long_name):
        y = values_of_a_long_name * weights_of_a_long_name
        return y, lambda dy: [dy * weights_of_a_long_name, np.sum(dy * values_of_a_long_name, axis=0)]

    _, _, sentences = str(nl.gradcheck(op, np.ones((2, 3)), np.ones(3), rng=0)).split("\n\n")
    first, second, *_ = sentences.splitlines()
    assert max(map(len, sentences.splitlines())) <= 100
    assert first.startswith("wrong: ")
    assert second.startswith("       ")
