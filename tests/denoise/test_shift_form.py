import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonlocal_ref.denoise.settings import bandwidth_factors, reach
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


@pytest.mark.parametrize("h", [np.inf, 1e30, 0.25, 1e-14])
def test_one_over_h_squared_has_one_part_for_any_usual_h(h):
    for dtype in (np.float32, np.float64):
        assert bandwidth_factors(h, np.zeros(1, dtype=dtype)) == (1 / h, 1)


@pytest.mark.parametrize(("dtype", "hs"), [(np.float32, [1e-15, 1e-20, 1e-32]), (np.float64, [1e-120, 1e-200, 1e-260])])
def test_the_two_parts_make_one_over_h_squared_for_a_tiny_h(dtype, hs):
    for h in hs:
        before, after = bandwidth_factors(h, np.zeros(1, dtype=dtype))
        assert np.isfinite(dtype(before) ** 2)
        assert (h * before) * (h * before) * after == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_parts_stay_numbers_for_the_smallest_h(dtype):
    before, after = bandwidth_factors(5e-324, np.zeros(1, dtype=dtype))
    assert np.isfinite(dtype(before) ** 2)
    assert np.isfinite(dtype(after))
