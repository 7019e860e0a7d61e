"""Softmax without its Jacobian, as an operation and inside others."""

import numpy as np
import pytest

from tests.checker.diagnosis.wrong_operations import (
    QKV,
    attention,
    first_names,
    normal,
    proposals,
    softmax,
    spoiled,
    turned,
)

X = normal(3, 5)


def total(x):
    return np.sum(x, axis=-1, keepdims=True)


WRONG = {
    "dy itself": lambda p, dy: dy,
    "p dy; the term": lambda p, dy: p * dy,
    "the diagonal": lambda p, dy: p * (1 - p) * dy,
    "mean of dy": lambda p, dy: p * (dy - np.mean(dy, axis=-1, keepdims=True)),
    "dy - Σ dy": lambda p, dy: p * (dy - total(dy)),
    "factor p in front": lambda p, dy: dy - total(p * dy),
    "factor p of the second term": lambda p, dy: p * dy - total(p * dy),
    "sign": lambda p, dy: p * (dy + total(p * dy)),
    "over everything": lambda p, dy: p * (dy - np.sum(p * dy)),
    "over axis 0": lambda p, dy: p * (dy - np.sum(p * dy, axis=0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("told", WRONG)
def test_each_wrong_jacobian_is_described(told):
    op = lambda x: (softmax(x), lambda dy: (WRONG[told](softmax(x), dy),))  # noqa: E731
    first = proposals(op, X)[0]
    assert first.name == "softmax_jacobian"
    assert told in first.text


def test_a_sum_over_everything_is_not_called_missing():
    op = lambda x: (softmax(x), lambda dy: (softmax(x) * (dy - np.sum(softmax(x) * dy)),))  # noqa: E731
    assert not any("is missing" in proposal.text for proposal in proposals(op, X))


def test_a_softmax_over_the_first_axis():
    op = lambda x: (softmax(x, 0), lambda dy: (softmax(x, 0) * dy,))  # noqa: E731
    assert first_names(op, X) == {"x": "softmax_jacobian"}


@pytest.mark.parametrize("centred", [True, False])
def test_the_logarithm_of_a_softmax(centred):
    op = lambda x: (np.log(softmax(x)), lambda dy: (dy - centred * np.mean(dy, axis=-1, keepdims=True),))  # noqa: E731
    assert first_names(op, X) == {"x": "softmax_jacobian"}


def test_a_layer_before_the_softmax_is_wrong_as_well():
    def op(x, w):
        p = softmax(x @ w.T)
        return p, lambda dy: ((p * dy) @ w, (p * dy).T @ x)

    assert first_names(op, X, normal(4, 5)) == dict.fromkeys("xw", "softmax_jacobian")


QUICK = ("dy itself", "p dy; the term")
OVER_KEYS = [
    pytest.param(told, marks=() if told in QUICK else pytest.mark.slow) for told in WRONG if told != "over axis 0"
]


@pytest.mark.slow
@pytest.mark.parametrize("told", OVER_KEYS)
def test_inside_somebody_s_own_attention(told):
    def spoil(found, dy, y, q, k, v):
        scale = q.shape[-1] ** -0.5
        ds = WRONG[told](softmax(scale * q @ turned(k)), dy @ turned(v))
        return scale * ds @ k, scale * turned(ds) @ q, found[2]

    found = first_names(spoiled(attention, spoil), *QKV, names=list("qkv"))
    assert found == dict.fromkeys("qk", "softmax_jacobian")


@pytest.mark.slow
def test_inside_an_operation_that_is_not_recognised():
    def op(q, k, v):
        p = softmax(np.tanh(q) @ turned(np.sin(k)))
        y = p @ v

        def backward(dy):
            ds = p * (dy @ turned(v))
            return (ds @ np.sin(k)) * (1 - np.tanh(q) ** 2), (turned(ds) @ np.tanh(q)) * np.cos(k), turned(p) @ dy

        return y, backward

    assert first_names(op, *QKV) == dict.fromkeys("qk", "softmax_jacobian")


def test_what_normalises_without_a_softmax_misses_a_term_not_a_jacobian():
    def norm(x):
        length = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
        return x / length, lambda dy: (dy / length,)

    assert first_names(norm, X) == {"x": "missing_term"}


def test_a_softmax_with_a_factor_keeps_its_jacobian():
    op = lambda x: (softmax(x), lambda dy: (2 * softmax(x) * (dy - total(softmax(x) * dy)),))  # noqa: E731
    assert first_names(op, X) == {"x": "constant_factor"}


def test_the_gradient_of_what_comes_after_the_softmax_is_none():
    op = spoiled(attention, lambda found, dy, y, q, k, v: (*found[:2], 3 * found[2]))
    assert first_names(op, *QKV) == {"args[2]": "constant_factor"}


def test_a_function_that_moves_with_its_argument_is_no_softmax():
    found = proposals(lambda x: (np.round(np.real(x)), lambda dy: (dy,)), normal(3, 4))
    assert "softmax_jacobian" not in {proposal.name for proposal in found}
