"""Each fast form is the dense form, forward and backward: on every library, for every tile size, with ties."""

from functools import partial
from importlib import import_module
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nonlocal_ref as nl
from nonlocal_ref.dense import dense
from nonlocal_ref.exact.sorted_form import PairOrder, sort_pairs
from nonlocal_ref.exact.tiled import tiled
from nonlocal_ref.exact.tiles import Tile, Tiling
from nonlocal_ref.pairwise import gaussian
from tests import tolerances
from tests.exact.closures import saved_arrays
from tests.helpers import NUMPY, example, normal, same_kind

FAST = {"gaussian": "tiled", "embedded_gaussian": "tiled", "dot_product": "reassociated", "concatenation": "sorted"}
every_fast_form = pytest.mark.parametrize("variant", FAST)
# B > 1, N = 1, M = 1, one of each, M across a block of the prefix sums, nothing in the batch, no query, no channel of g
SHAPES = [(2, 5, 7, 3, 2), (3, 1, 4, 2, 2), (2, 6, 1, 2, 3), (1, 1, 1, 1, 1), (1, 90, 130, 2, 3)]
EMPTY_SHAPES = [(0, 3, 2, 2, 2), (2, 0, 3, 2, 2), (2, 3, 4, 2, 0)]


def both(variant, arrays, dy, *, method=None, **options):
    """Value and gradients of the dense and of the fast form."""
    results = []
    for how in ("dense", method or FAST[variant]):
        y, backward = nl.nonlocal_op(variant, *arrays, method=how, **options)
        results.append((y, *backward(dy)))
    return results


def draw(rng, variant, shape, *, whole=False):
    batch, queries, keys, depth, width = shape
    arrays = example(rng, batch=batch, queries=queries, keys=keys, depth=depth, width=width, variant=variant)
    if whole:  # small whole numbers: many ties, many exact zeros of a + b
        arrays = [np.round(x) for x in arrays]
    return arrays, normal(rng, batch, queries, width)


def magnitudes(variant, arrays, dy, **options):
    """How large what is added up is, for y and each gradient: float32 and float64 are held to the same ratio."""
    wide = [np.asarray(x, dtype=np.float64) for x in (*arrays, dy)]
    found = tolerances.operation(variant, wide[:-1], wide[-1], **options)
    return [found.y, *found.gradients]


def assert_same(dense_results, fast_results, scales, eps):
    """Both are computed in the same precision: each may be off by the ratio, so together by twice that."""
    for expected, got, scale in zip(dense_results, fast_results, scales, strict=True):
        tolerances.assert_ratio(got, expected, scale, eps, 2 * tolerances.LIMIT)


@pytest.mark.parametrize("method", ["dense", "fast"])
@every_fast_form
def test_a_caller_who_changes_y_in_place_still_gets_the_right_gradients(variant, method, rng):
    arrays, dy = draw(rng, variant, (2, 5, 7, 3, 2))
    how = FAST[variant] if method == "fast" else method
    expected = nl.nonlocal_op(variant, *arrays, method=how)[1](dy)
    y, backward = nl.nonlocal_op(variant, *arrays, method=how)
    y *= 2
    for got, want in zip(backward(dy), expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", ["dot_product", "concatenation"])
def test_equal_numbers_at_many_positions_keep_their_digits(variant, dtype):
    """Each addition is rounded the same way; added one row after the other, the ratio was in the thousands here."""
    theta, phi, g, dy = (np.full((1, 2**16, n), value) for n, value in ((3, 0.7), (3, 0.3), (2, 0.1), (2, 0.9)))
    arrays = [theta, phi, g, *([np.full(6, 0.1)] if variant == "concatenation" else [])]
    arrays, dy = [x.astype(dtype) for x in arrays], dy.astype(dtype)
    y, backward = nl.nonlocal_op(variant, *arrays, method=FAST[variant])
    few = [x[:, :1, :] if x.ndim == 3 else x for x in (x.astype(np.longdouble) for x in arrays)]
    exact_y, exact_backward = nl.nonlocal_op(variant, *(x.astype(np.float64) for x in few), method="dense")
    dtheta, dphi, dg, *dw_f = exact_backward(dy[:, :1].astype(np.float64))  # N = M = 1: each position is as the others
    expected = [exact_y, dtheta, dphi, dg, *(2**16 * x for x in dw_f)]
    for got, exact in zip((y, *backward(dy)), expected, strict=True):
        tolerances.assert_ratio(got, np.broadcast_to(exact, got.shape), np.abs(exact), float(np.finfo(dtype).eps))


def test_the_sorted_form_takes_a_dy_whose_sum_would_overflow():
    small, large = np.full((1, 40, 1), 1e-3, dtype=np.float32), np.full((1, 40, 1), 1e38, dtype=np.float32)
    _, backward = nl.nonlocal_op("concatenation", small, small, small, np.ones(2, dtype=np.float32), method="sorted")
    np.testing.assert_allclose(backward(large)[2], 2e35, rtol=1e-5)


@every_fast_form
@pytest.mark.parametrize("shape", SHAPES + EMPTY_SHAPES)
def test_a_fast_form_equals_the_dense_form_on_every_library(variant, shape, xp, rng):
    arrays, dy = draw(rng, variant, shape)
    expected, got = both(variant, [xp.asarray(x) for x in arrays], xp.asarray(dy))
    assert all(same_kind(b, a) for a, b in zip(expected, got, strict=True))
    scales = magnitudes(variant, arrays, dy)
    assert_same([xp.to_numpy(x) for x in expected], [xp.to_numpy(x) for x in got], scales, xp.eps)


@every_fast_form
@pytest.mark.parametrize("shape", EMPTY_SHAPES)
def test_single_precision_stays_single_where_there_is_nothing(variant, shape, rng):
    arrays, dy = draw(rng, variant, shape)
    y, backward = nl.nonlocal_op(variant, *(x.astype(np.float32) for x in arrays), method=FAST[variant])
    assert {x.dtype.name for x in (y, *backward(dy.astype(np.float32)))} == {"float32"}


@given(st.tuples(*[st.integers(1, 6)] * 5), st.integers(0, 2**32 - 1), st.sampled_from(list(FAST)), st.booleans())
def test_a_fast_form_equals_the_dense_form_with_ties_and_without(shape, seed, variant, whole):
    rng = np.random.default_rng(seed)
    arrays, dy = draw(rng, variant, shape, whole=whole)
    assert_same(*both(variant, arrays, dy), magnitudes(variant, arrays, dy), NUMPY.eps)


@given(st.tuples(*[st.integers(1, 6)] * 5), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_tiled_form_equals_the_dense_form_for_every_tile_size(shape, seed, workers):
    rng = np.random.default_rng(seed)
    arrays, dy = draw(rng, "gaussian", shape)
    y, backward = dense(gaussian, *arrays)
    expected, scales = (y, *backward(dy)), magnitudes("gaussian", arrays, dy)
    for rows, keys in product(range(1, shape[1] + 1), range(1, shape[2] + 1)):
        for elements in range(1, shape[0] + 1) if rows == shape[1] else (1,):
            y_tiled, tiled_backward = tiled(*arrays, tiling=Tiling(elements, rows, keys, workers))
            assert_same(expected, (y_tiled, *tiled_backward(dy)), scales, NUMPY.eps)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 5))
def test_the_tiled_form_equals_the_dense_form_under_a_mask_for_every_tile_size(seed, rows, keys):
    rng = np.random.default_rng(seed)
    arrays, dy = draw(rng, "gaussian", (2, 4, 5, 3, 2))
    mask = rng.random((2, 4, 5)) < 0.3  # whole tiles without a candidate, and whole rows
    y, backward = dense(partial(gaussian, mask=mask), *arrays)
    y_tiled, tiled_backward = tiled(*arrays, tiling=Tiling(1, rows, keys), mask=mask)
    scales = magnitudes("gaussian", arrays, dy, mask=mask)
    assert_same((y, *backward(dy)), (y_tiled, *tiled_backward(dy)), scales, NUMPY.eps)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_tile_of_keys_whose_logits_are_all_minus_infinity_changes_nothing(seed, keys):
    """A running maximum of -inf must not turn into -inf - (-inf)."""
    rng = np.random.default_rng(seed)
    (theta, phi, g), _ = draw(rng, "gaussian", (1, 3, 4, 1, 2))
    theta = np.abs(theta) + 0.5
    phi[0, rng.permutation(4)[: rng.integers(1, 4)]] = -np.inf
    y, _ = tiled(theta, phi, g, tiling=Tiling(1, 2, keys))
    expected, _ = dense(gaussian, theta, phi, g)
    np.testing.assert_allclose(y, expected, rtol=1e-13)  # a handful of roundings of numbers of size one


@pytest.mark.parametrize("mask_shape", [(2, 5, 7), (5, 7), (1, 7), (7,), (2, 1, 7), (2, 5, 1), (1,)])
def test_the_tiled_form_takes_every_mask_that_broadcasts(mask_shape, xp, rng):
    mask = rng.random(mask_shape) < 0.6
    arrays, dy = draw(rng, "gaussian", (2, 5, 7, 3, 2))
    options = {"scale": 0.7, "mask": xp.asarray(mask)}
    expected, got = both("gaussian", [xp.asarray(x) for x in arrays], xp.asarray(dy), **options)
    scales = magnitudes("gaussian", arrays, dy, scale=0.7, mask=mask)
    assert_same([xp.to_numpy(x) for x in expected], [xp.to_numpy(x) for x in got], scales, xp.eps)


def test_a_query_that_may_look_nowhere_gives_zeros_in_the_tiled_form(rng):
    arrays, dy = draw(rng, "gaussian", (2, 3, 4, 2, 2))
    mask = np.ones((2, 3, 4), dtype=bool)
    mask[1, 2] = False
    y, backward = nl.nonlocal_op("gaussian", *arrays, mask=mask, method="tiled")
    dtheta, _, _ = backward(dy)
    assert not y[1, 2].any()
    assert not dtheta[1, 2].any()


@pytest.mark.parametrize("variant", ["dot_product", "concatenation"])
def test_a_form_that_takes_no_mask_falls_back_to_dense(variant, rng):
    arrays, dy = draw(rng, variant, (2, 3, 4, 2, 2))
    expected, got = both(variant, arrays, dy, mask=rng.random((2, 3, 4)) < 0.6)
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(a, b)


@every_fast_form
def test_the_gradients_of_a_fast_form_pass_the_gradient_check(variant, rng):
    arrays, _ = draw(rng, variant, (2, 4, 5, 3, 2))
    nl.check_gradients(partial(nl.nonlocal_op, variant, method=FAST[variant]), *arrays, rng=rng)


@every_fast_form
def test_a_fast_form_keeps_no_n_by_m_array(variant, rng):
    queries, keys = 60, 70
    arrays, _ = draw(rng, variant, (1, queries, keys, 3, 2))
    _, backward = nl.nonlocal_op(variant, *arrays, method=FAST[variant])
    assert max(x.size for x in saved_arrays(backward)) < queries * keys
    _, dense_backward = nl.nonlocal_op(variant, *arrays, method="dense")
    assert max(x.size for x in saved_arrays(dense_backward)) >= queries * keys  # the walk does find what is kept


@every_fast_form
def test_the_block_keeps_no_n_by_m_array_and_equals_its_dense_form(variant, rng):
    config = nl.BlockConfig(4, variant=variant, dims=1, norm="affine", subsample=False)
    params = {key: normal(rng, *shape) for key, shape in nl.param_shapes(config).items()}
    x, dz = normal(rng, 1, 4, 90), normal(rng, 1, 4, 90)
    z, backward = nl.block(x, params, config, method=FAST[variant])
    assert max(x.size for x in saved_arrays(backward)) < 90 * 90
    z_dense, dense_backward = nl.block(x, params, config, method="dense")
    for got, expected in zip((z, *backward(dz)), (z_dense, *dense_backward(dz)), strict=True):
        pairs = [(got[k], expected[k]) for k in got] if isinstance(got, dict) else [(got, expected)]
        for a, b in pairs:  # the sums have 90 x 4 x 4 terms of a few units: 1e-10 is far above their rounding
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * max(1, np.abs(b).max()))


# Planted mistakes: the comparison above must reject them.


def off_by_one(tile):
    """A tile that forgets its last query and takes the one before its first."""
    start, stop = tile.rows.start, tile.rows.stop
    return Tile(tile.batch, slice(max(start - 1, 0), max(start - 1, 0) + stop - start))


def test_an_off_by_one_tile_is_rejected(rng, monkeypatch):
    arrays, dy = draw(rng, "gaussian", (1, 6, 5, 3, 2))
    right = Tiling.tiles
    monkeypatch.setattr(Tiling, "tiles", lambda self, *sizes: [off_by_one(tile) for tile in right(self, *sizes)])
    y, backward = tiled(*arrays, tiling=Tiling(1, 2, 3))
    results = (y, *backward(dy))
    monkeypatch.undo()
    expected, _ = both("gaussian", arrays, dy)
    with pytest.raises(AssertionError, match="error ratio"):
        assert_same(expected, results, magnitudes("gaussian", arrays, dy), NUMPY.eps)


@pytest.mark.parametrize("wrong", ["keys first", "one key too many"])
def test_a_wrong_tie_rule_is_rejected(wrong, rng, monkeypatch):
    """At a tie a_i + b_j = 0 the value does not see the rule; the gradients do."""
    arrays, dy = draw(rng, "concatenation", (1, 6, 8, 1, 2), whole=True)
    arrays[3] = np.ones(2)

    def planted(a, b):
        order = sort_pairs(a, b)
        if wrong == "one key too many":
            return order._replace(open_keys=np.minimum(order.open_keys + 1, b.shape[1]))
        swapped = sort_pairs(b, a)  # ties the other way round: b_j = -a_i counts as open
        open_keys = b.shape[1] - swapped_closed(a, b)
        return PairOrder(order.keys, open_keys, order.queries, swapped.open_keys)

    def swapped_closed(a, b):
        return np.sum(b[:, None, :] < -a[:, :, None], axis=2)

    monkeypatch.setattr(import_module("nonlocal_ref.exact.sorted_form"), "sort_pairs", planted)
    expected, got = both("concatenation", arrays, dy)
    with pytest.raises(AssertionError, match="error ratio"):
        assert_same(expected, got, magnitudes("concatenation", arrays, dy), NUMPY.eps)


# NaN and inf: they reach what they belong to, and are never lost.


@settings(max_examples=300)  # what gets lost needs two rare things at once
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(FAST)), st.booleans())
def test_what_is_not_finite_in_the_dense_form_is_not_finite_in_the_fast_one(seed, variant, masked):
    rng = np.random.default_rng(seed)
    arrays, dy = draw(rng, variant, (2, *rng.integers(1, 5, 2), 1, 2))
    arrays[3:] = [np.ones(2)] if variant == "concatenation" else []
    for _ in range(2):
        victim = [*arrays[:3], dy][rng.integers(4)]
        victim[0, rng.integers(victim.shape[1]), rng.integers(victim.shape[2])] = rng.choice([np.nan, np.inf, -np.inf])
    with np.errstate(all="ignore"):
        mask = rng.random((2, arrays[0].shape[1], arrays[1].shape[1])) < 0.7 if masked else None
        expected, got = both(variant, arrays, dy, mask=mask)
    for a, b in zip(expected, got, strict=True):
        assert not np.any(~np.isfinite(a) & np.isfinite(b))  # never lost
    np.testing.assert_array_equal(np.isfinite(expected[0]), np.isfinite(got[0]))  # y: nor moved
    for b in got[:4]:
        assert np.all(np.isfinite(b[1]))  # never another batch element


@every_fast_form
def test_nan_in_one_query_stays_in_its_row(variant, rng):
    arrays, _ = draw(rng, variant, (2, 5, 7, 3, 2))
    arrays[0][1, 3, 0] = np.nan
    y, _ = nl.nonlocal_op(variant, *arrays, method=FAST[variant])
    assert np.isnan(y[1, 3]).all()
    y[1, 3] = 0
    assert np.isfinite(y).all()


def test_complex_arrays_take_the_dense_form_and_no_other(rng):
    arrays, _ = draw(rng, "gaussian", (1, 2, 3, 2, 2))
    arrays = [x.astype(complex) for x in arrays]
    assert nl.nonlocal_op("gaussian", *arrays)[0].dtype == np.complex128
    with pytest.raises(ValueError, match=r"method 'tiled' is for float32 and float64; complex128"):
        nl.nonlocal_op("gaussian", *arrays, method="tiled")


@every_fast_form
@pytest.mark.parametrize("masked", [False, True])
def test_torch_differentiates_through_a_fast_form_as_our_backward_does(variant, masked, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    arrays, dy = draw(rng, variant, (2, 5, 7, 3, 2))
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    mask = torch.tensor(rng.random((2, 5, 7)) < 0.7) if masked else None
    y, backward = nl.nonlocal_op(variant, *tensors, method=FAST[variant], mask=mask)
    ours = [gradient.detach().numpy() for gradient in backward(torch.tensor(dy))]
    y.backward(torch.tensor(dy))
    options = {"mask": mask.numpy()} if masked else {}
    scales = magnitudes(variant, arrays, dy, **options)[1:]
    assert_same([x.grad.numpy() for x in tensors], ours, scales, NUMPY.eps)
