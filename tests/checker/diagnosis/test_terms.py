"""A term that is missing: a path, a mean, a part of a product."""

import numpy as np
import pytest

from tests.checker.diagnosis.wrong_operations import (
    first_names,
    normal,
    proposals,
    softmax,
    softmax_backward,
    spoiled,
    turned,
)

X, W = normal(3, 4), normal(4, 4)


def layer(x, w):
    """tanh(x Wᵀ) + x."""
    h = np.tanh(x @ w.T)

    def backward(dy):
        dh = dy * (1 - h * h)
        return dh @ w + dy, dh.T @ x

    return h + x, backward


@pytest.mark.parametrize(
    ("gradient", "told"),
    [
        (lambda dx, dy: dx - dy, "dy is missing in it"),
        (lambda dx, dy: dx + dy, "once too often"),
        (lambda dx, dy: dy, "it is dy alone"),
    ],
)
def test_a_residual_path(gradient, told):
    first = proposals(spoiled(layer, lambda found, dy, y, x, w: (gradient(found[0], dy), found[1])), X, W)[0]
    assert first.name == "missing_term"
    assert told in first.text


def test_a_factor_of_the_other_path_is_found_beside_the_residual():
    op = spoiled(layer, lambda found, dy, y, x, w: (dy + 3 * (found[0] - dy), found[1]))
    first = proposals(op, X, W)[0]
    assert first.name == "constant_factor"
    assert first.text.startswith("beside the path straight through: three times")


def self_attention(paths):
    def op(x):
        p = softmax(x @ turned(x))

        def backward(dy):
            ds = softmax_backward(p, dy @ turned(x))
            parts = {"theta": ds @ x, "phi": turned(ds) @ x, "g": turned(p) @ dy, "residual": dy}
            return (sum(factor * parts[name] for name, factor in paths.items()),)

        return p @ x + x, backward

    return op


EVERY_PATH = {"theta": 1, "phi": 1, "g": 1, "residual": 1}


@pytest.mark.slow
@pytest.mark.parametrize("path", EVERY_PATH)
def test_the_path_that_is_missing_is_named(path):
    first = proposals(self_attention(EVERY_PATH | {path: 0}), normal(2, 4, 3))[0]
    assert first.name == "missing_term"
    assert first.text.startswith(f"the path through {path} is missing")


def test_a_path_with_another_factor_is_no_missing_one():
    assert first_names(self_attention(EVERY_PATH | {"phi": -1}), normal(2, 4, 3)) == {"x": "constant_factor"}


def test_the_mean_that_is_subtracted_depends_on_the_array():
    assert first_names(lambda x: (x - x.mean(axis=0), lambda dy: (dy,)), normal(5, 3)) == {"x": "missing_term"}


@pytest.mark.parametrize("both", [True, False])
def test_the_statistics_of_a_norm_depend_on_the_array(both):
    def norm(x):
        centred = x - x.mean(axis=-1, keepdims=True)
        std = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-5)
        return centred / std, lambda dy: ((dy if both else dy - dy.mean(axis=-1, keepdims=True)) / std,)

    assert first_names(norm, normal(2, 6)) == {"x": "missing_term"}


def test_one_of_two_uses():
    assert first_names(lambda x: (x @ turned(x), lambda dy: (dy @ x,)), normal(4, 3)) == {"x": "missing_term"}


def test_one_factor_of_a_product():
    def silu(x):
        gate = 1 / (1 + np.exp(-x))
        return x * gate, lambda dy: (dy * gate,)

    assert first_names(silu, X) == {"x": "missing_term"}


def test_a_part_that_gets_nothing():
    op = spoiled(layer, lambda found, dy, y, x, w: (found[0], found[1] * (np.arange(4) < 2)))
    assert first_names(op, X, W) == {"args[1]": "missing_term"}


def test_what_another_array_gets_is_missing_or_too_much():
    def added(a, b):
        return a * np.sin(b), lambda dy: (dy * np.sin(b), dy * a * np.cos(b))

    too_much = spoiled(added, lambda found, dy, y, a, b: (found[0] + found[1], found[1]))
    assert first_names(too_much, X, X + 1, names=["a", "b"]) == {"a": "another_argument"}

    def shared(x, also_x):
        return x * np.sin(also_x) + x * np.cos(also_x), lambda dy: (
            dy * (np.sin(also_x) + np.cos(also_x)),
            dy * x * (np.cos(also_x) - np.sin(also_x)),
        )

    missing = spoiled(shared, lambda found, dy, y, x, also_x: (found[0] - found[1], found[1]))
    assert first_names(missing, X, X + 1, names=["x", "also_x"]) == {"x": "missing_term"}


def test_a_length_that_is_taken_as_a_constant():
    def unit(x):
        length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
        return x / length, lambda dy: (dy / length,)

    assert first_names(unit, normal(5, 3)) == {"x": "missing_term"}


def test_what_is_constant_along_an_axis_anyway_misses_no_mean():
    def op(x):
        total = np.sin(x.sum(axis=1))
        return total, lambda dy: (0 * x + (dy * total)[:, None],)

    assert "missing_term" not in first_names(op, normal(5, 4)).values()


def test_one_of_two_uses_inside_an_operation_that_is_not_known():
    def op(x):
        y = np.tanh(x @ turned(x))
        return y, lambda dy: ((dy * (1 - y * y)) @ x,)

    assert first_names(op, normal(4, 3)) == {"x": "missing_term"}
