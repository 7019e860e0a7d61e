"""`non_local_means` against its loops, on every array library, and against wrong arguments."""

import numpy as np
import pytest
from hypothesis import given
from skimage.data import camera
from skimage.restoration import denoise_nl_means

import nonlocal_ref as nl
from nonlocal_ref.backend import from_host, to_numpy
from tests.denoise import oracle
from tests.denoise.cases import cases
from tests.helpers import Recorder, normal, same_kind
from tests.tolerances import assert_ratio

EPS = float(np.finfo(np.float64).eps)
EPS32 = float(np.finfo(np.float32).eps)

# Each option at least once, on one to three axes; fixed shapes for the libraries that compile or are slow.
OPTIONS = {
    "plain": ((6, 5), {"patch_size": 3, "patch_distance": 2, "h": 1.5}),
    "line-wrap-zero": ((9,), {"patch_size": 5, "patch_distance": 3, "h": 1.0, "padding": "wrap", "center": "zero"}),
    "colour-gaussian-sigma-edge": (
        (4, 5, 3),
        {
            "patch_size": (3, 5),
            "patch_distance": (1, 2),
            "h": 1.0,
            "sigma": 0.5,
            "channel_axis": -1,
            "patch_weights": "gaussian",
            "padding": "edge",
        },
    ),
    "volume-max-symmetric": (
        (2, 3, 4),
        {"patch_size": (1, 3, 3), "patch_distance": 1, "h": 2.0, "center": "max", "padding": "symmetric"},
    ),
    "global": ((5, 4), {"patch_size": 3, "patch_distance": (1, 3), "h": 1.5, "method": "global", "center": "zero"}),
    "mean": ((5, 4), {"patch_size": 3, "patch_distance": 1, "h": float("inf")}),
}
every_option = pytest.mark.parametrize(("shape", "options"), OPTIONS.values(), ids=OPTIONS)


@given(cases())
def test_it_is_what_the_formula_says(case):
    image, options = case
    expected, magnitude = oracle.denoise(image, **options)
    assert_ratio(nl.non_local_means(image, **options), expected, magnitude, EPS)


@given(cases())
def test_float32_is_as_close_as_float32_can_be(case):
    image, options = case
    single = image.astype(np.float32)
    expected, magnitude = oracle.denoise(single, **options)
    assert_ratio(nl.non_local_means(single, **options), expected, magnitude, EPS32)


@every_option
def test_every_library_gives_the_numbers_of_the_formula_in_its_own_arrays(shape, options, xp, rng):
    host = normal(rng, *shape)
    image = xp.asarray(host)
    denoised = nl.non_local_means(image, **options)
    assert same_kind(denoised, image)
    exact_options = {name: value for name, value in options.items() if name != "method"}
    expected, magnitude = oracle.denoise(host, **exact_options)
    # The global form rounds logits of 3 |P|² / h² instead of distances: |P| < 3 and h = 1.5 make them 12 at most.
    growth = 12 if options.get("method") == "global" else 1
    assert_ratio(xp.to_numpy(denoised), expected, growth * magnitude, xp.eps)
    np.testing.assert_array_equal(xp.to_numpy(image), host)


@pytest.mark.parametrize(
    "options", [{"center": "max", "sigma": 0.5}, pytest.param({"method": "global"}, marks=pytest.mark.slow)], ids=str
)
def test_jax_arrays_which_cannot_be_written_to(options, rng):
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")
    host = normal(rng, 6)
    image = from_host(host, jnp, None, "float32")
    sizes = {"patch_size": 3, "patch_distance": 1, "h": 2.0}  # JAX compiles for every shape
    denoised = nl.non_local_means(image, **sizes, **options)
    assert same_kind(denoised, image)
    exact_options = {name: value for name, value in options.items() if name != "method"}
    expected, magnitude = oracle.denoise(host, **sizes, **exact_options)
    assert_ratio(to_numpy(denoised), expected, 8 * magnitude, EPS32)  # 8: the logits of the global form, as above


@every_option
def test_pytorch_can_differentiate_it(shape, options, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    image = torch.tensor(normal(rng, *shape), requires_grad=True)
    # sigma makes kinks, but none of these distances comes near one
    assert torch.autograd.gradcheck(lambda x: nl.non_local_means(x, **options), [image], fast_mode=True)


@pytest.mark.parametrize("center", ["one", "max", "zero"])
def test_pytorch_can_differentiate_every_center(center, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    image = torch.tensor(normal(rng, 8), requires_grad=True)
    options = {"patch_size": 3, "patch_distance": 2, "h": 1.0, "center": center}
    assert torch.autograd.gradcheck(lambda x: nl.non_local_means(x, **options), [image])


def test_the_result_is_a_new_array():
    image = np.ones((3, 4))
    for options in ({}, {"patch_distance": 0}, {"method": "global"}, {"center": "zero", "patch_distance": 0}):
        assert not np.shares_memory(nl.non_local_means(image, h=1.0, **options), image)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2), (0, 0, 0)])
@pytest.mark.parametrize("method", ["shift", "global"])
def test_an_empty_image_gives_an_empty_result(shape, method, xp):
    image = xp.asarray(np.zeros(shape))
    assert same_kind(nl.non_local_means(image, h=1.0, method=method), image)


def test_an_image_without_channels_gives_an_empty_result():
    assert nl.non_local_means(np.zeros((4, 5, 0)), h=1.0, channel_axis=-1).shape == (4, 5, 0)


@pytest.mark.parametrize("shape", [(1,), (1, 20), (20, 1), (1, 1), (1, 5, 1)])
def test_axes_of_length_one_stay(shape, rng):
    assert nl.non_local_means(rng.normal(size=shape), h=1.0).shape == shape


def test_auto_is_the_shift_form(rng):
    image = rng.normal(size=(6, 7))
    np.testing.assert_array_equal(
        nl.non_local_means(image, h=1.0, method="auto"), nl.non_local_means(image, h=1.0, method="shift")
    )


@pytest.mark.parametrize(("center", "passes"), [("one", 1), ("max", 2), ("zero", 2)])
def test_progress_is_reported_after_every_offset(center, passes, rng):
    seen = []
    image = rng.normal(size=(4, 4))
    nl.non_local_means(image, h=1.0, patch_distance=1, center=center, progress=lambda *step: seen.append(step))
    assert seen == [(done, 4 * passes) for done in range(1, 4 * passes + 1)]


@pytest.mark.parametrize("method", ["shift", "global"])
def test_a_progress_that_is_still_an_empty_dict_is_called(method, rng):
    seen = Recorder()
    nl.non_local_means(rng.normal(size=5), h=1.0, patch_distance=1, method=method, progress=seen)
    assert list(seen) == [1]


def test_progress_of_the_global_form_is_one_step(rng):
    seen = []
    nl.non_local_means(rng.normal(size=5), h=1.0, method="global", progress=lambda *step: seen.append(step))
    assert seen == [(1, 1)]


# ---- photographs


def photograph(side):
    return camera()[200 : 200 + side, 200 : 200 + side] / 255


def psnr(image, clean):
    return -10 * np.log10(np.mean((image - clean) ** 2))


def test_a_noisy_photograph_gets_better():
    clean = photograph(128)
    noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)
    denoised = nl.non_local_means(noisy, patch_size=5, patch_distance=10, h=0.08, sigma=0.05)
    assert psnr(denoised, clean) > psnr(noisy, clean) + 5


def test_it_is_close_to_the_slow_mode_of_scikit_image():
    noisy = photograph(48) + np.random.default_rng(0).normal(0, 0.1, (48, 48))
    options = {"patch_size": 5, "patch_distance": 10, "h": 0.08}
    theirs = denoise_nl_means(noisy, fast_mode=False, **options)
    ours = nl.non_local_means(noisy, patch_weights="gaussian", **options)
    # Theirs cuts weights below exp(-5) off, for some pixels earlier, and takes an exp that is right to 4 %.
    assert np.max(np.abs(ours - theirs)) < 0.05
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < 0.005


# ---- bad input

IMAGE = np.zeros((6, 6))

WRONG_KINDS = {
    "list": ([[1.0, 2.0]], {}, "image must be an array"),
    "number": (1.0, {}, "image must be an array"),
    "masked": (np.ma.zeros((3, 3)), {}, "image must be a plain array.* fill it first: image.filled"),
    "byte-order": (np.zeros((3, 3), np.dtype("f8").newbyteorder("S")), {}, "image must have the byte order"),
    "uint8": (np.zeros((3, 3), dtype=np.uint8), {}, r"float64\) / 255"),
    "uint16": (np.zeros((3, 3), dtype=np.uint16), {}, r"float64\) / 65535"),
    "int64": (np.zeros((3, 3), dtype=np.int64), {}, "the value that stands for white"),
    "bool": (np.zeros((3, 3), dtype=bool), {}, "image must be float32 or float64, got bool"),
    "object": (np.zeros((3, 3), dtype=object), {}, "image must be float32 or float64, got object"),
    "float16": (np.zeros((3, 3), dtype=np.float16), {}, "got float16"),
    "complex": (np.zeros((3, 3), dtype=complex), {}, "got complex128"),
    "patch-size-float": (IMAGE, {"patch_size": 3.0}, "patch_size must be an integer"),
    "patch-size-bool": (IMAGE, {"patch_size": True}, "patch_size must be an integer"),
    "patch-distance-text": (IMAGE, {"patch_distance": "3"}, "patch_distance must be an integer"),
    "patch-distance-none": (IMAGE, {"patch_distance": (None, 1)}, "patch_distance must be an integer"),
    "h-none": (IMAGE, {"h": None}, "h must be a number"),
    "h-array": (IMAGE, {"h": np.ones((6, 6))}, "h must be a number"),
    "h-bool": (IMAGE, {"h": True}, "h must be a number"),
    "sigma-text": (IMAGE, {"sigma": "0.1"}, "sigma must be a number"),
    "channel-axis-float": (IMAGE, {"channel_axis": 1.0}, "channel_axis must be an integer"),
    "progress": (IMAGE, {"progress": 3}, "progress must be callable"),
    "progress-zero": (IMAGE, {"progress": 0}, "progress must be callable"),
}

WRONG_VALUES = {
    "no-axes": (np.zeros(()), {}, "1 to 3 spatial axes"),
    "four-axes": (np.zeros((2, 2, 2, 2)), {}, "1 to 3 spatial axes"),
    "channels-alone": (np.zeros(3), {"channel_axis": 0}, "1 to 3 spatial axes"),
    "five-axes": (np.zeros((2, 2, 2, 2, 2)), {"channel_axis": 0}, "1 to 3 spatial axes"),
    "channel-axis-high": (IMAGE, {"channel_axis": 2}, "channel_axis must be less than .* 2, got 2"),
    "channel-axis-low": (IMAGE, {"channel_axis": -3}, "channel_axis must be at least -2"),
    "patch-size-even": (IMAGE, {"patch_size": 4}, "patch_size must be odd.* got 4"),
    "patch-size-even-on-an-axis": (IMAGE, {"patch_size": (3, 2)}, r"patch_size must be odd.* got \(3, 2\)"),
    "patch-size-zero": (IMAGE, {"patch_size": 0}, "patch_size must be at least 1"),
    "patch-size-negative": (IMAGE, {"patch_size": -3}, "patch_size must be at least 1"),
    "patch-size-count": (IMAGE, {"patch_size": (3, 3, 3)}, "one per spatial axis, 2 of them"),
    "patch-size-beyond-memory": (
        IMAGE,
        {"patch_size": 10**9 + 1},
        r"patch_size \(1000000001, .* pads an image of shape",
    ),
    "patch-size-beyond-memory-on-an-axis": (IMAGE, {"patch_size": (1, 10**400 + 1)}, "pads an image of shape"),
    "patch-size-beyond-memory-globally": (IMAGE, {"patch_size": 10**9 + 1, "method": "global"}, "pads an image of"),
    "patch-distance-negative": (IMAGE, {"patch_distance": -1}, "patch_distance must be at least 0"),
    "patch-distance-count": (IMAGE, {"patch_distance": (1,)}, "one per spatial axis, 2 of them"),
    "patch-distance-counts-no-channels": (
        np.zeros((6, 6, 3)),
        {"patch_distance": (1, 1, 1), "channel_axis": 2},
        "one per spatial axis, 2 of them",
    ),
    "h-zero": (IMAGE, {"h": 0.0}, "h must be greater than 0, got 0.0"),
    "h-negative": (IMAGE, {"h": -1}, "h must be greater than 0"),
    "h-nan": (IMAGE, {"h": float("nan")}, "h must be greater than 0, got nan"),
    "sigma-negative": (IMAGE, {"sigma": -0.1}, "sigma must be finite and at least 0"),
    "sigma-nan": (IMAGE, {"sigma": float("nan")}, "sigma must be finite and at least 0"),
    "sigma-inf": (IMAGE, {"sigma": float("inf")}, "sigma must be finite and at least 0"),
    "patch-weights": (IMAGE, {"patch_weights": "round"}, "patch_weights must be one of 'flat', 'gaussian'"),
    "padding": (IMAGE, {"padding": "constant"}, "padding must be one of 'reflect'"),
    "center": (IMAGE, {"center": 0.5}, "center must be one of 'one', 'max', 'zero'"),
    "method": (IMAGE, {"method": "fast"}, "method must be one of 'auto', 'shift', 'global'"),
    "window": (IMAGE, {"window": "padded"}, "window='padded' is not built yet; there is 'clipped'"),
    "aggregation": (IMAGE, {"aggregation": "patch"}, "aggregation='patch' is not built yet; there is 'pixel'"),
    "workers": (IMAGE, {"workers": 2}, "workers=2 is not built yet; there is None and 1"),
    "h-beyond-floats": (IMAGE, {"h": 10**400}, "h must be greater than 0, got a number that no float holds"),
    "workers-bool": (IMAGE, {"workers": True}, "workers=True is not built yet"),
    "global-sigma": (IMAGE, {"method": "global", "sigma": 0.1}, "method='global' needs sigma=0"),
    "global-max": (IMAGE, {"method": "global", "center": "max"}, "method='global' needs center 'one' or 'zero'"),
    "global-large": (
        np.zeros((200, 200)),
        {"method": "global"},
        r"about 47\.7 GiB for an image of shape \(200, 200\), the limit is 4 GiB; crop the image or use method='shift'",
    ),
    "global-large-patches": (
        np.zeros((64, 64, 3)),
        {"method": "global", "channel_axis": -1, "patch_size": 151},
        "crop the image or use method='shift'",
    ),
}


@pytest.mark.parametrize(("image", "options", "message"), WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_a_wrong_kind_is_a_type_error_that_names_the_argument(image, options, message):
    with pytest.raises(TypeError, match=message):
        nl.non_local_means(image, **{"h": 1.0} | options)


@pytest.mark.parametrize(("image", "options", "message"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_a_wrong_value_is_a_value_error_that_says_what_fits(image, options, message):
    with pytest.raises(ValueError, match=message):
        nl.non_local_means(image, **{"h": 1.0} | options)


def test_an_empty_image_does_not_hide_a_wrong_option():
    with pytest.raises(ValueError, match="patch_size must be odd"):
        nl.non_local_means(np.zeros((0, 3)), h=1.0, patch_size=2)


def test_h_has_no_default():
    with pytest.raises(TypeError, match="h"):
        nl.non_local_means(IMAGE)
