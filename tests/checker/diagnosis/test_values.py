"""The right formula at the wrong values."""

import numpy as np
import pytest

import nonlocal_ref as nl
from tests.checker.diagnosis.wrong_operations import (
    SQUARE,
    attention,
    first_names,
    normal,
    proposals,
    softmax,
    spoiled,
    turned,
)

X, W = normal(3, 4), normal(4, 4)
EARLIER = normal(3, 4, seed=9)
KEPT = {}


def kept_in_one_place(x):
    KEPT["x"] = x
    return x * x, lambda dy: (2 * KEPT["x"] * dy,)


def rebound(x, w):
    h = np.tanh(x @ w.T)

    def backward(dy):
        dh = dy * (1 - h * h)
        return dh @ w, dh.T @ h  # where x belongs

    return h, backward


ENTRY_BY_ENTRY = {
    "y for x in x²": lambda x: (x * x, lambda dy: (2 * x * x * dy,)),
    "y for x in sin": lambda x: (np.sin(x), lambda dy: (np.cos(np.sin(x)) * dy,)),
    "x for y in tanh": lambda x: (np.tanh(x), lambda dy: ((1 - x * x) * dy,)),
    "x for y in exp": lambda x: (np.exp(x), lambda dy: (x * dy,)),
    "x for y in a sigmoid": lambda x: (1 / (1 + np.exp(-x)), lambda dy: (x * (1 - x) * dy,)),
    "x of an earlier call": lambda x: (x * x, lambda dy: (2 * EARLIER * dy,)),
    "x for p in softmax": lambda x: (softmax(x), lambda dy: (x * (dy - np.sum(x * dy, axis=-1, keepdims=True)),)),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ENTRY_BY_ENTRY)
def test_the_wrong_values_entry_by_entry(mistake):
    assert first_names(ENTRY_BY_ENTRY[mistake], X) == {"x": "stale_value"}


def test_the_input_of_an_earlier_call_in_a_weight():
    op = lambda x, w: (x @ w.T, lambda dy: (dy @ w, dy.T @ EARLIER))  # noqa: E731
    first = proposals(op, X, W)[0]
    assert first.name == "stale_value"
    assert f"would be right for x = {EARLIER[0, 0]:.4g}" in first.text


def test_a_name_that_is_bound_again():
    first = proposals(rebound, X, W)[0]
    assert first.name == "stale_value"
    assert "y stands where the input of the layer belongs" in first.text


def test_the_wrong_array_is_read():
    def spoil(found, dy, y, q, k, v):
        return *found[:2], turned(3**-0.5 * q @ turned(k)) @ dy  # the scores, not the softmax of them

    assert first_names(spoiled(attention, spoil), *SQUARE) == {"args[2]": "stale_value"}


def test_a_loop_variable_that_is_read_late():
    def heads(x, w):
        return np.stack([x @ head for head in w]), lambda dy: (
            sum(d @ w[-1].T for d in dy),
            np.stack([x.T @ d for d in dy]),
        )

    assert first_names(heads, X, normal(2, 4, 5)) == {"x": "stale_value"}


def test_what_a_later_call_overwrites_is_stale():
    report = nl.gradcheck(kept_in_one_place, X, rng=0)
    assert [proposal.name for proposal in report["x"].diagnosis] == ["stale_value"]


def test_an_input_that_is_written_over_is_stale():
    def op(x):
        y = x * x
        x *= 2
        return y, lambda dy: (x * dy,)

    assert nl.gradcheck(op, X, rng=0)["x"].diagnosis[0].name == "stale_value"


def test_a_gradient_that_sees_the_values_is_not_stale():
    op = lambda x: (np.exp(x), lambda dy: (np.exp(x) * x * x * dy,))  # noqa: E731
    assert "stale_value" not in first_names(op, X).values()


def test_an_array_of_one_number_in_a_row_lies_along_everything():
    op = lambda x, w: (np.tanh(x @ w), lambda dy: ((dy * (1 - np.tanh(x @ w) ** 2)) @ w.T, np.exp(x).T @ dy))  # noqa: E731
    assert "stale_value" not in first_names(op, normal(4, 1), normal(1, 3)).values()


def test_an_output_read_for_an_input_that_it_is_multiplied_with():
    op = lambda a, b: (a * b, lambda dy: (dy * b, dy * (a * b)))  # noqa: E731
    assert first_names(op, X, normal(3, 4, seed=5)) == {"b": "stale_value"}


def test_only_in_the_last_layer_does_another_array_stand_for_its_input():
    w_o = normal(4, 4, seed=5)

    def op(x, w):
        p = softmax(x @ w @ x.T)

        def backward(dy):
            dp = dy @ w_o.T @ x.T
            ds = p * (dp - np.sum(p * dp, axis=-1, keepdims=True))
            return 0 * x, x.T @ ds.T @ x

        return p @ x @ w_o, backward

    found = nl.gradcheck(op, normal(5, 4), normal(4, 4), rng=0, names=["x", "w"])["w"].diagnosis
    assert not any("stands where the input of the layer belongs" in proposal.text for proposal in found)
