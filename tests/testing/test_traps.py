"""Each trap, reproduced in a few lines of NumPy, is rejected under its name."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing import TRAPS, ConformanceError, check_block, check_operation, from_torch
from nonlocal_ref.testing.readings import read_block, right_reading
from tests.helpers import CONFIGS, random_params
from tests.testing.numpy_blocks import batch_norm, convolution, plain_block, pool, softmax

CONFIG = nl.BlockConfig(6, dims=2)
SCALED = nl.BlockConfig(6, dims=2, scale="inner")
BEFORE = nl.BlockConfig(6, dims=2, pool_order="before")
D, C = CONFIG.inner, CONFIG.channels


def report_of(check, *args, **options):
    with pytest.raises(ConformanceError) as caught:
        check(*args, **options)
    assert str(caught.value.report) == str(caught.value)
    return caught.value.report


def pool_then_embed(x, p, name):
    return convolution(pool(x), p, name)


def embed_then_pool_flat(x, p, name, window=4):
    flat = convolution(x, p, name).reshape(len(x), D, -1)
    count = flat.shape[-1] // window
    return flat[..., : window * count].reshape(len(x), D, count, window).max(axis=-1)


def ones_for_gamma(x, p):
    return batch_norm(x, p | {"bn.weight": np.ones(C)})


def idle(x, params):
    return x


FORWARD = {
    "over-queries": (CONFIG, partial(plain_block, softmax=partial(softmax, axis=1)), "softmax over the wrong axis"),
    "over-all-pairs": (
        CONFIG,
        partial(plain_block, softmax=partial(softmax, axis=(1, 2))),
        "softmax over the wrong axis",
    ),
    "over-the-batch": (CONFIG, partial(plain_block, softmax=partial(softmax, axis=0)), "softmax over the wrong axis"),
    "divided-by-the-inverse": (SCALED, partial(plain_block, scale=1 / D**-0.5), "multiplied by sqrt(D)"),
    "scaled-by-c": (SCALED, partial(plain_block, scale=C**-0.5), "scaled by C"),
    "pooled-before": (CONFIG, partial(plain_block, keys=pool_then_embed), "pooling order"),
    "pooled-after": (BEFORE, plain_block, "pooling order"),
    "pooled-flat-by-4": (CONFIG, partial(plain_block, keys=embed_then_pool_flat), "flattened pooling"),
    "pooled-flat-by-2": (
        CONFIG,
        partial(plain_block, keys=partial(embed_then_pool_flat, window=2)),
        "flattened pooling",
    ),
    "gamma-reset": (CONFIG, partial(plain_block, norm=ones_for_gamma), "gamma reset to 1"),
    "identity": (CONFIG, idle, "never trains"),
}


def test_the_plain_block_is_right():
    assert check_block(plain_block, CONFIG, rng=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("config", "wrong", "name"), [pytest.param(*case, id=key) for key, case in FORWARD.items()])
def test_a_trap_in_the_value_is_named(config, wrong, name, seed):
    assert report_of(check_block, wrong, config, rng=seed).traps == (name,)


def test_two_traps_at_once_are_both_named():
    wrong = partial(plain_block, keys=pool_then_embed, scale=D**0.5)
    assert set(report_of(check_block, wrong, SCALED, rng=0).traps) == {"pooling order", "multiplied by sqrt(D)"}


def with_gradients(change, config=CONFIG, **options):
    """Our block with other gradients: change(dx, grads, batch) -> (dx, grads)."""

    def block(x, params):
        z, backward = nl.block(x, params, config, **options)
        return z, lambda dz: change(*backward(dz), x.shape[0])

    return block


def divided(dx, grads, batch):
    return dx / batch, {key: d / batch for key, d in grads.items()}


def parameters_divided(dx, grads, batch):
    return dx, {key: d / batch for key, d in grads.items()}


def untrained(dx, grads, batch):
    return dx, {key: 0 * d for key, d in grads.items()}


def partly_untrained(dx, grads, batch):
    return dx, grads | {"theta.weight": 0 * grads["theta.weight"]}


def divided_and_partly_untrained(dx, grads, batch):
    return divided(*partly_untrained(dx, grads, batch), batch)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("change", "names"),
    [
        (divided, ["gradient divided by the batch"]),
        (parameters_divided, ["gradient divided by the batch"]),
        (untrained, ["never trains"]),
        (partly_untrained, ["never trains"]),
        (divided_and_partly_untrained, ["never trains", "gradient divided by the batch"]),
    ],
)
def test_a_trap_in_the_gradients_is_named(change, names, training):
    wrong = with_gradients(change, training=training)
    assert list(report_of(check_block, wrong, CONFIG, rng=0, training=training).traps) == names


def test_traps_in_value_and_gradient_are_both_named():
    report = report_of(check_block, with_gradients(divided, BEFORE), CONFIG, rng=0)
    assert report.traps == ("pooling order", "gradient divided by the batch")


def test_the_report_says_which_parameter_gets_no_gradient():
    report = report_of(check_block, with_gradients(partly_untrained), CONFIG, rng=0)
    assert "no gradient for theta.weight" in str(report)


def test_a_zero_gradient_that_should_be_zero_is_no_trap():
    def change(dx, grads, batch):
        return dx, grads | {"phi.bias": 0 * grads["phi.bias"]}  # softmax does not see what all keys have in common

    assert check_block(with_gradients(change), CONFIG, rng=0)


def attention(theta, phi, g, *, scale=1.0, axis=-1):
    return softmax(scale * theta @ np.swapaxes(phi, 1, 2), axis) @ g


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"axis": 1}, "softmax over the wrong axis"),
        ({"axis": (1, 2)}, "softmax over the wrong axis"),
        ({"scale": 7**0.5}, "multiplied by sqrt(D)"),
    ],
)
def test_a_trap_in_the_operation_is_named(options, name):
    report = report_of(check_operation, partial(attention, **options), "embedded_gaussian", scale="inner", rng=0)
    assert report.traps == (name,)


def test_the_operations_gradient_divided_by_the_batch_is_named():
    def averaged(theta, phi, g):
        y, backward = nl.nonlocal_op("dot_product", theta, phi, g)
        return y, lambda dy: tuple(d / len(theta) for d in backward(dy))

    assert report_of(check_operation, averaged, "dot_product", rng=0).traps == ("gradient divided by the batch",)


@pytest.mark.parametrize(
    ("wrong", "config", "name"),
    [
        (plain_block, SCALED, "another scale"),
        (partial(plain_block, scale=D**-0.5), CONFIG, "another scale"),
        (partial(plain_block, keys=convolution), CONFIG, "not pooled"),
        (partial(plain_block, softmax=lambda f: f / f.shape[-1]), CONFIG, "another variant"),
        (plain_block, nl.BlockConfig(6, dims=2, eps=1.0000001e-5), "another eps"),
        (partial(plain_block, residual=0.0), CONFIG, "no residual"),
        (partial(plain_block, place=np.reshape), CONFIG, "reshape for a transpose"),
    ],
)
def test_another_option_than_the_configs_is_named_though_it_is_no_trap(wrong, config, name):
    report = report_of(check_block, wrong, config, rng=0)
    assert [finding.name for finding in report.findings] == [name]
    assert not report.traps


def test_a_mean_over_the_queries_is_named():
    def wrong(theta, phi, g):
        return theta @ np.swapaxes(phi, 1, 2) @ g / theta.shape[1]

    assert [finding.name for finding in report_of(check_operation, wrong, "dot_product").findings] == ["divided by N"]


def product(theta, phi, g):
    f = theta @ phi.mT

    def backward(dy):
        df = dy @ g.mT
        return df @ phi, df.mT @ theta, f.mT @ dy

    return f @ g, backward


def sum_of_pairs(theta, phi, g, w_f):
    y, backward = nl.nonlocal_op("concatenation", theta, phi, g, w_f)
    return y * phi.shape[1], lambda dy: tuple(d * phi.shape[1] for d in backward(dy))


@pytest.mark.parametrize(("wrong", "variant"), [(product, "dot_product"), (sum_of_pairs, "concatenation")])
def test_a_sum_over_the_keys_that_is_not_divided_is_named(wrong, variant):
    report = report_of(check_operation, wrong, variant, rng=0)
    assert [finding.name for finding in report.findings] == ["not divided by M"]
    assert not report.notes
    assert report.gradient_check is None


def test_a_block_that_is_not_divided_is_named():
    config = nl.BlockConfig(6, dims=2, variant="dot_product")
    report = report_of(check_block, partial(plain_block, softmax=lambda f: f), config, rng=0)
    assert [finding.name for finding in report.findings] == ["not divided by M"]


def in_single(theta, phi, g):
    return attention(*(x.astype(np.float32) for x in (theta, phi, g))).astype(np.float64)


def weights_in_single(theta, phi, g):
    return softmax((theta @ phi.mT).astype(np.float32)).astype(np.float64) @ g


def result_in_single(theta, phi, g):
    return attention(theta, phi, g).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wrong", [in_single, weights_in_single, result_in_single])
def test_arithmetic_in_single_precision_is_named(wrong, seed):
    report = report_of(check_operation, wrong, "gaussian", rng=seed)
    assert [finding.name for finding in report.findings] == ["float32 inside"]


def test_a_block_in_single_precision_is_named():
    def wrong(x, params):
        single = {key: value.astype(np.float32) for key, value in params.items()}
        return plain_block(x.astype(np.float32), single).astype(np.float64)

    assert [finding.name for finding in report_of(check_block, wrong, CONFIG).findings] == ["float32 inside"]


def test_a_backward_in_single_precision_is_named():
    def wrong(theta, phi, g):
        y, _ = nl.nonlocal_op("gaussian", theta, phi, g)
        _, backward = nl.nonlocal_op("gaussian", *(x.astype(np.float32) for x in (theta, phi, g)))
        return y, lambda dy: tuple(d.astype(np.float64) for d in backward(dy.astype(np.float32)))

    report = report_of(check_operation, wrong, "gaussian")
    assert [finding.name for finding in report.findings] == ["float32 inside"]


def with_eps(scores, *, eps, shifted):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True) if shifted else scores)
    return e / (e.sum(axis=-1, keepdims=True) + eps)


EPSILONS = pytest.mark.parametrize("eps", [1e-3, 1e-5, 3.7e-6, 1e-6, 1e-8, 1e-9, 1e-10, 1e-12])


@EPSILONS
@pytest.mark.parametrize("shifted", [False, True])
def test_an_eps_in_the_sum_of_the_softmax_is_named_with_its_size(eps, shifted):
    def wrong(theta, phi, g):
        return with_eps(theta @ phi.mT, eps=eps, shifted=shifted) @ g

    (finding,) = report_of(check_operation, wrong, "embedded_gaussian", rng=0).findings
    assert finding.name == "eps in the softmax"
    assert f"an eps is added to the sum of the softmax, {eps:.3g}" in finding.what
    assert ("after the largest logit" in finding.what) == shifted


@pytest.mark.parametrize("seed", [18, 67, 88, 133])  # an eps fits two numbers off by rounding
def test_no_eps_is_fitted_to_a_few_numbers(seed):
    report = report_of(check_operation, in_single, "gaussian", sizes={"B": 1, "N": 2, "M": 2, "D": 1, "E": 1}, rng=seed)
    assert "eps in the softmax" not in [finding.name for finding in report.findings]


@EPSILONS
def test_an_eps_in_the_softmax_of_a_block_is_named(eps):
    wrong = partial(plain_block, softmax=partial(with_eps, eps=eps, shifted=True))
    (finding,) = report_of(check_block, wrong, CONFIG, rng=0).findings
    assert f"an eps is added to the sum of the softmax, {eps:.3g}, after" in finding.what


@pytest.mark.parametrize("shifted", [False, True])
def test_the_gradients_under_an_eps_in_the_softmax_are_known_as_well(shifted):
    def wrong(theta, phi, g):
        p = with_eps(theta @ phi.mT, eps=1e-9, shifted=shifted)

        def backward(dy):
            dp = dy @ g.mT
            ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
            return ds @ phi, ds.mT @ theta, p.mT @ dy

        return p @ g, backward

    report = report_of(check_operation, wrong, "embedded_gaussian", rng=0)
    assert [finding.name for finding in report.findings] == ["eps in the softmax"]
    assert not report.notes


@pytest.mark.parametrize("eps", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("shifted", [False, True])
def test_the_gradients_of_autograd_under_an_eps_in_the_softmax_are_known_as_well(shifted, eps):
    torch = pytest.importorskip("torch")

    def wrong(theta, phi, g):
        scores = theta @ phi.mT
        e = torch.exp(scores - scores.amax(dim=-1, keepdim=True) if shifted else scores)
        return e / (e.sum(dim=-1, keepdim=True) + eps) @ g

    report = report_of(check_operation, from_torch(wrong), "embedded_gaussian", rng=0)
    assert [finding.name for finding in report.findings] == ["eps in the softmax"]
    assert not report.notes


@pytest.mark.parametrize("factor", [1 + 1e-11, 1 + 1e-9, 1 - 1e-8, 1 + 1e-7])
def test_a_small_factor_is_not_taken_for_single_precision(factor):
    def wrong(theta, phi, g):
        y, backward = nl.nonlocal_op("dot_product", theta, phi, g)
        return factor * y, lambda dy: tuple(factor * d for d in backward(dy))

    report = report_of(check_operation, wrong, "dot_product", rng=0)
    assert not report.findings
    assert "no known mistake" in str(report)


@pytest.mark.parametrize("what", ["y", "w_z y"])
@pytest.mark.parametrize("name", [name for name, (config, _) in CONFIGS.items() if config.inner > 1])
def test_an_axis_that_was_not_moved_back_is_found_under_every_option(name, what):
    config, _ = CONFIGS[name]

    def wrong(x, params):
        return read_block(replace(right_reading(config), not_moved=what), config, x, params)

    report = report_of(check_block, wrong, config, rng=0)
    assert [finding.name for finding in report.findings] == ["reshape for a transpose"]
    assert not report.notes


@pytest.mark.parametrize("what", ["y", "w_z y"])
def test_the_gradients_of_an_axis_that_was_not_moved_back_are_right(what):
    reading = replace(right_reading(CONFIG), not_moved=what)
    rng = np.random.default_rng(0)
    x, params = rng.normal(size=(2, 6, 3, 4)), random_params(CONFIG, rng)
    assert nl.gradcheck(lambda x, params: read_block(reading, CONFIG, x, params), x, params, rng=0)


def test_a_residual_that_was_forgotten_is_known_in_the_gradients_too():
    def wrong(x, params):
        z, backward = nl.block(x, params, CONFIG)
        return z - x, lambda dz: (backward(dz)[0] - dz, backward(dz)[1])

    report = report_of(check_block, wrong, CONFIG, rng=0)
    assert [finding.name for finding in report.findings] == ["no residual"]
    assert not report.notes


def test_a_mistake_that_is_not_known_is_not_given_a_name():
    report = report_of(check_block, lambda x, params: 1.01 * plain_block(x, params), CONFIG)
    assert not report.findings
    assert "no known mistake" in str(report)


def test_all_eight_traps_have_a_test():
    tested = {name for *_, name in FORWARD.values()} | {"gradient divided by the batch"}
    assert tested == set(TRAPS)
