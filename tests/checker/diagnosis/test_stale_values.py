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
    "x for y in tanh": lambda x: (np.tanh(x), lambda dy: ((1 - x * x) * dy,)),
    "x for y in exp": lambda x: (np.exp(x), lambda dy: (x * dy,)),
    "x for y in a sigmoid": lambda x: (1 / (1 + np.exp(-x)), lambda dy: (x * (1 - x) * dy,)),
    "x for p in softmax": lambda x: (softmax(x), lambda dy: (x * (dy - np.sum(x * dy, axis=-1, keepdims=True)),)),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ENTRY_BY_ENTRY)
def test_the_wrong_values_entry_by_entry(mistake):
    assert first_names(ENTRY_BY_ENTRY[mistake], X) == {"x": "stale_value"}


def test_a_name_that_is_bound_again():
    first = proposals(rebound, X, W)[0]
    assert first.name == "stale_value"
    assert "y stands where x belongs" in first.text


def test_the_wrong_array_is_read():
    def spoil(found, dy, y, q, k, v):
        return *found[:2], turned(3**-0.5 * q @ turned(k)) @ dy  # the scores, not the softmax of them

    assert first_names(spoiled(attention, spoil), *SQUARE) == {"args[2]": "stale_value"}


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
