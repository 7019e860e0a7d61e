"""Transposed, flipped, rolled, reordered; and in the place of another argument."""

import numpy as np
import pytest

from tests.checker.diagnosis.wrong_operations import (
    QKV,
    SQUARE,
    attention,
    first_names,
    linear,
    normal,
    proposals,
    sine,
    spoiled,
)

CUBE = normal(4, 4, 4)


def moved(move):
    return spoiled(sine, lambda found, dy, y, x: (move(found[0]),))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("move", "told"),
    [
        (lambda d: np.swapaxes(d, 0, 2), "transposed: axes 0 and 2 are exchanged"),
        (lambda d: np.transpose(d, (1, 2, 0)), "transposed: its axes come in the order (1, 2, 0)"),
        (lambda d: d[:, ::-1], "flipped along axis 1"),
        (lambda d: d[::-1, :, ::-1], "flipped along axes 0 and 2"),
        (lambda d: np.roll(d, 1, 2), "rolled by 1 along axis 2"),
        (lambda d: np.roll(d, 2, 0), "its halves are exchanged"),
        (lambda d: d[:, [2, 0, 3, 1]], "along axis 1 the slices stand in the order [2, 0, 3, 1]"),
        (lambda d: np.swapaxes(d, 0, 1)[::-1], "and flipped along axis 0"),
    ],
)
def test_each_rearrangement_is_named(move, told):
    first = proposals(moved(move), CUBE)[0]
    assert first.name == "permuted"
    assert told in first.text


def test_reshape_in_the_place_of_a_transpose_is_a_permutation():
    def op(x):
        return np.transpose(np.sin(x), (0, 2, 1)), lambda dy: (np.reshape(dy, x.shape) * np.cos(x),)

    assert first_names(op, normal(2, 3, 4)) == {"x": "permuted"}


@pytest.mark.slow
def test_a_large_array_is_sampled_and_its_flip_still_found():
    assert first_names(moved(lambda d: d[::-1]), normal(40, 30)) == {"args[0]": "permuted"}


def test_a_weight_that_is_not_transposed_on_the_way_back_is_a_permutation():
    op = spoiled(linear, lambda found, dy, y, x, w: (dy @ w.T, found[1]))
    assert first_names(op, normal(3, 4), normal(4, 4)) == {"args[0]": "permuted"}


def test_the_way_forth_in_the_place_of_its_transpose_is_a_permutation():
    def cumulated(x):
        return np.cumsum(x, axis=1), lambda dy: (np.cumsum(dy, axis=1),)

    assert first_names(cumulated, normal(2, 5)) == {"x": "permuted"}


def test_a_gradient_of_the_transposed_shape_is_a_permutation():
    op = spoiled(linear, lambda found, dy, y, x, w: (found[0], found[1].T))
    assert first_names(op, normal(3, 5), normal(4, 5)) == {"args[1]": "permuted"}


def test_a_gradient_that_needs_a_reshape_is_a_permutation():
    assert first_names(moved(np.ravel), normal(2, 3)) == {"args[0]": "permuted"}


def test_two_gradients_in_the_wrong_order_are_another_argument_s():
    op = spoiled(attention, lambda found, dy, y, *args: (found[1], found[0], found[2]))
    assert first_names(op, *SQUARE, names=list("qkv")) == dict.fromkeys("qk", "another_argument")


def test_two_gradients_of_different_shapes_in_the_wrong_order_are_another_argument_s():
    op = spoiled(attention, lambda found, dy, y, *args: (found[1], found[0], found[2]))
    assert first_names(op, *QKV, names=list("qkv")) == dict.fromkeys("qk", "another_argument")


def test_the_gradient_of_another_argument_given_twice_names_it():
    op = spoiled(attention, lambda found, dy, y, *args: (found[2], *found[1:]))
    assert proposals(op, *SQUARE, names=list("qkv"))[0].text.startswith("it is the gradient of v")


def test_the_gradient_of_another_argument_may_come_reshaped():
    def scaled(a, b):
        y = np.sum(a) * np.sin(b)
        return y, lambda dy: (
            np.reshape(dy * np.sum(a) * np.cos(b), a.shape),
            dy * np.sum(a) * np.cos(b),
        )

    assert first_names(scaled, normal(3, 2), normal(2, 3)) == {"a": "another_argument"}


def test_every_slice_the_same_is_a_loop_variable_read_late():
    def heads(x, w):
        def backward(dy):
            dx = dy[0] @ w[0].T + dy[1] @ w[1].T
            return dx, np.stack([x.T @ dy[1] for _ in w])

        return np.stack([x @ head for head in w]), backward

    first = proposals(heads, normal(3, 4), normal(2, 4, 5))[0]
    assert first.name == "stale_value"
    assert "the one at 1" in first.text


def test_heads_merged_without_moving_their_axis_are_permuted():
    def op(x, w):
        heads = x.reshape(2, 5, 2, 3).transpose(0, 2, 1, 3)
        return heads @ w, lambda dy: ((dy @ w.T).reshape(x.shape), np.einsum("bhnc,bhnd->cd", heads, dy))

    found = proposals(op, normal(2, 5, 6), normal(3, 4))
    assert found[0].name == "permuted"
    assert "as (2, 5, 2, 3) its axes must come in the order (0, 2, 1, 3)" in found[0].text


def test_a_kernel_that_is_read_backwards_is_permuted():
    def convolution(x, w):
        shifted = np.stack([x[:, i : i + 4] for i in range(3)], axis=-1)

        def backward(dy):
            dx = np.zeros_like(x)
            for i in range(3):
                dx[:, i : i + 4] += dy * w[2 - i]
            return dx, np.einsum("bn,bnk->k", dy, shifted)

        return shifted @ w, backward

    assert first_names(convolution, normal(2, 6), normal(3)) == {"x": "permuted"}


def test_slices_that_stand_in_their_order_are_not_reordered():
    off = 1 + 1e-6 * np.arange(4)[:, np.newaxis, np.newaxis]
    names = [proposal.name for proposal in proposals(moved(lambda d: off * d), CUBE)]
    assert names == ["constant_factor"]


@pytest.mark.parametrize(
    ("spoil", "axis"),
    [
        (lambda a, w, dy: a @ dy @ w.T, 0),
        (lambda a, w, dy: a.T @ dy @ w, 1),
    ],
    ids=["rows", "columns"],
)
def test_a_matrix_that_is_not_transposed_along_one_axis_is_named(spoil, axis):
    a = normal(4, 4)

    def op(x):
        w = a + np.eye(4)
        return a @ x @ w, lambda dy: (spoil(a, w, dy),)

    first = proposals(op, normal(4, 4, seed=1))[0]
    assert first.name == "permuted"
    assert f"along axis {axis} it is multiplied by the matrix of the way forth" in first.text
