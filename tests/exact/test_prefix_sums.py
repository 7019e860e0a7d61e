"""The prefix sums keep the digits of a million numbers; so does the form that stands on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonlocal_ref as nl
from nonlocal_ref.backend import to_backend
from nonlocal_ref.exact.prefix_sums import ROWS_A_SUM, prefix_sums
from tests import tolerances
from tests.helpers import normal


@given(st.integers(1, 2), st.integers(1, 300), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_prefix_sums_are_the_sums_of_what_comes_before(batch, count, width, seed):
    x = normal(np.random.default_rng(seed), batch, count, width)
    expected = np.concatenate([np.zeros((batch, 1, width)), np.cumsum(x, axis=1)], axis=1)
    magnitude = np.concatenate([np.zeros((batch, 1, width)), np.cumsum(np.abs(x), axis=1)], axis=1)
    tolerances.assert_ratio(prefix_sums(x), expected, magnitude, np.finfo(float).eps)


@pytest.mark.parametrize("count", [ROWS_A_SUM - 1, ROWS_A_SUM, ROWS_A_SUM + 1, ROWS_A_SUM**2, ROWS_A_SUM**2 + 1])
def test_whole_numbers_are_summed_exactly_across_the_borders_of_blocks(count, xp):
    x = np.arange(1.0, count + 1)[None, :, None]
    got = xp.to_numpy(prefix_sums(xp.asarray(x)))
    np.testing.assert_array_equal(got[0, :, 0], np.arange(count + 1) * np.arange(1, count + 2) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data", ["normal", "offsets of 1e4", "all ties", "one giant key"])
def test_the_sorted_form_keeps_its_digits_on_hard_data(data, dtype, rng):
    """Against sums in extended precision; a plain running sum has a ratio of hundreds to hundreds of thousands here."""
    count = 2**17
    theta, phi = rng.normal(size=(1, count, 1)), rng.normal(size=(1, count, 1))
    g = rng.normal(size=(1, count, 2)) + 1.0
    if data == "offsets of 1e4":
        theta, phi = theta + 1e4, phi - 1e4
    if data == "all ties":
        theta, phi = np.round(theta), np.round(phi)
    if data == "one giant key":
        phi[0, 0, 0] = 1e12
    arrays = [to_backend(x, "numpy", dtype) for x in (theta, phi, g, np.ones(2))]
    dy = to_backend(rng.normal(size=(1, count, 2)), "numpy", dtype)
    y, backward = nl.nonlocal_op("concatenation", *arrays, method="sorted")
    dtheta, dphi, dg, _ = backward(dy)

    a, b, g_exact, dy_exact = (np.asarray(x[0], dtype=np.longdouble) for x in (*arrays[:3], dy))
    eps = float(np.finfo(dtype).eps)
    for got_value, got_score, own, other, other_values, own_values in (
        (y, dtheta, a, b, g_exact, dy_exact),
        (dg, dphi, b, a, dy_exact, g_exact),
    ):
        order = np.argsort(-other[:, 0], kind="stable")
        opened = np.searchsorted(-other[order, 0], own[:, 0], side="left")  # how many of `other` exceed -own
        sums = _running(other_values[order])[opened]
        weighted = _running(other[order] * other_values[order])[opened]
        sizes = _running(np.abs(other_values[order]))[opened]
        weighted_sizes = _running(np.abs(other[order] * other_values[order]))[opened]
        exact = (own * sums + weighted) / count
        tolerances.assert_ratio(got_value[0], exact, (np.abs(own) * sizes + weighted_sizes) / count, eps)
        exact_score = np.sum(own_values * sums, axis=1) / count
        tolerances.assert_ratio(
            got_score[0, :, 0], exact_score, np.sum(np.abs(own_values) * sizes, axis=1) / count, eps
        )


def _running(x):
    """Sums of what comes before, in extended precision: 11 bits more than float64."""
    return np.concatenate([np.zeros((1, x.shape[1]), dtype=x.dtype), np.cumsum(x, axis=0, dtype=np.longdouble)])
