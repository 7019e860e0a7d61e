import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonlocal_ref.denoise.settings import inverse_bandwidth, reach
from nonlocal_ref.denoise.shift_form import both_ends, half_window
from tests.denoise.cases import SHAPES


@given(SHAPES, st.integers(0, 4))
def test_every_pair_in_the_window_is_visited_once(shape, distance):
    index = np.arange(np.prod(shape)).reshape(shape)
    visited = []
    for offset in half_window(shape, (distance,) * len(shape)):
        for i, j in both_ends(shape, offset):
            visited += zip(index[i].ravel().tolist(), index[j].ravel().tolist(), strict=True)
    places = list(np.ndindex(shape))
    expected = {
        (a, b)
        for a, p in enumerate(places)
        for b, q in enumerate(places)
        if a != b and all(abs(s - t) <= distance for s, t in zip(p, q, strict=True))
    }
    assert len(visited) == len(expected)
    assert set(visited) == expected


def test_a_window_ends_where_the_image_does():
    assert reach((5, 1, 9), (99, 3, 2)) == (4, 0, 2)
    assert half_window((1, 1), (3, 3)) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_over_h_squared_stays_a_number(dtype):
    x = np.zeros(1, dtype=dtype)
    assert inverse_bandwidth(np.inf, x) == 0
    assert inverse_bandwidth(0.25, x) == 4
    assert np.isfinite(dtype(inverse_bandwidth(5e-324, x)) ** 2)
