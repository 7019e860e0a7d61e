"""The bridge: the embedded Gaussian operation, untouched, is the classic denoiser."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonlocal_ref as nl
from nonlocal_ref.denoise import denoising_operands, patch_embedding, window_mask
from tests.denoise.cases import SEEDS, cases
from tests.denoise.oracle import rounding


def bridge_rounding(image, h):
    """As `rounding`, for logits of size 3 |P|² / h², plus the one rounding when the mean is put back."""
    return 2 * rounding(image - np.mean(image), h) + 4 * np.finfo(np.float64).eps * abs(np.mean(image))


@given(cases(fixed={"sigma": 0.0}, center=st.sampled_from(["one", "zero"])))
def test_the_operation_under_a_mask_is_the_denoiser_for_any_window(case):
    image, options = case
    through_operation = nl.non_local_means(image, **options, method="global")
    by_shifts = nl.non_local_means(image, **options, method="shift")
    tolerance = 2 * bridge_rounding(image, options["h"])  # channels have a mean each
    np.testing.assert_allclose(through_operation, by_shifts, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", [(40,), (12, 11), (5, 4, 6)])
@pytest.mark.parametrize("h", [0.3, 1.0])
def test_the_operation_without_a_mask_is_the_denoiser_over_the_whole_image(shape, h):
    image = np.random.default_rng(0).random(shape)
    whole = max(shape)
    through_operation = nl.non_local_means(image, patch_size=3, patch_distance=whole, h=h, method="global")
    by_shifts = nl.non_local_means(image, patch_size=3, patch_distance=whole, h=h, method="shift")
    np.testing.assert_allclose(through_operation, by_shifts, rtol=0, atol=bridge_rounding(image, h))


def test_the_operands_can_be_handed_to_nonlocal_op_by_hand():
    image = np.random.default_rng(1).random((7, 6)) - 0.5
    theta, phi, g = denoising_operands(image[None], h=0.5, patch_size=(3, 3))
    mask = window_mask(image[None], patch_distance=(2, 1))
    y, _ = nl.nonlocal_op("embedded_gaussian", theta, phi, g, mask=mask)
    expected = nl.non_local_means(image, patch_size=3, patch_distance=(2, 1), h=0.5)
    np.testing.assert_allclose(np.reshape(y, (7, 6)), expected, rtol=0, atol=rounding(image, 0.5))


def test_the_operation_weighs_as_the_distances_of_patches_say():
    image = np.random.default_rng(2).random((5, 4))
    theta, phi, _ = denoising_operands(image[None], h=0.5, patch_size=(3, 3))
    weights, _ = nl.weights("embedded_gaussian", theta, phi)
    patches = patch_embedding(image[None], patch_size=(3, 3))
    d2 = np.sum((patches[0, :, None] - patches[0, None, :]) ** 2, axis=-1)
    expected = np.exp(-d2 / 0.5**2)
    expected /= np.sum(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(weights[0], expected, rtol=rounding(image, 0.5), atol=0)


@given(SEEDS)
def test_the_operation_does_not_know_where_a_patch_comes_from(seed):
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((4, 5))
    theta, phi, g = denoising_operands(image[None], h=1.0, patch_size=(3, 3))
    order = rng.permutation(image.size)
    y, _ = nl.nonlocal_op("embedded_gaussian", theta, phi, g)
    y_shuffled, _ = nl.nonlocal_op("embedded_gaussian", theta[:, order], phi[:, order], g[:, order])
    np.testing.assert_allclose(y_shuffled, y[:, order], rtol=0, atol=rounding(image, 1.0))


def test_taking_off_the_mean_saves_the_digits_of_a_bright_image():
    image = np.random.default_rng(3).random((9, 9))
    bright = image + 1000  # |P|² / h² is 1e8: taken as it is, it would be rounded by 1e-8
    expected = nl.non_local_means(bright, patch_size=3, h=0.1, method="shift")
    through_operation = nl.non_local_means(bright, patch_size=3, h=0.1, method="global")
    # An average of values near 1000 is rounded to 1e-12, however it is taken.
    np.testing.assert_allclose(through_operation, expected, rtol=0, atol=30 * 1000 * np.finfo(np.float64).eps)


def test_no_mask_is_made_where_everything_is_a_candidate():
    image = np.zeros((1, 3, 4))
    assert window_mask(image, patch_distance=(2, 3)) is None
    assert window_mask(image, patch_distance=(9, 9)) is None
    assert window_mask(image, patch_distance=(1, 3)) is not None


def test_the_mask_is_the_window_and_without_the_centre_its_diagonal_is_false():
    image = np.zeros((1, 4))
    band = np.abs(np.arange(4)[:, None] - np.arange(4)) <= 1
    np.testing.assert_array_equal(window_mask(image, patch_distance=(1,))[0], band)
    np.testing.assert_array_equal(
        window_mask(image, patch_distance=(1,), center="zero")[0], band & ~np.eye(4, dtype=bool)
    )
    np.testing.assert_array_equal(window_mask(image, patch_distance=(0,), center="zero")[0], np.eye(4, dtype=bool))
