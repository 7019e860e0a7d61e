"""What is right is called right, by every method, in both modes, at every scale."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nonlocal_ref as nl
from tests.checker.samples import SMOOTH, affine, attention_arrays, linear, mean, normal, softmax, weighted_sum

METHODS = ("auto", "complex", "central", "fourth")


@pytest.mark.parametrize("mode", ["fast", "full"])
@pytest.mark.parametrize("method", ["auto", "central", "fourth"])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_right_backward_passes(name, method, mode):
    op, args = SMOOTH[name]
    nl.check_gradients(op, *args, rng=1, method=method, mode=mode)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_complex_step_sees_fifteen_digits(name):
    op, args = SMOOTH[name]
    for leaf in nl.gradcheck(op, *args, rng=2, mode="full", method="complex"):
        assert leaf.error <= 1e-13 * max(1.0, abs(leaf.numeric))


@pytest.mark.parametrize(
    ("op", "args"),
    [
        (linear, [normal((3, 2)), normal((4, 2), 1)]),
        (mean, [normal((2, 5))]),
        (weighted_sum, [normal((2, 5)), normal((5, 3), 1)]),
        (partial(nl.nonlocal_op, "dot_product"), attention_arrays()),
    ],
    ids=["linear", "mean", "weighted_sum", "dot_product"],
)
@pytest.mark.parametrize("mode", ["fast", "full"])
def test_a_linear_operation_satisfies_the_adjoint_identity(op, args, mode):
    report = nl.gradcheck(op, *args, rng=3, linear=True, mode=mode)
    assert report
    assert {leaf.method for leaf in report} == {"adjoint"}


def test_the_adjoint_identity_is_refused_for_what_is_not_linear():
    report = nl.gradcheck(affine, *SMOOTH["affine"][1], rng=3, linear=True)
    assert report.status == "inconclusive"
    assert "not linear" in str(report)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_the_block_passes_with_its_running_statistics_as_constants(variant, training, rng):
    config = nl.BlockConfig(3, variant=variant, dims=2)
    params = nl.init_params(config, rng=0) | {"bn.weight": rng.normal(size=3)}
    report = nl.gradcheck(partial(nl.block, training=training), rng.normal(size=(2, 3, 4, 4)), params, config, rng=0)
    assert report
    assert report.constants == ("params.bn.running_mean", "params.bn.running_var")


def test_a_fresh_block_passes_though_most_of_its_gradients_are_exactly_zero(rng):
    config = nl.BlockConfig(3, dims=1)
    report = nl.gradcheck(nl.block, rng.normal(size=(2, 3, 6)), nl.init_params(config, rng=0), config, rng=0)
    assert report
    assert report["theta.weight"].zero
    assert not report["bn.bias"].zero


@settings(max_examples=settings.default.max_examples // 2)  # each is a whole check
@given(seed=st.integers(0, 2**32), scale=st.floats(-3, 3).map(lambda power: 10.0**power))
@pytest.mark.parametrize("method", ["auto", "central"])
@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_no_scale_of_the_data_alarms(variant, method, seed, scale):
    rng = np.random.default_rng(seed)
    batch, queries, keys, depth, width = rng.integers(1, 5, size=5)
    shapes = [(batch, queries, depth), (batch, keys, depth), (batch, keys, width)]
    arrays = [scale * rng.normal(size=shape) for shape in shapes]
    w_f = [rng.normal(size=2 * depth)] if variant == "concatenation" else []
    nl.check_gradients(nl.nonlocal_op, variant, *arrays, *w_f, rng=seed, method=method, directions=2)


@given(seed=st.integers(0, 2**32), scale=st.floats(1, 40))
@pytest.mark.parametrize("method", ["auto", "central"])
def test_a_saturated_softmax_does_not_alarm(method, seed, scale):
    nl.check_gradients(softmax, normal((3, 4), seed, scale), rng=seed, method=method, mode="full", directions=1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", ["fast", "full"])
def test_a_softmax_over_one_key_does_not_alarm(method, mode):
    theta, phi, g = normal((2, 3, 4), 0), normal((2, 1, 4), 1), normal((2, 1, 3), 2)
    report = nl.gradcheck(nl.nonlocal_op, "gaussian", theta, phi, g, rng=0, method=method, mode=mode)
    assert report
    assert report["theta"].zero
    assert report["phi"].zero


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_the_units_of_an_argument_do_not_matter(factor):
    report = nl.gradcheck(
        lambda x: (np.sin(x / factor), lambda dy: (dy * np.cos(x / factor) / factor,)), factor * normal(5)
    )
    assert report


def test_an_array_without_entries_is_right():
    op = lambda x, w: (2 * x, lambda dy: (2 * dy, np.zeros((0, 3))))  # noqa: E731
    assert nl.gradcheck(op, normal(4), np.zeros((0, 3)), rng=0)


def test_an_operation_without_outputs_is_right():
    assert nl.gradcheck(lambda x: (x[:0], lambda dy: (np.zeros_like(x),)), normal(4), rng=0)
