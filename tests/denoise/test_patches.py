import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonlocal_ref.denoise.patches import axis_weights, box_sum, pad, patch_embedding, patch_sum, weighted_sum
from tests.denoise.cases import SEEDS, images

PADDINGS = ["reflect", "symmetric", "edge", "wrap"]


@given(images(), st.sampled_from(PADDINGS), st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_padding_is_that_of_numpy_for_any_radius(image, padding, radius):
    radius = tuple(radius[: image.ndim])
    expected = np.pad(image[None], [(0, 0), *((r, r) for r in radius)], mode=padding)
    np.testing.assert_array_equal(pad(image[None], radius, padding), expected)


@given(SEEDS, st.integers(1, 40), st.integers(0, 2))
def test_a_box_sum_is_the_sum_of_its_neighbours(seed, width, axis):
    shape = [2, 3, 4]
    shape[axis] = width + 5
    x = np.random.default_rng(seed).integers(-9, 10, shape).astype(float)  # sums of integers are exact
    expected = np.sum(np.lib.stride_tricks.sliding_window_view(x, width, axis=axis), axis=-1)
    np.testing.assert_array_equal(box_sum(x, width, axis), expected)


def test_a_box_sum_forgets_what_it_has_left_behind():
    x = np.asarray([1e300, 1.0, 2.0, 3.0, np.nan, 4.0])
    np.testing.assert_array_equal(box_sum(x, 2, 0), [1e300, 3.0, 5.0, np.nan, np.nan])


@given(SEEDS, st.sampled_from([1, 3, 5, 7]))
def test_a_weighted_sum_is_a_correlation(seed, size):
    x = np.random.default_rng(seed).standard_normal(12)
    weights = axis_weights(size, "gaussian")
    expected = np.correlate(x, weights, mode="valid")
    np.testing.assert_allclose(weighted_sum(x, weights, 0), expected, rtol=0, atol=1e-14)  # sums of seven terms near 1


@pytest.mark.parametrize("size", [1, 3, 5, 11])
@pytest.mark.parametrize("patch_weights", ["flat", "gaussian"])
def test_the_weights_of_an_axis_sum_to_one_and_are_symmetric(size, patch_weights):
    weights = axis_weights(size, patch_weights)
    assert len(weights) == size
    assert sum(weights) == pytest.approx(1, rel=1e-15)
    assert weights == weights[::-1]


def test_a_gaussian_patch_has_a_quarter_of_its_reach_as_standard_deviation():
    weights = axis_weights(5, "gaussian")  # standard deviation 1
    assert weights[2] / weights[3] == pytest.approx(np.exp(0.5), rel=1e-14)
    assert weights[2] / weights[4] == pytest.approx(np.exp(2.0), rel=1e-14)


@given(images(), st.sampled_from(["flat", "gaussian"]), st.sampled_from(PADDINGS), st.integers(1, 3))
def test_embedded_patches_are_as_far_apart_as_the_patches(image, patch_weights, padding, channels):
    size = (3, 1, 5)[: image.ndim]
    stack = np.stack([image * (1 + c) for c in range(channels)])
    embedded = patch_embedding(stack, patch_size=size, patch_weights=patch_weights, padding=padding)
    assert embedded.shape == (1, image.size, channels * int(np.prod(size)))
    padded = pad(stack, tuple(s // 2 for s in size), padding)
    first = tuple(slice(0, s) for s in size)
    last = tuple(slice(n - 1, n - 1 + s) for s, n in zip(size, image.shape, strict=True))
    squares = np.mean((padded[:, *first] - padded[:, *last]) ** 2, axis=0)
    expected = patch_sum(squares, size, patch_weights) / (np.prod(size) if patch_weights == "flat" else 1)
    distance = np.sum((embedded[0, 0] - embedded[0, -1]) ** 2)
    np.testing.assert_allclose(distance, expected.item(), rtol=1e-13, atol=1e-28)  # some 45 products of rounded factors
