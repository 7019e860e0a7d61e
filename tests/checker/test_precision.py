"""float32, and arrays of other libraries and devices: the derivative is measured on float64 copies."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nonlocal_ref as nl
from nonlocal_ref.backend import array_namespace
from tests.checker.samples import attention_arrays, linear, normal, softmax
from tests.helpers import example

float32 = partial(np.asarray, dtype=np.float32)


@pytest.mark.parametrize(("variant", "mode"), [*((name, "fast") for name in nl.VARIANTS), ("concatenation", "full")])
def test_our_operations_pass_on_every_library_and_device(xp, variant, mode, rng):
    arrays = [xp.asarray(x) for x in example(rng, variant=variant)]
    report = nl.gradcheck(nl.nonlocal_op, variant, *arrays, rng=0, mode=mode)
    assert report, str(report)


def test_the_block_passes_on_every_library_and_device(xp, rng):
    config = nl.BlockConfig(3, dims=1)
    params = nl.init_params(config, rng=0) | {"bn.weight": rng.normal(size=3)}
    arrays = {key: xp.asarray(value) for key, value in params.items()}
    report = nl.gradcheck(nl.block, xp.asarray(rng.normal(size=(2, 3, 4))), arrays, config, rng=0)
    assert report, str(report)


def test_a_wrong_gradient_is_found_on_every_library_and_device(xp, rng):
    def wrong(theta, phi, g):
        y, backward = nl.nonlocal_op("gaussian", theta, phi, g)

        def spoiled(dy):
            dtheta, dphi, dg = backward(dy)
            return dtheta, dphi * 1.000001, dg

        return y, spoiled

    report = nl.gradcheck(wrong, *map(xp.asarray, example(rng, variant="gaussian")), rng=0)
    assert [leaf.name for leaf in report if leaf.status == "wrong"] == ["phi"]


def test_a_device_without_float64_is_measured_on_the_host(rng):
    strict = pytest.importorskip("array_api_strict")
    x = strict.asarray(float32(rng.normal(size=(3, 4))), device=strict.Device("no_float64"))
    report = nl.gradcheck(softmax, x, rng=0)
    assert report
    assert "on the host" in str(report)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), scale=st.floats(-3, 3).map(lambda power: 10.0**power))
@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_float32_does_not_alarm_at_any_scale(variant, seed, scale):
    arrays = [float32(x) for x in attention_arrays(seed, scale)]
    w_f = [float32(normal(8, seed))] if variant == "concatenation" else []
    nl.check_gradients(nl.nonlocal_op, variant, *arrays, *w_f, rng=seed, directions=2)


def test_float32_alone_may_be_wrong():
    def damaged(x, weight):
        y, backward = linear(x, weight)
        factor = 1.01 if x.dtype == np.float32 else 1.0
        return y, lambda dy: (np.asarray(factor * backward(dy)[0], dtype=x.dtype), backward(dy)[1])

    report = nl.gradcheck(damaged, float32(normal((3, 2))), float32(normal((4, 2), 1)), rng=0)
    assert report["x"].status == "wrong"
    assert report["weight"].status == "right"
    assert "right in float64, but in float32" in str(report)


def test_an_operation_for_float32_alone_is_measured_in_float32():
    def picky(x):
        if x.dtype != np.float32:
            msg = "float32, please"
            raise TypeError(msg)
        return x * x, lambda dy: (2 * x * dy,)

    def wrong(x):
        y, backward = picky(x)
        return y, lambda dy: (backward(dy)[0] * np.float32(1.1),)

    assert nl.gradcheck(picky, float32(normal((3, 2))), rng=0)
    assert nl.gradcheck(wrong, float32(normal((3, 2))), rng=0).status == "wrong"


def test_jax_without_64_bits_is_checked_too():
    jnp = pytest.importorskip("jax.numpy")
    report = nl.gradcheck(softmax, jnp.asarray(float32(normal((2, 3)))), rng=0)
    assert report, str(report)


def test_integer_and_boolean_arrays_go_where_the_others_go():
    strict = pytest.importorskip("array_api_strict")
    place = strict.Device("no_float64")
    x = strict.asarray(float32(normal((3, 4))), device=place)
    mask = strict.asarray(normal((3, 4), 1) > 0, device=place)

    def masked(x, mask):
        xp = array_namespace(x)
        zero = xp.zeros_like(x)
        return xp.where(mask, x * x, zero), lambda dy: (xp.where(mask, 2 * x * dy, zero),)

    assert nl.gradcheck(masked, x, mask, rng=0)


def test_read_only_inputs_are_enough(rng):
    x = rng.normal(size=(3, 4))
    x.flags.writeable = False
    assert nl.gradcheck(softmax, x, rng=0)


def test_a_coarse_output_is_not_passed_over_in_silence():
    report = nl.gradcheck(lambda x: ((x * x).astype(np.float32), lambda dy: (2 * x * dy,)), normal((3, 4)), rng=0)
    assert report.status == "right"
    assert any("y is float32 though the arrays are float64" in note for note in report.notes)


def test_an_output_as_fine_as_its_arrays_needs_no_word():
    assert nl.gradcheck(lambda x: (x * x, lambda dy: (2 * x * dy,)), normal((3, 4)), rng=0).notes == ()
