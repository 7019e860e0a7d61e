"""From (B, C, *S) to the positions that see each other, and max-pool subsampling."""

import itertools

import numpy as np
import pytest

from nonlocal_ref.positions import fold, max_pool, unfold
from tests import oracles
from tests.helpers import normal

LAYOUTS = {
    "spacetime": {},
    "space": {"domain": "space"},
    "time": {"domain": "time"},
    "groups": {"frame_group": 2},
}
every_layout = pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS)


@pytest.mark.parametrize("space", [(5,), (4, 3), (4, 3, 2)])
def test_channels_go_last_and_nothing_else_moves(space, xp, rng):
    x = normal(rng, 2, 3, *space)
    features, _ = fold(xp.asarray(x))
    np.testing.assert_array_equal(xp.to_numpy(features), xp.to_numpy(xp.asarray(np.moveaxis(x, 1, -1))))


def test_space_puts_every_frame_into_the_batch(xp, rng):
    x = normal(rng, 2, 3, 4, 5, 2)
    features = xp.to_numpy(fold(xp.asarray(x), "space")[0])
    assert features.shape == (8, 1, 5, 2, 3)
    for b, t in itertools.product(range(2), range(4)):
        np.testing.assert_array_equal(features[4 * b + t, 0], np.moveaxis(x[b, :, t], 0, -1))


def test_time_puts_every_pixel_into_the_batch(xp, rng):
    x = normal(rng, 2, 3, 4, 5, 2)
    features = xp.to_numpy(fold(xp.asarray(x), "time")[0])
    assert features.shape == (20, 4, 1, 1, 3)
    for b, h, w in itertools.product(range(2), range(5), range(2)):
        np.testing.assert_array_equal(features[10 * b + 2 * h + w, :, 0, 0], x[b, :, :, h, w].T)


def test_frame_groups_go_into_the_batch(xp, rng):
    x = normal(rng, 2, 3, 6, 5, 2)
    features = xp.to_numpy(fold(xp.asarray(x), frame_group=2)[0])
    assert features.shape == (6, 2, 5, 2, 3)
    for b, n in itertools.product(range(2), range(3)):
        np.testing.assert_array_equal(features[3 * b + n], np.moveaxis(x[b, :, 2 * n : 2 * n + 2], 0, -1))


@every_layout
def test_unfold_undoes_fold(options, xp, rng):
    x = xp.asarray(normal(rng, 2, 3, 4, 5, 2))
    features, _ = fold(x, **options)
    back, _ = unfold(features, tuple(x.shape), **options)
    np.testing.assert_array_equal(xp.to_numpy(back), xp.to_numpy(x))


@pytest.mark.parametrize("space", [(5,), (4, 3)])
def test_unfold_undoes_fold_for_any_number_of_axes(space, rng):
    x = normal(rng, 2, 3, *space)
    np.testing.assert_array_equal(unfold(fold(x)[0], x.shape)[0], x)


@every_layout
def test_unfold_takes_positions_in_a_row_as_well(options, rng):
    x = normal(rng, 2, 3, 4, 5, 2)
    features, _ = fold(x, **options)
    rows = features.reshape(features.shape[0], -1, 3)
    back, backward = unfold(rows, x.shape, **options)
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(backward(x)[0], rows)


@every_layout
def test_the_way_back_of_a_permutation_is_its_inverse(options, rng):
    x = normal(rng, 2, 3, 4, 5, 2)
    features, fold_backward = fold(x, **options)
    back, unfold_backward = unfold(features, x.shape, **options)
    np.testing.assert_array_equal(fold_backward(features)[0], x)
    np.testing.assert_array_equal(unfold_backward(back)[0], features)


POOLS = {
    "1d": ((2, 6, 3), (2,)),
    "1d-remainder": ((2, 7, 3), (3,)),
    "2d": ((2, 4, 6, 3), (2, 3)),
    "2d-remainder": ((2, 5, 7, 3), (2, 2)),
    "3d": ((1, 4, 4, 2, 2), (2, 2, 1)),
    "3d-remainder": ((1, 3, 5, 3, 2), (1, 2, 2)),
    "whole axis": ((2, 4, 3, 2), (4, 3)),
}
every_pool = pytest.mark.parametrize(("shape", "kernel"), POOLS.values(), ids=POOLS)


@every_pool
def test_max_pool_is_the_maximum_of_each_window(shape, kernel, xp, rng):
    x = normal(rng, *shape)
    y, _ = max_pool(xp.asarray(x), kernel)
    np.testing.assert_array_equal(xp.to_numpy(y), oracles.max_pool(x, kernel))


@every_pool
def test_the_winner_gets_the_whole_gradient_and_the_rest_nothing(shape, kernel, xp, rng):
    x = normal(rng, *shape)
    y, backward = max_pool(xp.asarray(x), kernel)
    dy = normal(rng, *y.shape)
    dx = xp.to_numpy(backward(xp.asarray(dy))[0])
    for b, *corner, c in np.ndindex(*dy.shape):
        window = (b, *(slice(n * k, n * k + k) for n, k in zip(corner, kernel, strict=True)), c)
        won = x[window] == x[window].max()
        np.testing.assert_array_equal(dx[window], np.where(won, xp.to_numpy(xp.asarray(dy))[(b, *corner, c)], 0))


def test_what_does_not_fill_a_window_gets_no_gradient(xp, rng):
    y, backward = max_pool(xp.asarray(normal(rng, 1, 5, 7, 2)), (2, 3))
    dx = xp.to_numpy(backward(xp.asarray(normal(rng, *y.shape)))[0])
    assert dx.shape == (1, 5, 7, 2)
    assert not np.any(dx[:, 4:])
    assert not np.any(dx[:, :, 6:])


def test_on_a_tie_the_first_position_in_row_major_order_gets_the_whole_gradient(xp):
    x = np.zeros((1, 2, 4, 1))
    x[0, :, :2, 0] = [[1, 5], [5, 5]]  # the second window is all zeros
    _, backward = max_pool(xp.asarray(x), (2, 2))
    dx = xp.to_numpy(backward(xp.asarray(np.array([[[[3.0], [7.0]]]])))[0])
    np.testing.assert_array_equal(dx[0, :, :, 0], [[0, 3, 7, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_come_through_the_pool(bad, xp, rng):
    x = normal(rng, 1, 4, 1)
    x[0, 1, 0] = bad
    y, backward = max_pool(xp.asarray(x), (2,))
    np.testing.assert_array_equal(xp.to_numpy(y)[0, 0, 0], bad)
    assert np.isfinite(xp.to_numpy(y)[0, 1, 0])
    dx = xp.to_numpy(backward(xp.asarray(np.array([[[2.0], [3.0]]])))[0])
    np.testing.assert_array_equal(dx[0, :2, 0], [0, 2])


def test_minus_infinity_can_win_a_window_of_nothing_else(xp):
    y, _ = max_pool(xp.asarray(np.full((1, 2, 1), -np.inf)), (2,))
    np.testing.assert_array_equal(xp.to_numpy(y), [[[-np.inf]]])


@pytest.mark.parametrize("kernel", [None, (1, 1)])
def test_a_kernel_of_one_cell_pools_nothing(kernel, rng):
    x = normal(rng, 2, 3, 4, 2)
    y, _ = max_pool(x, kernel)
    assert y is x


def test_complex_numbers_are_pooled_by_their_real_part():
    x = np.array([[[1 + 9j], [2 - 9j]]])
    y, backward = max_pool(x, (2,))
    np.testing.assert_array_equal(y, [[[2 - 9j]]])
    np.testing.assert_array_equal(backward(np.array([[[1j]]]))[0], [[[0], [1j]]])


def test_an_empty_batch_is_pooled_to_an_empty_one(xp):
    y, backward = max_pool(xp.asarray(np.ones((0, 5, 2))), (2,))
    assert tuple(y.shape) == (0, 2, 2)
    assert tuple(backward(y)[0].shape) == (0, 5, 2)
