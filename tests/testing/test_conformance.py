"""Right implementations pass, wrong ones get a report."""

from functools import partial

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing import ConformanceError, check_block, check_operation
from tests.helpers import CONFIGS
from tests.testing.numpy_blocks import plain_block

CONFIG = nl.BlockConfig(4, dims=1, norm=None)


def ours(config, **options):
    return lambda x, params: nl.block(x, params, config, **options)


@pytest.mark.parametrize("name", CONFIGS)
def test_our_block_passes_in_every_configuration(name):
    config, _ = CONFIGS[name]
    assert check_block(ours(config), config, rng=0)


@pytest.mark.parametrize("method", ["tiled", "reassociated", "sorted"])
def test_our_fast_forms_pass(method):
    variant = {"tiled": "gaussian", "reassociated": "dot_product", "sorted": "concatenation"}[method]
    assert check_operation(partial(nl.nonlocal_op, variant, method=method), variant, rng=0)


@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_the_operation_passes_in_single_precision(variant):
    report = check_operation(partial(nl.nonlocal_op, variant), variant, rng=0, dtype="float32")
    assert report.worst <= 6


def test_the_block_passes_in_single_precision():
    config = nl.BlockConfig(4, dims=2)
    assert check_block(ours(config, training=True), config, rng=0, training=True, dtype="float32").worst <= 6


def test_arrays_are_handed_over_in_the_library_asked_for():
    pytest.importorskip("array_api_strict")
    seen = []

    def op(theta, phi, g):
        seen.append(type(theta).__module__)
        return nl.nonlocal_op("dot_product", theta, phi, g)

    assert check_operation(op, "dot_product", backend="array_api_strict")
    assert all(module.startswith("array_api_strict") for module in seen)


def test_sizes_of_axes_can_be_given():
    def self_attention(theta, phi, g):
        assert theta.shape == phi.shape == (1, 4, 4)
        return nl.nonlocal_op("dot_product", theta, phi, g)

    check_operation(self_attention, "dot_product", sizes={"B": 1, "N": 4, "M": 4, "D": 4})


def test_the_shape_of_x_can_be_given():
    shapes = []

    def block(x, params):
        shapes.append(x.shape)
        return nl.block(x, params, CONFIG)

    check_block(block, CONFIG, shape=(1, 4, 8))
    assert set(shapes) == {(1, 4, 8)}


def test_a_function_of_x_alone_is_compared_with_its_own_parameters():
    params = nl.init_params(CONFIG, rng=0) | {"w_z.weight": np.ones((4, 2))}
    assert check_block(lambda x: nl.block(x, params, CONFIG), CONFIG, params)


def test_a_function_of_x_alone_needs_its_parameters():
    with pytest.raises(ValueError, match="fn takes x alone"):
        check_block(lambda x: x, CONFIG)


def test_a_value_without_a_way_back_passes_with_a_note():
    report = check_block(plain_block, nl.BlockConfig(4, dims=2))
    assert [row.name for row in report] == ["z"]
    assert "no gradient was checked" in str(report)


def test_dx_alone_passes_with_a_note():
    def block(x, params):
        z, backward = nl.block(x, params, CONFIG)
        return z, lambda dz: backward(dz)[0]

    report = check_block(block, CONFIG)
    assert [row.name for row in report] == ["z", "dx"]
    assert "no gradient of a parameter was checked" in str(report)


def test_an_error_is_an_assertion_error_with_the_report():
    with pytest.raises(AssertionError) as caught:
        check_operation(lambda theta, phi, g: theta @ np.swapaxes(phi, 1, 2) @ g, "dot_product", rng=7)
    assert isinstance(caught.value, ConformanceError)
    assert not caught.value.report
    assert caught.value.report["y"].ratio > 1e10
    assert "repeat with rng=7" in str(caught.value)


def test_a_seed_repeats_the_comparison():
    def wrong(theta, phi, g):
        return theta @ np.swapaxes(phi, 1, 2) @ g

    texts = []
    for _ in range(2):
        with pytest.raises(ConformanceError) as caught:
            check_operation(wrong, "dot_product", rng=5)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_a_wrong_gradient_of_no_known_kind_is_shown_to_the_gradient_checker():
    def wrong(theta, phi, g):
        y, backward = nl.nonlocal_op("dot_product", theta, phi, g)
        return y, lambda dy: tuple(1.5 * d for d in backward(dy))

    with pytest.raises(ConformanceError) as caught:
        check_operation(wrong, "dot_product", rng=0)
    assert caught.value.report.gradient_check["theta"].status == "wrong"
    assert str(caught.value).count("repeat with") == 1
    assert "by itself, without the reference" in str(caught.value)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("key", ["x", "theta.weight", "g.weight", "w_z.weight"])
def test_a_gradient_off_by_one_part_in_ten_million_is_rejected(key, training):
    config = nl.BlockConfig(4, dims=2)

    def wrong(x, params):
        z, backward = nl.block(x, params, config, training=training)

        def backward_off(dz):
            dx, grads = backward(dz)
            return (1 + 1e-7) * dx if key == "x" else dx, {k: d * (1 + 1e-7 * (k == key)) for k, d in grads.items()}

        return z, backward_off

    with pytest.raises(ConformanceError) as caught:
        check_block(wrong, config, rng=0, training=training)
    assert [row.name for row in caught.value.report if not row.right] == [f"d{key}"]
