"""A factor of its own for every output or entry, and the gradients of a scale."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.checker.diagnosis.entrywise import along_fewer_axes
from tests.checker.diagnosis.wrong_operations import first_names, normal

X, W = normal(4, 3), normal(3, 3)


def layer(slope):
    """tanh(x w), with slope(y, a) for its derivative."""

    def op(x, w):
        a = x @ w
        y = np.tanh(a)

        def backward(dy):
            da = dy * slope(y, a)
            return da @ w.T, x.T @ da

        return y, backward

    return op


KEEP = np.arange(12).reshape(4, 3) % 4 != 1
SLOPES = {
    "a for y": ("stale_value", "own factor", lambda y, a: 1 - a * a),
    "another call": ("stale_value", "own factor", lambda y, a: 1 - np.tanh(normal(4, 3, seed=3)) ** 2),
    "none": ("missing_term", "1 - y²", lambda y, a: 1),
    "twice": ("scale_twice", "1 - y²", lambda y, a: (1 - y * y) ** 2),
    "closed": ("index_ignored", "gate closed", lambda y, a: (1 - y * y) * KEEP),
}


@pytest.mark.slow
@pytest.mark.parametrize("slope", SLOPES)
def test_the_derivative_of_the_last_step(slope):
    name, told, f = SLOPES[slope]
    found = nl.gradcheck(layer(f), X, W, rng=0).diagnosis
    assert {proposals[0].name for proposals in found.values()} == {name}
    assert told in found["x"][0].text


def test_the_derivative_of_an_operation_entry_by_entry_is_missing():
    assert first_names(lambda x: (np.tanh(x), lambda dy: (dy,)), X) == {"x": "missing_term"}


def test_the_derivative_of_the_first_step():
    op = lambda x, w: (np.tanh(x) @ w, lambda dy: (dy @ w.T, np.tanh(x).T @ dy))  # noqa: E731
    assert first_names(op, X, W) == {"x": "missing_term"}


@pytest.mark.parametrize(
    ("off", "told"),
    [
        ({(1, 2): 1.00001}, "only [1, 2] is wrong: 1.00001 times what it must be"),
        ({(0, 1): 2, (3, 0): 0.5}, "only [0, 1], [3, 0] are wrong: 2, 0.5 times what they must be"),
    ],
)
def test_a_few_entries_that_are_wrong_are_told_by_their_places(off, told):
    factors = np.ones((4, 3))
    for place, factor in off.items():
        factors[place] = factor
    op = lambda x, w: (np.sin(x) @ w, lambda dy: (dy @ w.T * np.cos(x) * factors, np.sin(x).T @ dy))  # noqa: E731
    first = nl.gradcheck(op, X, W, rng=0)["x"].diagnosis[0]
    assert told in first.text


def test_a_factor_along_two_axes_is_no_stale_value():
    factor = normal(2, 3, 1)
    op = lambda x, w: (x @ w, lambda dy: (factor * dy @ w.T, np.einsum("abc,abd->cd", x, dy)))  # noqa: E731
    assert first_names(op, normal(2, 3, 4), normal(4, 3)) == {"x": "constant_factor"}


def scale_of(read, axis):
    """A norm over an axis, where dgamma reads another array."""

    def op(x, gamma, beta, w):
        x_hat = (x - x.mean(axis=axis, keepdims=True)) / np.sqrt(x.var(axis=axis, keepdims=True) + 1e-5)
        h = gamma * x_hat + beta

        def backward(dy):
            dh = dy @ w.T
            dx_hat = dh * gamma
            along = (dx_hat * x_hat).mean(axis=axis, keepdims=True)
            dx = dx_hat - dx_hat.mean(axis=axis, keepdims=True) - x_hat * along
            dx = dx / np.sqrt(x.var(axis=axis, keepdims=True) + 1e-5)
            return dx, (dh * read(x, h)).sum(axis=0), dh.sum(axis=0), h.T @ dy

        return h @ w, backward

    return op


PARAMS = [normal(6, 3), normal(3), normal(3, seed=1)]


@pytest.mark.parametrize("read", [lambda x, h: x, lambda x, h: h], ids=["x", "h"])
def test_a_scale_after_batch_norm_that_reads_another_array(read):
    found = first_names(scale_of(read, 0), *PARAMS, W, names=["x", "gamma", "beta", "w"])
    assert found == {"gamma": "stale_value"}


def test_a_scale_after_layer_norm_that_reads_the_input():
    found = first_names(scale_of(lambda x, h: x, 1), *PARAMS, np.eye(3), names=["x", "gamma", "beta", "w"])
    assert found == {"gamma": "stale_value"}


def test_a_forgotten_scale_is_told_from_a_stale_one():
    def op(x, g, w):
        h = np.tanh(x) * g
        return np.sin(h) @ w, lambda dy: (
            dy @ w.T * np.cos(h) * (1 - np.tanh(x) ** 2),
            (dy @ w.T * np.cos(h) * np.tanh(x)).sum(axis=0),
            np.sin(h).T @ dy,
        )

    assert first_names(op, X, normal(3), W) == {"x": "scale_twice"}


def test_a_slice_without_any_factor_is_overlooked():
    nothing = np.nan  # both gradients are zero there
    assert along_fewer_axes(np.asarray([nothing, nothing, 2.0, 2.0]), np.arange(4), (2, 2))
    assert not along_fewer_axes(np.asarray([nothing, nothing, 2.0, 3.0]), np.arange(4), (1, 4))
