"""The unit of rounding: large enough for every right implementation, small enough to see a wrong one."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing.block_check import block_subject
from nonlocal_ref.testing.examples import default_shape, draw, feature_size, random_params, with_pairs
from nonlocal_ref.testing.magnitudes import block_magnitudes, error_ratios
from nonlocal_ref.testing.readings import read_block, right_reading
from nonlocal_ref.testing.rounding import Rounded, given
from tests.helpers import CONFIGS, named_configs

EPS32, EPS64 = (float(np.finfo(kind).eps) for kind in ("float32", "float64"))


def example(config, seed=0, shape=None):
    rng = np.random.default_rng(seed)
    params = random_params(config, rng)
    x = draw(rng, shape or default_shape(config), feature_size(config))
    return x, with_pairs(config, x, params), draw(rng, x.shape)


def named(z, gradients):
    dx, grads = gradients
    return {"z": z, "dx": dx} | {f"d{key}": value for key, value in grads.items()}


def as_float32(tree):
    return {key: value.astype(np.float32) for key, value in tree.items()}


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
    z, backward = nl.block(x, params, config, training=training, method="dense")
    z32, backward32 = nl.block(x.astype(np.float32), as_float32(params), config, training=training)
    exact, got = named(z, backward(dz)), named(z32, backward32(dz.astype(np.float32)))
    magnitudes = block_magnitudes(config, x, params, dz, training=training)
    assert magnitudes.keys() == exact.keys()
    assert max(error_ratios(got[name], exact[name], magnitudes[name], EPS32).max() for name in exact) <= 3


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("channels", [4, 64])
@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_what_is_wrong_by_one_part_in_a_billion_is_beyond_the_limit(variant, channels, training):
    config = nl.BlockConfig(channels, variant=variant, dims=2)
    x, params, dz = example(config)
    subject = block_subject(config, x, params, dz, training=training)
    zero = {"dphi.bias"} if variant == "embedded_gaussian" else set()  # softmax does not see it
    zero |= {"dw_z.bias", "dg.bias"} if training else set()  # nor the norm
    for name in subject.expected.keys() - zero:
        allowed = 30 * EPS64 * subject.magnitudes[name].max()
        assert allowed <= 1e-9 * np.abs(subject.expected[name]).max(), name


def test_a_sum_that_cancels_keeps_the_error_of_its_terms():
    terms = Rounded(np.array([1.0, -1.0]), np.array([3.0, 4.0]))
    total = terms.sum(0)
    assert total.value == 0
    assert total.error >= 5  # 3 and 4 at a right angle


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__mul__", "__matmul__"])
def test_every_operator_covers_its_own_rounding(operator):
    rng = np.random.default_rng(0)
    a, b = draw(rng, (40, 40)), draw(rng, (40, 40))
    got = getattr(a.astype(np.float32), operator)(b.astype(np.float32))
    exact = getattr(given(a), operator)(given(b))
    ratios = np.abs(got - exact.value) / (EPS32 * exact.error)
    assert np.sqrt(np.mean(ratios**2)) <= 1
    assert ratios.max() <= 10


def test_nan_is_as_wrong_as_can_be():
    assert error_ratios(np.array([np.nan]), np.ones(1), np.ones(1), EPS64) == np.inf


def test_a_configuration_of_every_kind_is_tried():
    assert {config.norm for config, _ in CONFIGS.values()} == {"batch", "affine", None}
