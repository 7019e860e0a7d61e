"""A mask, a gate, a pooling index: gradient where there must be none."""

import numpy as np
import pytest

from tests.checker.diagnosis.wrong_operations import first_names, normal, softmax, softmax_backward, spoiled, turned

X = normal(4, 6)


def relu(gate):
    return lambda x: (np.where(np.real(x) > 0, x, 0.0), lambda dy: (gate(x, dy),))


def maximum(spread):
    """Of pairs of neighbours."""

    def op(x):
        pairs = x.reshape(4, 3, 2)
        won = np.argmax(np.real(pairs), axis=-1)[..., None]

        def backward(dy):
            return (spread(dy).reshape(x.shape),)

        return np.take_along_axis(pairs, won, axis=-1)[..., 0], backward

    return op


WRONG = {
    "open": relu(lambda x, dy: dy),
    "turned": relu(lambda x, dy: np.where(x < 0, dy, 0.0)),
    "gate of dy": relu(lambda x, dy: np.where(dy > 0, dy, 0.0)),
    "last cell": maximum(lambda dy: np.stack([0 * dy, dy], axis=-1)),
    "every cell": maximum(lambda dy: np.stack([dy, dy], axis=-1)),
    "spread evenly": maximum(lambda dy: np.stack([dy, dy], axis=-1) / 2),
    "mask": lambda x: (3 * x * (np.arange(6) < 4), lambda dy: (3 * dy,)),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", WRONG)
def test_gradient_where_none_belongs(mistake):
    assert first_names(WRONG[mistake], X) == {"x": "index_ignored"}


def test_a_relu_after_a_linear_layer():
    def op(x, w):
        h = x @ w.T
        return np.where(np.real(h) > 0, h, 0.0), lambda dy: (dy @ w, dy.T @ x)

    assert first_names(op, X, normal(3, 6)) == dict.fromkeys("xw", "index_ignored")


MASK = np.random.default_rng(1).random((2, 3, 5)) < 0.6
MASK[..., 0] = True
QKV = [normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 2)]


def masked_attention(q, k, v):
    p = softmax(np.where(MASK, q @ turned(k), -1e30))

    def backward(dy):
        ds = softmax_backward(p, dy @ turned(v))
        return ds @ k, turned(ds) @ q, turned(p) @ dy

    return p @ v, backward


def masked_product(q, k, v):
    weights = np.where(MASK, q @ turned(k), 0.0) / MASK.sum(axis=-1, keepdims=True)

    def backward(dy):
        ds = np.where(MASK, dy @ turned(v), 0.0) / MASK.sum(axis=-1, keepdims=True)
        return ds @ k, turned(ds) @ q, turned(weights) @ dy

    return weights @ v, backward


def without_mask(found, dy, y, q, k, v):
    ds = softmax_backward(softmax(q @ turned(k)), dy @ turned(v))
    return ds @ k, turned(ds) @ q, found[2]


def product_without_mask(found, dy, y, q, k, v):
    ds = dy @ turned(v) / MASK.sum(axis=-1, keepdims=True)
    return ds @ k, turned(ds) @ q, found[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("op", "spoil", "culprits"),
    [
        (masked_attention, without_mask, "qk"),
        (masked_attention, lambda found, dy, y, q, k, v: (*found[:2], turned(softmax(q @ turned(k))) @ dy), "v"),
        (masked_product, product_without_mask, "qk"),
        (masked_product, lambda found, dy, y, q, k, v: (*found[:2], turned(q @ turned(k)) @ dy / 5), "v"),
    ],
)
def test_a_mask_that_attention_forgets_on_the_way_back(op, spoil, culprits):
    mask = MASK  # a variable of the operation's closure, where the checker can see it

    def wrong(q, k, v):
        assert mask is MASK
        return spoiled(op, spoil)(q, k, v)

    assert first_names(wrong, *QKV) == dict.fromkeys(culprits, "index_ignored")


def test_a_gate_that_is_right_but_for_the_sign_is_a_factor():
    assert first_names(relu(lambda x, dy: np.where(x > 0, -dy, 0.0)), X) == {"x": "constant_factor"}


def test_a_gradient_that_does_not_reach_some_entries_ignores_no_index():
    op = lambda x: (np.sin(x), lambda dy: (dy * np.cos(x) * (np.arange(6) != 2),))  # noqa: E731
    assert "index_ignored" not in first_names(op, X).values()


@pytest.mark.slow
def test_a_gate_of_a_large_array_is_found_among_some_of_its_entries():
    relu = lambda x: (x * (x > 0), lambda dy: (dy,))  # noqa: E731
    assert first_names(relu, normal(160, 160)) == {"x": "index_ignored"}
