"""The unit of rounding: large enough for every right implementation, small enough to see a wrong one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonlocal_ref as nl
from nonlocal_ref.testing import rounding
from nonlocal_ref.testing.examples import default_shape, draw, feature_size, random_params, with_pairs
from nonlocal_ref.testing.magnitudes import LIMIT, block_magnitudes, error_ratios
from nonlocal_ref.testing.readings import read_block, right_reading
from nonlocal_ref.testing.rounding import Rounded
from tests.helpers import CONFIGS, named_configs
from tests.tolerances import error_ratio

EPS32, EPS64 = (float(np.finfo(kind).eps) for kind in ("float32", "float64"))


def example(config, seed=0, shape=None, *, scale=1.0, positive=False):
    rng = np.random.default_rng(seed)
    params = random_params(config, rng)
    x = draw(rng, shape or default_shape(config), scale * feature_size(config))
    dz = draw(rng, x.shape)
    if positive:
        x, params, dz = np.abs(x), {key: np.abs(value) for key, value in params.items()}, np.abs(dz)
    return x, with_pairs(config, x, params), dz


def computed(config, x, params, dz, training, dtype="float64"):
    """z and every gradient by name, in one precision."""
    x, params, dz = (nl.to_backend(tree, "numpy", dtype) for tree in (x, params, dz))
    z, backward = nl.block(x, params, config, training=training, method="dense")
    return named(z, backward(dz))


def named(z, gradients):
    dx, grads = gradients
    return {"z": z, "dx": dx} | {f"d{key}": value for key, value in grads.items()}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("config", "shape"), named_configs())
def test_the_right_reading_is_the_block_itself(config, shape, training):
    x, params, dz = example(config, shape=shape)
    z, backward = nl.block(x, params, config, training=training, method="dense")
    z_read, backward_read = read_block(right_reading(config), config, x, params, training=training)
    expected, got = named(z, backward(dz)), named(z_read, backward_read(dz))
    assert got.keys() == expected.keys()
    assert all(np.array_equal(got[name], expected[name]) for name in expected)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("config", "shape"), named_configs())
def test_rounding_in_single_precision_is_a_small_multiple_of_it(config, shape, training):
    x, params, dz = example(config, shape=shape)
    exact, got = computed(config, x, params, dz, training), computed(config, x, params, dz, training, "float32")
    magnitudes = block_magnitudes(config, x, params, dz, training=training)
    assert magnitudes.keys() == exact.keys()
    assert max(error_ratio(got[name], exact[name], magnitudes[name], EPS32) for name in exact) <= 3


@given(
    st.sampled_from(sorted(CONFIGS)),
    st.booleans(),
    st.sampled_from([1e-3, 1.0, 30.0]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_no_seed_scale_or_sign_takes_a_right_block_near_the_limit(name, training, scale, positive, seed):
    config, shape = CONFIGS[name]
    x, params, dz = example(config, seed, shape, scale=scale, positive=positive)
    exact, got = computed(config, x, params, dz, training), computed(config, x, params, dz, training, "float32")
    magnitudes = block_magnitudes(config, x, params, dz, training=training)
    assert max(error_ratio(got[name], exact[name], magnitudes[name], EPS32) for name in exact) <= 10


@pytest.mark.parametrize(("config", "shape"), named_configs())
@pytest.mark.parametrize("training", [False, True])
def test_one_part_in_a_billion_planted_in_one_gradient_is_beyond_the_limit(config, shape, training):
    """At the largest entry of each gradient in turn, in the blocks that the other tests judge."""
    x, params, dz = example(config, shape=shape)
    assert_sees(config, x, params, dz, training, 1e-9)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_with_64_channels_one_part_in_a_hundred_million_is_beyond_the_limit(variant, training):
    config = nl.BlockConfig(64, variant=variant, dims=2)
    assert_sees(config, *example(config), training, 1e-8)


def assert_sees(config, x, params, dz, training, mistake):
    exact = computed(config, x, params, dz, training)
    magnitudes = block_magnitudes(config, x, params, dz, training=training)
    zero = {"dphi.bias"} if config.variant == "embedded_gaussian" else set()  # softmax does not see it
    zero |= {"dw_z.bias", "dg.bias"} if training and config.norm == "batch" else set()  # nor the norm
    assert len(exact.keys() - zero) >= 5
    for name in exact.keys() - zero:
        wrong = exact[name].copy()
        wrong.flat[np.argmax(np.abs(wrong))] *= 1 + mistake
        assert error_ratio(wrong, exact[name], magnitudes[name], EPS64) > LIMIT, name


def test_a_sum_that_cancels_keeps_the_magnitude_of_its_terms():
    total = Rounded(np.array([1.0, -1.0]), np.array([3.0, 4.0])).sum(0)
    assert (total.value, total.magnitude) == (0, 7)


def test_an_error_is_not_multiplied_by_an_error():
    cancelled = Rounded(np.array([1.0]), np.array([101.0]))
    assert (cancelled * cancelled).magnitude == 1 + 100 + 100  # and not 101²


def test_the_errors_of_channels_are_at_a_right_angle_or_all_in_one_direction():
    errors = Rounded(np.zeros((1, 2)), np.array([[3.0, 4.0]]))
    opposed, alike = (rounding.given(np.array([[1.0], [sign]])) for sign in (-1.0, 1.0))
    assert errors.across_channels(opposed).magnitude == 5
    assert errors.across_channels(alike).magnitude == 7


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__mul__", "__matmul__"])
def test_every_operator_covers_its_own_rounding(operator):
    rng = np.random.default_rng(0)
    a, b = draw(rng, (40, 40)), draw(rng, (40, 40))
    got = getattr(a.astype(np.float32), operator)(b.astype(np.float32))
    exact = getattr(rounding.given(a), operator)(rounding.given(b))
    assert 0.1 <= error_ratio(got, exact.value, exact.magnitude, EPS32) <= 3


def test_nan_is_as_wrong_as_can_be():
    assert error_ratios(np.array([np.nan]), np.ones(1), np.ones(1), EPS64) == np.inf


def test_a_configuration_of_every_kind_is_tried():
    assert {config.norm for config, _ in CONFIGS.values()} == {"batch", "affine", None}
