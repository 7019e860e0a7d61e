"""A sum over a broadcast axis that is missing."""

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
    spoiled,
)

X, B = normal(2, 3, 4), normal(4)


def bias(gradient):
    return spoiled(shift, lambda found, dy, y, x, b: (found[0], gradient(dy)))


@pytest.mark.parametrize(
    ("gradient", "told"),
    [
        (lambda dy: dy, "summed over axes 0 and 1 of it it is right"),
        (lambda dy: dy.sum(axis=0), "summed over axis 0 of it it is right"),
        (lambda dy: dy.sum(axis=(0, 1), keepdims=True), "summed over"),
        (lambda dy: dy.sum(axis=1)[0], "only the part of axis 0 of dy at the first came"),
        (lambda dy: dy.sum(axis=1)[-1], "only the part of axis 0 of dy at the last came"),
        (lambda dy: dy.sum(axis=0)[1], "only the part of axis 1 of dy at the index 1 came"),
        (lambda dy: dy[0, 0], "only the part of axes 0 and 1 of dy at the first came"),
        (lambda dy: dy.mean(axis=(0, 1)), "1 / 6 of what it must be: the mean over axes 0 and 1"),
    ],
)
def test_what_came_in_the_place_of_a_sum_is_named(gradient, told):
    first = proposals(bias(gradient), X, B)[0]
    assert first.name == "missing_sum"
    assert told in first.text


def test_an_array_with_an_axis_of_one_gets_its_sum_as_well():
    op = spoiled(shift, lambda found, dy, y, x, b: (found[0], dy))
    assert first_names(op, normal(3, 4), normal(1, 4)) == {"args[1]": "missing_sum"}


def test_the_unsummed_gradient_of_a_weight_is_a_missing_sum():
    op = spoiled(linear, lambda found, dy, y, x, w: (found[0], dy[:, :, None] * x[:, None, :]))
    assert first_names(op, normal(3, 4), normal(5, 4)) == {"args[1]": "missing_sum"}


def test_one_batch_element_alone_is_a_part_of_the_sum():
    op = spoiled(
        attention, lambda found, dy, y, q, k, v: (*found[:2], found[2] * np.asarray([1.0, 0.0])[:, None, None])
    )
    assert first_names(op, *QKV) == {"args[2]": "missing_sum"}


def test_the_sum_over_the_wrong_axis_of_a_square():
    assert first_names(bias(lambda dy: dy.sum(axis=1)), normal(4, 4), B) == {"args[1]": "missing_sum"}


def test_an_entry_used_twice_gets_both_gradients():
    rows = np.asarray([0, 2, 0, 1])

    def gather(x):
        def backward(dy):
            dx = np.zeros_like(x)
            dx[rows] = dy  # the last one wins
            return (dx,)

        return x[rows], backward

    assert first_names(gather, normal(3, 4)) == {"x": "missing_sum"}


def test_a_bias_that_is_right_but_for_a_factor_misses_no_sum():
    assert first_names(bias(lambda dy: -2 * dy.sum(axis=(0, 1))), X, B) == {"args[1]": "constant_factor"}


def test_all_but_the_last_slice_of_a_sum():
    def pairs(a, b):
        y = np.tanh(a[:, :, None] + b[:, None, :])
        return y, lambda dy: ((dy * (1 - y * y))[:, :, :-1].sum(axis=2), (dy * (1 - y * y)).sum(axis=1))

    assert first_names(pairs, normal(2, 5), normal(2, 4)) == {"a": "missing_sum"}


def windows(x, spoil=False):
    """Every window of three squared, summed and mixed; row x_i is in up to three of them."""
    mix = normal(2, 3)

    def backward(dy):
        dx = np.zeros_like(x)
        for k in range(3):
            part = 2 * x[k : k + len(dy)] * (dy @ mix.T)
            dx[k : k + len(dy)] = part if spoil else dx[k : k + len(dy)] + part
        return (dx,)

    return sum(x[k : k + len(x) - 2] ** 2 @ mix for k in range(3)), backward


def test_a_window_that_overwrites_the_others_is_a_missing_sum():
    first = proposals(lambda x: windows(x, spoil=True), normal(7, 2))[0]
    assert first.name == "missing_sum"
    assert "gets the gradient of one of them; is it assigned (=) where it must be added (+=)?" in first.text
