"""What is true of the denoiser for every image, without knowing a single weight."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import nonlocal_ref as nl
from tests.denoise.cases import SEEDS, cases, images
from tests.denoise.oracle import rounding

PLANES = images(st.sampled_from([(5, 6), (4, 7), (1, 5), (6, 6)]))
LINES = images(st.sampled_from([(7,), (12,)]))
CENTERS = st.sampled_from(["one", "max", "zero"])
INF = float("inf")


def window_of(shape, i, radius):
    """The window of radius ``radius`` around i, clipped to the image."""
    return tuple(slice(max(0, p - r), min(n, p + r + 1)) for p, r, n in zip(i, radius, shape, strict=True))


def assert_within(got, expected, tolerance):
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


# ---- symmetries


@given(cases(), st.sampled_from([255.0, 0.1, -3.0, 0.0]))
def test_a_constant_image_stays(case, value):
    image, options = case
    flat = np.full(image.shape, value)
    # nothing but the sum of up to 40 equal terms and its division
    np.testing.assert_allclose(nl.non_local_means(flat, **options), flat, rtol=20 * np.finfo(float).eps)


@given(cases(), st.integers(0, 3))
def test_mirroring_the_image_mirrors_the_result(case, axis):
    image, options = case
    axis %= image.ndim
    mirrored = nl.non_local_means(np.flip(image, axis), **options)
    assert_within(mirrored, np.flip(nl.non_local_means(image, **options), axis), rounding(image, options["h"]))


@given(PLANES, CENTERS)
def test_transposing_the_image_transposes_the_result(image, center):
    upright = nl.non_local_means(image, patch_size=(3, 5), patch_distance=(1, 2), h=1.0, center=center)
    lying = nl.non_local_means(image.T, patch_size=(5, 3), patch_distance=(2, 1), h=1.0, center=center)
    assert_within(lying, upright.T, rounding(image, 1.0))


@given(PLANES, CENTERS, st.integers(1, 3))
def test_turning_the_image_turns_the_result(image, center, turns):
    options = {"patch_size": 3, "patch_distance": 2, "h": 1.0, "sigma": 0.3, "center": center}
    turned = nl.non_local_means(np.rot90(image, turns), **options)
    assert_within(turned, np.rot90(nl.non_local_means(image, **options), turns), rounding(image, 1.0))


@given(PLANES, CENTERS, st.integers(-5, 5), st.integers(-5, 5))
def test_on_a_torus_shifting_the_image_shifts_the_result(image, center, down, right):
    options = {"patch_size": 3, "patch_distance": 9, "h": 1.0, "padding": "wrap", "center": center}
    shifted = nl.non_local_means(np.roll(image, (down, right), (0, 1)), **options)
    expected = np.roll(nl.non_local_means(image, **options), (down, right), (0, 1))
    assert_within(shifted, expected, rounding(image, 1.0))


@given(cases(), st.sampled_from([2.5, 1e-6, -1.0, -40.0]), st.sampled_from([0.0, 3.0, -0.5]))
def test_the_unit_and_the_zero_of_the_values_do_not_matter(case, factor, offset):
    image, options = case
    moved = factor * image + factor * offset
    scaled = options | {"h": abs(factor) * options["h"], "sigma": abs(factor) * options["sigma"]}
    expected = factor * nl.non_local_means(image, **options) + factor * offset
    assert_within(nl.non_local_means(moved, **scaled), expected, rounding(moved, scaled["h"]))


# ---- what an average can be


@given(cases())
def test_every_pixel_stays_between_the_least_and_the_largest_of_its_window(case):
    image, options = case
    denoised = nl.non_local_means(image, **options)
    if options["channel_axis"] is None:
        image, denoised = image[None], denoised[None]
    else:
        image, denoised = (np.moveaxis(x, options["channel_axis"], 0) for x in (image, denoised))
    radius = np.broadcast_to(options["patch_distance"], image.ndim - 1)
    slack = 30 * np.finfo(float).eps * np.max(np.abs(image))  # the rounding of an average, whatever its weights
    for channel, result in zip(image, denoised, strict=True):
        for i in np.ndindex(channel.shape):
            window = channel[window_of(channel.shape, i, radius)]
            assert np.min(window) - slack <= result[i] <= np.max(window) + slack


@given(cases(), st.sampled_from([INF, 1e200]))
def test_without_a_limit_on_differences_it_is_the_mean_over_the_window(case, h):
    image, options = case
    denoised = nl.non_local_means(image, **options | {"h": h, "center": "one"})
    channel_axis = options["channel_axis"]
    planes = image[None] if channel_axis is None else np.moveaxis(image, channel_axis, 0)
    radius = np.broadcast_to(options["patch_distance"], planes.ndim - 1)
    expected = np.empty_like(planes)
    for i in np.ndindex(planes.shape[1:]):
        window = planes[:, *window_of(planes.shape[1:], i, radius)]
        expected[:, *i] = np.mean(window, axis=tuple(range(1, planes.ndim)))
    expected = expected[0] if channel_axis is None else np.moveaxis(expected, 0, channel_axis)
    assert_within(denoised, expected, rounding(image, INF))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("h", [1e-6, 1e-30, 1e-300, 5e-324])
def test_a_tiny_h_leaves_pixels_with_patches_of_their_own_alone(dtype, h, rng):
    image = rng.random((7, 8)).astype(dtype)
    np.testing.assert_array_equal(nl.non_local_means(image, patch_size=3, patch_distance=3, h=h), image)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("h", [1e-3, 1e-30, 1e-300])
def test_a_tiny_h_picks_the_nearest_other_patch_where_the_centre_is_left_out(dtype, h):
    line = np.asarray([0.0, 10.0, 1.0, 30.0, 13.0], dtype=dtype)
    options = {"patch_size": 1, "patch_distance": 9, "h": h}
    nearest = np.asarray([1.0, 13.0, 0.0, 13.0, 10.0], dtype=dtype)
    np.testing.assert_array_equal(nl.non_local_means(line, center="zero", **options), nearest)
    np.testing.assert_array_equal(nl.non_local_means(line, center="max", **options), (line + nearest) / 2)


def test_equal_patches_are_averaged_whatever_h():
    image = np.tile(np.asarray([[0.0, 3.0], [1.0, 7.0]]), (3, 3))
    np.testing.assert_allclose(
        nl.non_local_means(image, patch_size=3, patch_distance=5, h=1e-9, padding="wrap"), image, rtol=1e-15
    )


def test_a_small_unit_in_float32_is_no_small_h(rng):
    image = rng.random(20).astype(np.float32)
    small = image * np.float32(2.0**-40)  # 1e-12: squares of 1e-24, h² of 1e-26
    for center in ("one", "max", "zero"):
        expected = nl.non_local_means(image, h=0.2, patch_size=3, center=center)
        denoised = nl.non_local_means(small, h=0.2 * 2.0**-40, patch_size=3, center=center)
        np.testing.assert_allclose(denoised, expected * np.float32(2.0**-40), rtol=1e-5)  # 25 / h² eps at most


@pytest.mark.parametrize("center", ["one", "max", "zero"])
@pytest.mark.parametrize(("dtype", "units"), [(np.float32, [50, 66, 100]), (np.float64, [400, 700, 850])])
def test_the_formula_holds_for_an_h_near_the_smallest_numbers(dtype, units, center, rng):
    image = rng.random((6, 5)).astype(dtype)
    options = {"patch_size": 3, "patch_distance": 2, "center": center}
    expected = nl.non_local_means(image, h=0.3, sigma=0.1, **options)
    for power in units:
        unit = 2.0**-power  # exact, so that nothing else can differ
        denoised = nl.non_local_means(image * dtype(unit), h=0.3 * unit, sigma=0.1 * unit, **options)
        np.testing.assert_allclose(denoised / dtype(unit), expected, rtol=30 * np.finfo(dtype).eps / 0.3**2)


@pytest.mark.parametrize("center", ["one", "zero"])
@pytest.mark.parametrize(("dtype", "units"), [(np.float32, [50, 66, 100]), (np.float64, [400, 700, 850])])
def test_it_holds_in_the_global_form_too(dtype, units, center, rng):
    image = rng.random((6, 5)).astype(dtype)
    options = {"patch_size": 3, "patch_distance": 2, "center": center, "method": "global"}
    expected = nl.non_local_means(image, h=0.3, **options)
    for power in units:
        unit = 2.0**-power
        denoised = nl.non_local_means(image * dtype(unit), h=0.3 * unit, **options)
        # logits of 3 |P|² / h² instead of distances, as in the bridge
        np.testing.assert_allclose(denoised / dtype(unit), expected, rtol=90 * np.finfo(dtype).eps / 0.3**2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("h", [1e-30, 1e-300, 5e-324])
@pytest.mark.parametrize("method", ["shift", "global"])
def test_a_tiny_h_gives_numbers_and_no_warning(dtype, h, method, rng):
    image = 255 * rng.random((6, 5)).astype(dtype)
    for center in ("one", "zero"):
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            denoised = nl.non_local_means(image, h=h, patch_distance=2, center=center, method=method)
        assert np.all(np.isfinite(denoised))


# ---- who sees whom


@pytest.mark.parametrize("center", ["one", "max", "zero"])
@pytest.mark.parametrize("padding", ["reflect", "symmetric", "edge"])
@pytest.mark.parametrize("value", [5.0, 1e100, np.nan, np.inf])
def test_a_pixel_reaches_no_further_than_window_and_patch(center, padding, value, rng):
    image = rng.random((13, 15))
    place = (4, 6)
    options = {"patch_size": (5, 3), "patch_distance": (2, 3), "h": 0.3, "center": center, "padding": padding}
    expected = nl.non_local_means(image, **options)
    changed = image.copy()
    changed[place] = value
    with np.errstate(invalid="ignore"):  # inf - inf
        denoised = nl.non_local_means(changed, **options)
    reached = np.zeros(image.shape, dtype=bool)
    reached[window_of(image.shape, place, (2 + 2, 3 + 1))] = True
    np.testing.assert_array_equal(denoised[~reached], expected[~reached])
    if not np.isfinite(value):
        assert not np.any(np.isfinite(denoised[place]))  # and it is not lost


def test_nan_reaches_the_whole_image_in_the_global_form(rng):
    image = rng.random((5, 5))
    image[2, 2] = np.nan
    assert np.all(np.isnan(nl.non_local_means(image, h=1.0, patch_size=1, patch_distance=1, method="global")))


def test_the_inside_of_a_crop_does_not_know_of_the_crop(rng):
    image = rng.random((20, 21))
    options = {"patch_size": 3, "patch_distance": 2, "h": 0.3}
    margin = 3  # window and half a patch
    whole = nl.non_local_means(image, **options)[4 + margin : 16 - margin, 5 + margin : 17 - margin]
    crop = nl.non_local_means(image[4:16, 5:17], **options)[margin:-margin, margin:-margin]
    assert_within(crop, whole, rounding(image, 0.3))


@given(cases())
def test_a_window_larger_than_the_image_is_the_image(case):
    image, options = case
    longest = max(image.shape)
    just = nl.non_local_means(image, **options | {"patch_distance": longest - 1})
    beyond = nl.non_local_means(image, **options | {"patch_distance": longest + 50})
    np.testing.assert_array_equal(beyond, just)


@given(images(), SEEDS, st.sampled_from([1, 2, 40]))
def test_without_the_centre_a_pixel_enters_its_own_result_through_the_weights_alone(image, seed, radius):
    assume(image.size > 1)
    options = {"patch_size": 1, "patch_distance": radius, "h": INF, "center": "zero"}  # weights that see no value
    i = tuple(np.random.default_rng(seed).integers(image.shape))
    changed = image.copy()
    changed[i] += 100
    assert nl.non_local_means(changed, **options)[i] == nl.non_local_means(image, **options)[i]


@pytest.mark.parametrize(
    ("method", "center"),
    [("shift", "one"), ("shift", "max"), ("shift", "zero"), ("global", "one"), ("global", "zero")],
)
def test_a_pixel_without_other_candidates_keeps_its_value(center, method, rng):
    image = rng.normal(size=(3, 4)) + 7
    denoised = nl.non_local_means(image, h=0.5, patch_distance=0, center=center, method=method)
    np.testing.assert_allclose(denoised, image, rtol=1e-15)  # global: the mean is taken off and put back


# ---- sigma


@given(LINES, st.sampled_from([0.1, 0.5]))
def test_taking_2_sigma_squared_off_every_distance_changes_nothing(image, sigma):
    assume(np.unique(image).size == image.size)
    differences = np.abs(image[:, None] - image)
    least = np.min(differences[~np.eye(image.size, dtype=bool)])
    sigma = sigma * least  # so small that the clamp at 0 never acts, the centre aside
    options = {"patch_size": 1, "patch_distance": 99, "h": 0.5, "center": "zero"}
    forgiving = nl.non_local_means(image, sigma=sigma, **options)
    # the rounding of 2σ² / h² is a rounding of all exponents alike, and smaller than they are
    assert_within(forgiving, nl.non_local_means(image, **options), rounding(image, 0.5))


@given(cases(fixed={"center": "one"}))
def test_a_sigma_above_all_differences_gives_the_mean_over_the_window(case):
    image, options = case
    forgiving = nl.non_local_means(image, **options | {"sigma": 2 * np.max(np.abs(image)) + 1})
    np.testing.assert_array_equal(forgiving, nl.non_local_means(image, **options | {"h": INF}))


def test_a_sigma_that_is_no_number_in_float32_is_above_all_differences(rng):
    image = rng.random(9).astype(np.float32)
    np.testing.assert_array_equal(nl.non_local_means(image, sigma=1e200, h=0.1), nl.non_local_means(image, h=INF))


# ---- special cases with a name of their own


def bilateral(image, radius, h):
    """The filter of Yaroslavsky: an average over the window, weighted by the difference of the values alone."""
    result = np.empty_like(image)
    for i in np.ndindex(image.shape):
        values = image[window_of(image.shape, i, (radius,) * image.ndim)]
        weights = np.exp(-(((values - image[i]) / h) ** 2))
        result[i] = np.sum(weights * values) / np.sum(weights)
    return result


@given(images(), st.integers(0, 3), st.sampled_from(["flat", "gaussian"]), st.sampled_from([0.5, 2.0]))
def test_patches_of_one_pixel_make_it_the_filter_of_yaroslavsky(image, radius, patch_weights, h):
    denoised = nl.non_local_means(image, patch_size=1, patch_distance=radius, h=h, patch_weights=patch_weights)
    assert_within(denoised, bilateral(image, radius, h), rounding(image, h))


# ---- channels and axes


@given(PLANES, CENTERS, st.integers(2, 4), st.integers(-3, 2))
def test_a_channel_given_several_times_is_the_channel(image, center, times, channel_axis):
    options = {"patch_size": 3, "patch_distance": 2, "h": 1.0, "sigma": 0.2, "center": center}
    once = nl.non_local_means(image, **options)
    copies = nl.non_local_means(np.stack([image] * times, axis=channel_axis), channel_axis=channel_axis, **options)
    assert_within(copies, np.stack([once] * times, axis=channel_axis), rounding(image, 1.0))


@given(PLANES)
def test_one_channel_is_none(image):
    grey = nl.non_local_means(image, h=1.0)
    np.testing.assert_array_equal(nl.non_local_means(image[..., None], h=1.0, channel_axis=-1)[..., 0], grey)


@given(SEEDS)
def test_the_order_of_the_channels_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    image, order = rng.normal(size=(5, 6, 4)), rng.permutation(4)
    denoised = nl.non_local_means(image, patch_size=3, h=1.0, channel_axis=-1)
    reordered = nl.non_local_means(image[..., order], patch_size=3, h=1.0, channel_axis=-1)
    assert_within(reordered, denoised[..., order], rounding(image, 1.0))


def test_where_the_channels_stand_does_not_matter(rng):
    image = rng.normal(size=(5, 6, 3))
    expected = nl.non_local_means(image, h=1.0, channel_axis=2)
    for axis in (-3, 0, 1):
        moved = nl.non_local_means(np.moveaxis(image, 2, axis), h=1.0, channel_axis=axis)
        np.testing.assert_array_equal(np.moveaxis(moved, axis, 2), expected)


@given(SEEDS, st.integers(0, 2), CENTERS)
def test_an_axis_with_neither_window_nor_patch_is_a_loop_over_slices(seed, axis, center):
    stack = np.random.default_rng(seed).normal(size=(3, 4, 5))
    patch_size, patch_distance = [3, 3, 3], [2, 2, 2]
    patch_size[axis], patch_distance[axis] = 1, 0
    together = nl.non_local_means(
        stack, patch_size=tuple(patch_size), patch_distance=tuple(patch_distance), h=1.0, center=center
    )
    slices = [
        nl.non_local_means(s, patch_size=3, patch_distance=2, h=1.0, center=center) for s in np.moveaxis(stack, axis, 0)
    ]
    assert_within(together, np.stack(slices, axis=axis), rounding(stack, 1.0))


@given(
    PLANES,
    st.integers(0, 2),
    CENTERS,
    st.sampled_from([1, 3]),
    st.sampled_from(["reflect", "symmetric", "edge", "wrap"]),
)
def test_an_axis_of_length_one_is_no_axis(image, axis, center, size, padding):
    # Beyond the border of such an axis the patch sees the same pixels again: its mean is that without the axis.
    options = {"patch_distance": 2, "h": 1.0, "center": center, "padding": padding}
    patch_size = [3, 3]
    patch_size.insert(axis, size)
    thick = nl.non_local_means(np.expand_dims(image, axis), patch_size=tuple(patch_size), **options)
    assert_within(np.squeeze(thick, axis), nl.non_local_means(image, patch_size=3, **options), rounding(image, 1.0))
