"""`block`, eq. (6), against the loops of oracles.py; running statistics, exact zeros, taps, bad input."""

import functools
import re
from types import SimpleNamespace

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing.magnitudes import block_magnitudes
from tests import oracles
from tests.helpers import CONFIGS, NUMPY, Recorder, named_configs, normal, random_params, same_kind, trainable
from tests.tolerances import assert_ratio, largest

ORACLE_CASES = [
    pytest.param(name, training, id=f"{name}-{'train' if training else 'eval'}")
    for name, (config, _) in CONFIGS.items()
    for training in ((False, True) if config.norm == "batch" else (False,))
]
against_the_oracle = pytest.mark.parametrize(("name", "training"), ORACLE_CASES)


@functools.cache
def exact(name, training):
    """One example of a config with its exact z and gradients, and their magnitudes."""
    config, shape = CONFIGS[name]
    rng = np.random.default_rng(1711_07971)
    x, params = normal(rng, *shape), random_params(config, rng)
    dz = normal(rng, *shape)
    keys = trainable(params)
    statistics = {key: value for key, value in params.items() if key not in keys}

    def oracle(x, *values):
        complete = dict(zip(keys, values, strict=True)) | statistics
        return oracles.block(x, complete, config, training=training, numbers=oracles.COMPLEX).z

    parts = oracles.block(x, params, config, training=training)
    dx, *dparams = oracles.complex_step(oracle, [x, *(params[key] for key in keys)], dz)
    grads = dict(zip(keys, dparams, strict=True))
    magnitudes = block_magnitudes(config, x, params, dz, training=training)
    return SimpleNamespace(
        config=config, x=x, params=params, dz=dz, parts=parts, dx=dx, grads=grads, magnitudes=magnitudes
    )


def moved(params, xp):
    return {key: xp.asarray(value) for key, value in params.items()}


@against_the_oracle
def test_z_is_equation_6(name, training, xp):
    case = exact(name, training)
    z, _ = nl.block(xp.asarray(case.x), moved(case.params, xp), case.config, training=training)
    assert_ratio(xp.to_numpy(z), case.parts.z, case.magnitudes["z"], xp.eps)


@against_the_oracle
def test_backward_gives_the_gradients_of_equation_6(name, training, xp):
    case = exact(name, training)
    _, backward = nl.block(xp.asarray(case.x), moved(case.params, xp), case.config, training=training)
    dx, grads = backward(xp.asarray(case.dz))
    assert_ratio(xp.to_numpy(dx), case.dx, case.magnitudes["dx"], xp.eps)
    assert list(grads) == trainable(case.params)
    for key, gradient in grads.items():
        assert_ratio(xp.to_numpy(gradient), case.grads[key], case.magnitudes[f"d{key}"], xp.eps)


@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_a_block_agrees_with_fifty_digits(variant):
    mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed")
    config = nl.BlockConfig(2, variant=variant, dims=1, inner_channels=1)
    rng = np.random.default_rng(5)
    x, params, dz = normal(rng, 2, 2, 3), random_params(config, rng), normal(rng, 2, 2, 3)
    keys, numbers = trainable(params), oracles.multiprecision()
    statistics = {key: oracles.exactly(params[key]) for key in params if key not in keys}

    def oracle(x, *values):
        complete = dict(zip(keys, values, strict=True)) | statistics
        return oracles.block(x, complete, config, training=True, numbers=numbers).z

    values = [x, *(params[key] for key in keys)]
    with mpmath.workdps(50):
        z = np.array(oracle(*map(oracles.exactly, values)), dtype=float)
        dx, *dparams = oracles.multiprecision_gradient(oracle, values, dz)
    magnitudes = block_magnitudes(config, x, params, dz, training=True)
    got_z, backward = nl.block(x, params, config, training=True)
    got_dx, grads = backward(dz)
    assert_ratio(got_z, z, magnitudes["z"], NUMPY.eps)
    assert_ratio(got_dx, dx, magnitudes["dx"], NUMPY.eps)
    for key, want in zip(keys, dparams, strict=True):
        assert_ratio(grads[key], want, magnitudes[f"d{key}"], NUMPY.eps)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("config", "shape"), named_configs())
def test_everything_comes_back_as_it_went_in(config, shape, training, xp, rng):
    x, params = xp.asarray(normal(rng, *shape)), moved(random_params(config, rng), xp)
    z, backward = nl.block(x, params, config, training=training)
    dx, grads = backward(xp.asarray(normal(rng, *shape)))
    assert same_kind(z, x)
    assert same_kind(dx, x)
    assert list(grads) == trainable(params)
    assert all(same_kind(gradient, params[key]) for key, gradient in grads.items())


def test_training_matters_to_batch_norm_alone(rng):
    for config, shape in CONFIGS.values():
        x, params = normal(rng, *shape), random_params(config, rng)
        same = np.array_equal(
            nl.block(x, params, config, training=True)[0], nl.block(x, params, config, training=False)[0]
        )
        assert same == (config.norm != "batch")


def test_the_order_of_the_parameters_does_not_matter(rng):
    config, shape = CONFIGS["concatenation-space"]
    x, params = normal(rng, *shape), random_params(config, rng)
    z, _ = nl.block(x, params, config)
    np.testing.assert_array_equal(nl.block(x, dict(reversed(params.items())), config)[0], z)


def test_method_and_workers_do_not_change_a_bit_of_the_dense_form(rng):
    config, shape = CONFIGS["embedded"]
    x, params = normal(rng, *shape), random_params(config, rng)
    z, _ = nl.block(x, params, config, method="dense")
    np.testing.assert_array_equal(nl.block(x, params, config, method="dense", workers=2)[0], z)


def test_an_empty_batch_gives_an_empty_result_in_both_modes(xp, rng):
    config = nl.BlockConfig(4, dims=2)
    params = moved(random_params(config, rng), xp)
    for training in (True, False):
        z, backward = nl.block(xp.asarray(np.ones((0, 4, 4, 2))), params, config, training=training)
        dx, grads = backward(z)
        assert tuple(z.shape) == tuple(dx.shape) == (0, 4, 4, 2)
        assert not any(np.any(xp.to_numpy(gradient)) for gradient in grads.values())


# Exact zeros to know


def test_the_bias_of_phi_has_no_gradient_in_the_embedded_gaussian(xp):
    # it adds θ_i · b to every logit of row i, which the softmax does not see
    case = exact("embedded", False)
    _, backward = nl.block(xp.asarray(case.x), moved(case.params, xp), case.config)
    _, grads = backward(xp.asarray(case.dz))
    magnitude = case.magnitudes["dphi.bias"]
    assert_ratio(xp.to_numpy(grads["phi.bias"]), np.zeros(2), magnitude, xp.eps)
    assert np.all(magnitude > 0.1)  # the terms are not small, they cancel


def test_the_bias_of_w_z_has_no_gradient_under_batch_norm_in_training(xp):
    # the mean takes away whatever the bias adds
    case = exact("embedded", True)
    _, backward = nl.block(xp.asarray(case.x), moved(case.params, xp), case.config, training=True)
    _, grads = backward(xp.asarray(case.dz))
    assert_ratio(xp.to_numpy(grads["w_z.bias"]), np.zeros(3), case.magnitudes["dw_z.bias"], xp.eps)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("norm", ["batch", "affine"])
def test_in_a_fresh_block_only_gamma_and_beta_move_at_the_first_step(norm, training, rng):
    config = nl.BlockConfig(4, norm=norm)
    _, backward = nl.block(normal(rng, 2, 4, 2, 3, 3), nl.init_params(config, rng), config, training=training)
    dz = normal(rng, 2, 4, 2, 3, 3)
    dx, grads = backward(dz)
    assert {key for key, gradient in grads.items() if np.any(gradient)} == {"bn.weight", "bn.bias"}
    np.testing.assert_array_equal(dx, dz)


def test_in_a_fresh_block_without_norm_only_w_z_moves_at_the_first_step(rng):
    config = nl.BlockConfig(4, norm=None, init="torch")
    _, backward = nl.block(normal(rng, 2, 4, 2, 3, 3), nl.init_params(config, rng), config)
    _, grads = backward(normal(rng, 2, 4, 2, 3, 3))
    assert {key for key, gradient in grads.items() if np.any(gradient)} == {"w_z.weight", "w_z.bias"}


def test_gamma_and_w_z_both_zero_is_a_dead_block(rng):
    config = nl.BlockConfig(4)
    params = nl.init_params(config, rng)
    params["w_z.weight"] = params["w_z.weight"] * 0
    _, backward = nl.block(normal(rng, 2, 4, 2, 3, 3), params, config, training=True)
    _, grads = backward(normal(rng, 2, 4, 2, 3, 3))
    assert {key for key, gradient in grads.items() if np.any(gradient)} == {"bn.bias"}


# Taps


@pytest.mark.parametrize(
    ("variant", "stages"),
    [
        ("embedded_gaussian", ["logits", "max", "exp", "sum", "weights", "y"]),
        ("concatenation", ["weights", "y"]),
    ],
)
def test_the_tap_sees_the_stages_in_order(variant, stages, rng):
    config = nl.BlockConfig(4, variant=variant)
    x, params = normal(rng, 2, 4, 2, 3, 3), random_params(config, rng)
    for training, statistics in ((True, ["bn.mean", "bn.var", "bn.count"]), (False, [])):
        names = []
        nl.block(
            x,
            params,
            config,
            training=training,
            method="dense",
            tap=lambda name, array, names=names: names.append(name),
        )
        assert names == ["theta", "phi", "g", *stages, *statistics]


@pytest.mark.parametrize(
    ("options", "batch", "queries", "keys"),
    [
        ({}, 2, 36, 4),  # 4 x 3 x 3 positions; in each of the 4 frames one window of 2 x 2 fits
        ({"domain": "space"}, 8, 9, 1),
        ({"domain": "time"}, 18, 4, 4),
        ({"frame_group": 2}, 4, 18, 2),
        ({"subsample": False}, 2, 36, 36),
    ],
)
def test_the_tap_sees_the_features_after_folding_and_pooling(options, batch, queries, keys, rng):
    config = nl.BlockConfig(4, inner_channels=3, **options)
    x, params, seen = normal(rng, 2, 4, 4, 3, 3), random_params(config, rng), {}
    nl.block(x, params, config, method="dense", tap=seen.__setitem__)
    assert seen["theta"].shape == (batch, queries, 3)
    assert seen["phi"].shape == seen["g"].shape == (batch, keys, 3)
    assert seen["weights"].shape == (batch, queries, keys)


def test_the_tap_sees_the_statistics_that_batch_norm_used(xp, rng):
    case, seen = exact("embedded", True), {}
    nl.block(xp.asarray(case.x), moved(case.params, xp), case.config, training=True, tap=seen.__setitem__)
    raw = np.moveaxis(case.parts.raw, 1, -1).reshape(-1, 3)
    size = largest(raw) ** 2 + largest(case.magnitudes["z"])
    assert seen["bn.count"] == raw.shape[0] == 24
    assert_ratio(xp.to_numpy(seen["bn.mean"]), raw.mean(axis=0), size, xp.eps)
    assert_ratio(xp.to_numpy(seen["bn.var"]), raw.var(axis=0), size, xp.eps)  # the biased one


def test_a_tap_that_is_still_an_empty_dict_is_called(rng):
    config, shape = CONFIGS["embedded"]
    seen = Recorder()
    nl.block(normal(rng, *shape), random_params(config, rng), config, training=True, tap=seen)
    assert {"theta", "y", "bn.mean"} <= set(seen)


def test_a_tap_changes_nothing(rng):
    config, shape = CONFIGS["embedded"]
    x, params = normal(rng, *shape), random_params(config, rng)
    z, _ = nl.block(x, params, config, training=True, tap=lambda name, array: None)
    np.testing.assert_array_equal(z, nl.block(x, params, config, training=True)[0])


# The caller's dict


@pytest.mark.parametrize("name", CONFIGS)
def test_backward_does_not_look_at_the_dict_of_parameters_again(name, rng):
    config, shape = CONFIGS[name]
    x, params, dz = normal(rng, *shape), random_params(config, rng), normal(rng, *shape)
    _, backward = nl.block(x, params, config)
    dx, grads = backward(dz)
    params.clear()
    dx_later, grads_later = backward(dz)
    np.testing.assert_array_equal(dx_later, dx)
    assert list(grads_later) == list(grads)
    for key, gradient in grads.items():
        np.testing.assert_array_equal(grads_later[key], gradient)


# NaN


def test_nan_in_one_batch_element_never_reaches_another_in_eval_mode(rng):
    for config, shape in CONFIGS.values():
        x, params, dz = normal(rng, 2, *shape[1:]), random_params(config, rng), normal(rng, 2, *shape[1:])
        z, backward = nl.block(x, params, config)
        poisoned = np.array(x)
        poisoned[(0, 0, *(0 for _ in shape[2:]))] = np.nan
        with np.errstate(invalid="ignore"):
            z_bad, backward_bad = nl.block(poisoned, params, config)
            dx_bad, _ = backward_bad(dz)
        np.testing.assert_array_equal(z_bad[1], z[1])
        np.testing.assert_array_equal(dx_bad[1], backward(dz)[0][1])


def test_nan_at_one_position_is_not_lost_in_pooling(rng):
    for config, shape in CONFIGS.values():
        x, params = normal(rng, *shape), random_params(config, rng)
        x[(0, 0, *(0 for _ in shape[2:]))] = np.nan
        with np.errstate(invalid="ignore"):
            z, _ = nl.block(x, params, config)
        together = {"time": (0, slice(None), slice(None), 0, 0), "space": (0, slice(None), 0)}.get(config.domain, 0)
        if config.frame_group:
            together = (0, slice(None), slice(0, config.frame_group))
        assert np.all(np.isnan(z[together]))  # the key is looked at by every position that sees it


# Complex numbers (for a complex step)


def test_a_block_carries_complex_numbers_through(rng):
    for config, shape in CONFIGS.values():
        x, params, dz = normal(rng, *shape), random_params(config, rng), normal(rng, *shape)
        z, backward = nl.block(x, params, config, training=True)
        z_complex, complex_backward = nl.block(
            x + 0j, {key: value + 0j for key, value in params.items()}, config, training=True, method="dense"
        )
        dx, _ = backward(dz)
        dx_complex, grads_complex = complex_backward(dz + 0j)
        assert {array.dtype.name for array in (z_complex, dx_complex, *grads_complex.values())} == {"complex128"}
        assert_ratio(z_complex.real, z, 4 * largest(z), NUMPY.eps)
        assert_ratio(dx_complex.real, dx, 4 * largest(dx), NUMPY.eps)


def test_a_block_of_complex_numbers_refuses_the_forms_that_do_not_carry_them(rng):
    config, shape = CONFIGS["embedded"]
    params = {key: value + 0j for key, value in random_params(config, rng).items()}
    with pytest.raises(ValueError, match="method 'tiled' is for float32 and float64; complex128 arrays need"):
        nl.block(normal(rng, *shape) + 0j, params, config, method="tiled")


# Running statistics


def running(rng, channels=3):
    return {"bn.running_mean": normal(rng, channels), "bn.running_var": np.abs(normal(rng, channels)) + 0.5}


def test_the_running_statistics_move_towards_the_mean_and_the_unbiased_variance(xp, rng):
    values, params = normal(rng, 10, 3), running(rng)
    updated = nl.update_running_stats(
        moved(params, xp), xp.asarray(values.mean(axis=0)), xp.asarray(values.var(axis=0)), 10, momentum=0.25
    )
    mean = 0.75 * params["bn.running_mean"] + 0.25 * values.mean(axis=0)
    var = 0.75 * params["bn.running_var"] + 0.25 * values.var(axis=0, ddof=1)
    assert_ratio(xp.to_numpy(updated["bn.running_mean"]), mean, 2, xp.eps)
    assert_ratio(xp.to_numpy(updated["bn.running_var"]), var, 2, xp.eps)
    for key, value in updated.items():
        assert same_kind(value, xp.asarray(params[key]))


def test_updating_changes_no_dict_and_no_array(rng):
    params = running(rng) | {"g.weight": normal(rng, 2, 3)}
    before = {key: np.array(value) for key, value in params.items()}
    updated = nl.update_running_stats(params, np.ones(3), np.ones(3), 4)
    assert list(updated) == list(params)
    assert updated["g.weight"] is params["g.weight"]
    for key, value in before.items():
        np.testing.assert_array_equal(params[key], value)


@pytest.mark.parametrize(("momentum", "share"), [(0, 0.0), (1, 1.0)])
def test_momentum_is_the_weight_of_the_new_batch(momentum, share, rng):
    params, mean, var = running(rng), normal(rng, 3), np.ones(3)
    updated = nl.update_running_stats(params, mean, var, 3, momentum)
    np.testing.assert_array_equal(updated["bn.running_mean"], [params["bn.running_mean"], mean][int(share)])
    np.testing.assert_array_equal(updated["bn.running_var"], [params["bn.running_var"], var * 1.5][int(share)])


def test_running_statistics_agree_with_pytorch_over_several_steps(rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    config = nl.BlockConfig(3, inner_channels=2)
    params = random_params(config, rng)
    layer = torch.nn.BatchNorm3d(3, dtype=torch.float64)
    layer.running_mean[:] = torch.tensor(params["bn.running_mean"])
    layer.running_var[:] = torch.tensor(params["bn.running_var"])
    for _ in range(3):
        x, seen = normal(rng, 2, 3, 2, 3, 3), {}
        nl.block(x, params, config, training=True, tap=seen.__setitem__)
        raw = oracles.block(x, params, config, training=True).raw
        params = nl.update_running_stats(params, seen["bn.mean"], seen["bn.var"], seen["bn.count"])
        layer(torch.tensor(raw))
    size = 100 * (1 + largest(raw) ** 2)  # W_z y errs by its own magnitude, squared in the variance, in three steps
    assert_ratio(params["bn.running_mean"], layer.running_mean.numpy(), size, NUMPY.eps)
    assert_ratio(params["bn.running_var"], layer.running_var.numpy(), size, NUMPY.eps)


def test_updated_statistics_serve_evaluation(rng):
    # after one update with momentum 1 and the biased variance undone, eval mode repeats train mode
    config, shape = CONFIGS["embedded"]
    x, params, seen = normal(rng, *shape), random_params(config, rng), {}
    z, _ = nl.block(x, params, config, training=True, tap=seen.__setitem__)
    count = seen["bn.count"]
    biased = seen["bn.var"] * (count - 1) / count
    updated = nl.update_running_stats(params, seen["bn.mean"], biased, count, momentum=1)
    evaluated, _ = nl.block(x, updated, config)
    assert_ratio(evaluated, z, 4 * largest(z) / np.sqrt(seen["bn.var"].min()), NUMPY.eps)


# Precision


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_scale_and_eps_of_any_kind_of_number_leave_the_precision_as_it_is(precision, rng):
    for number in (np.float64, np.float32, float):
        config = nl.BlockConfig(2, dims=1, scale=number(0.5), eps=number(2.0**-10))
        params = {key: value.astype(precision) for key, value in random_params(config, rng).items()}
        for training in (True, False):
            z, backward = nl.block(normal(rng, 1, 2, 4).astype(precision), params, config, training=training)
            dx, grads = backward(np.ones_like(z))
            assert {array.dtype.name for array in (z, dx, *grads.values())} == {precision}


@pytest.mark.parametrize("number", [float, np.float64, np.float32])
def test_a_momentum_of_any_kind_of_number_leaves_the_precision_as_it_is(number, rng):
    params = {key: value.astype(np.float32) for key, value in running(rng).items()}
    updated = nl.update_running_stats(params, np.ones(3, np.float32), np.ones(3, np.float32), np.int64(4), number(0.5))
    assert {value.dtype.name for value in updated.values()} == {"float32"}


# Bad input

GOOD_CONFIG = nl.BlockConfig(4, variant="concatenation")


def good():
    rng = np.random.default_rng(0)
    return normal(rng, 2, 4, 2, 3, 3), random_params(GOOD_CONFIG, rng)


BAD_X = {
    "a list": ([[1.0]], TypeError, "x must be an array .*, got list"),
    "integers": (np.ones((2, 4, 2, 3, 3), int), TypeError, "x must be float32 or float64, got int64"),
    "float16": (np.ones((2, 4, 2, 3, 3), np.float16), TypeError, r"x must be .*float16.*astype\(x, xp.float32\)"),
    "masked": (np.ma.array(np.ones((2, 4, 2, 3, 3))), TypeError, "x must be a plain array, got .*fill it first"),
    "foreign byte order": (
        np.ones((2, 4, 2, 3, 3), np.dtype("f8").newbyteorder("S")),
        TypeError,
        "x must have the byte order of this machine",
    ),
    "objects": (np.full((2, 4, 2, 3, 3), None), TypeError, "x must be float32 or float64, got object"),
    "no batch axis": (
        np.ones((4, 2, 3, 3)),
        ValueError,
        r"x must have 5 axes \(B, C, T, H, W\), got shape \(4, 2, 3, 3\); for one example pass x\[None\]",
    ),
    "six axes": (np.ones((1, 2, 4, 2, 3, 3)), ValueError, r"x must have 5 axes .*, got shape \(1, 2, 4, 2, 3, 3\)$"),
    "other channels": (np.ones((2, 5, 2, 3, 3)), ValueError, r"x must have 4 channels on axis 1.*got shape \(2, 5, 2"),
    "channels last": (np.ones((2, 2, 3, 3, 4)), ValueError, r"x must have 4 channels on axis 1.*got shape \(2, 2, 3"),
    "shorter than the kernel": (
        np.ones((2, 4, 2, 1, 3)),
        ValueError,
        r"no key position would be left: .* kernel \(1, 2, 2\), got x \(2, 4, 2, 1, 3\)",
    ),
    "no frames": (np.ones((2, 4, 0, 3, 3)), ValueError, r"no key position would be left: .*got x \(2, 4, 0, 3, 3\)"),
}


@pytest.mark.parametrize("case", BAD_X)
def test_block_refuses_x(case):
    x, error, pattern = BAD_X[case]
    with pytest.raises(error, match=pattern):
        nl.block(x, good()[1], GOOD_CONFIG)


@pytest.mark.parametrize(("dims", "letters"), [(1, r"\(B, C, S\)"), (2, r"\(B, C, H, W\)"), (3, r"\(B, C, T, H, W\)")])
def test_the_axes_that_x_needs_are_named_for_every_number_of_dimensions(dims, letters):
    config = nl.BlockConfig(4, dims=dims)
    with pytest.raises(ValueError, match=f"x must have {dims + 2} axes {letters}, got shape"):
        nl.block(np.ones((4,) * (dims + 1)), nl.init_params(config), config)


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"frame_group": 3}, r"frame_group must divide T, got frame_group 3 and x \(2, 4, 4, 3, 3\) with T = 4"),
        ({"domain": "time", "subsample": (5, 1, 1)}, r"kernel \(5, 1, 1\), got x \(2, 4, 4, 3, 3\)"),
        ({"subsample": (1, 1, 4)}, r"kernel \(1, 1, 4\), got x \(2, 4, 4, 3, 3\)"),
    ],
)
def test_block_refuses_positions_that_cannot_be_grouped_or_pooled(options, pattern):
    config = nl.BlockConfig(4, **options)
    with pytest.raises(ValueError, match=pattern):
        nl.block(np.ones((2, 4, 4, 3, 3)), nl.init_params(config), config)


@pytest.mark.parametrize("domain", ["time", "space", "spacetime"])
def test_block_refuses_an_axis_without_positions_where_nothing_is_pooled(domain):
    config = nl.BlockConfig(4, domain=domain, subsample=False)
    with pytest.raises(ValueError, match=r"no key position would be left: .*got x \(2, 4, 4, 0, 3\)"):
        nl.block(np.ones((2, 4, 4, 0, 3)), nl.init_params(config), config)


BAD_PARAMS = {
    "none": (lambda p: None, TypeError, "params must be a dict of arrays, got NoneType"),
    "a list": (lambda p: list(p.values()), TypeError, "params must be a dict of arrays, got list"),
    "a key missing": (
        lambda p: {key: value for key, value in p.items() if key != "g.bias"},
        ValueError,
        r"params do not fit the config: missing \['g.bias'\], superfluous none",
    ),
    "a key too many": (
        lambda p: p | {"gamma": np.ones(4)},
        ValueError,
        r"params do not fit the config: missing none, superfluous \['gamma'\]",
    ),
    "another shape": (
        lambda p: p | {"theta.weight": np.ones((4, 2))},
        ValueError,
        r"params\['theta.weight'\] must have shape \(2, 4\), got \(4, 2\)",
    ),
    "a convolution's shape": (
        lambda p: p | {"g.weight": np.ones((2, 4, 1, 1, 1))},
        ValueError,
        r"params\['g.weight'\] must have shape \(2, 4\), got \(2, 4, 1, 1, 1\)",
    ),
    "single precision": (
        lambda p: p | {"w_f.weight": np.ones(4, np.float32)},
        TypeError,
        r"params\['w_f.weight'\] is float32 but x is float64; all arrays need one dtype",
    ),
    "integers": (
        lambda p: p | {"bn.running_mean": np.zeros(4, int)},
        TypeError,
        r"params\['bn.running_mean'\] must be float32 or float64, got int64",
    ),
    "foreign byte order": (
        lambda p: p | {"g.bias": p["g.bias"].astype(p["g.bias"].dtype.newbyteorder("S"))},
        TypeError,
        r"params\['g.bias'\] must have the byte order of this machine",
    ),
    "a nested list": (
        lambda p: p | {"bn.weight": [1.0] * 4},
        TypeError,
        r"params\['bn.weight'\] must be an array .*, got list",
    ),
}


@pytest.mark.parametrize("case", BAD_PARAMS)
def test_block_refuses_params(case):
    change, error, pattern = BAD_PARAMS[case]
    x, params = good()
    with pytest.raises(error, match=pattern):
        nl.block(x, change(params), GOOD_CONFIG)


def test_block_refuses_params_of_another_library_or_device(rng):
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    x, params = good()
    with pytest.raises(TypeError, match=r"params\['theta.weight'\] is a numpy array but x is a array_api_strict array"):
        nl.block(strict.asarray(x), params, GOOD_CONFIG)
    there = {key: strict.asarray(value, device=strict.Device("device1")) for key, value in params.items()}
    with pytest.raises(ValueError, match=r"params\['theta.weight'\] is on .*device1.* but x is on .*CPU_DEVICE"):
        nl.block(strict.asarray(x), there, GOOD_CONFIG)


@pytest.mark.parametrize(
    ("options", "error", "pattern"),
    [
        ({"config": None}, TypeError, "config must be a BlockConfig, got NoneType"),
        ({"config": {"channels": 4}}, TypeError, "config must be a BlockConfig, got dict"),
        ({"training": 1}, ValueError, "training must be one of True, False, got 1"),
        ({"training": None}, ValueError, "training must be one of True, False, got None"),
        ({"method": "fast"}, ValueError, "method .*must be one of .*, got 'fast'"),
        ({"workers": 0}, ValueError, "workers must be at least 1, got 0"),
        ({"workers": "all"}, TypeError, r"workers must be an integer, got 'all' \(str\)"),
        ({"tap": 3}, TypeError, r"tap must be callable as tap\(name, array\), got int"),
        ({"tap": 0}, TypeError, r"tap must be callable as tap\(name, array\), got int"),
    ],
)
def test_block_refuses_options(options, error, pattern):
    x, params = good()
    arguments = {"x": x, "params": params, "config": GOOD_CONFIG} | options
    with pytest.raises(error, match=pattern):
        nl.block(**arguments)


@pytest.mark.parametrize(
    ("dz", "error", "pattern"),
    [
        (
            np.ones((2, 4, 2, 3, 2)),
            ValueError,
            r"dz must have the shape of z, \(2, 4, 2, 3, 3\), got \(2, 4, 2, 3, 2\)",
        ),
        (np.ones((1, 4, 2, 3, 3)), ValueError, r"dz must have the shape of z, .*, got \(1, 4, 2, 3, 3\)"),
        (np.ones((2, 4, 2, 3, 3), np.float32), TypeError, "dz is float32 but z is float64"),
        (1.0, TypeError, "dz must be an array .*, got float"),
    ],
    ids=["shape", "broadcast", "precision", "number"],
)
def test_the_backward_of_block_refuses_a_dz_that_does_not_match_z(dz, error, pattern):
    _, backward = nl.block(*good(), GOOD_CONFIG)
    with pytest.raises(error, match=pattern):
        backward(dz)


def test_block_refuses_bad_input_before_a_large_allocation():
    config = nl.BlockConfig(4, subsample=False)
    x = np.broadcast_to(0.0, (1, 4, 10**3, 10**3, 10**3))
    with pytest.raises(ValueError, match=re.escape("params['g.weight'] must have shape (2, 4), got (4, 2)")):
        nl.block(x, nl.init_params(config) | {"g.weight": np.ones((4, 2))}, config)


BAD_STATISTICS = {
    "no statistics": (
        {"params": {"bn.weight": np.ones(3)}},
        ValueError,
        r"params must hold bn.running_mean and bn.running_var \(norm 'batch'\), got the keys \['bn.weight'\]",
    ),
    "no dict": ({"params": None}, TypeError, "params must be a dict .*, got NoneType"),
    "mean a list": ({"mean": [1.0, 1.0, 1.0]}, TypeError, "mean must be an array .*, got list"),
    "var a list": ({"var": [1.0, 1.0, 1.0]}, TypeError, "var must be an array .*, got list"),
    "var a number": ({"var": 1.0}, TypeError, "var must be an array .*, got float"),
    "mean of another shape": (
        {"mean": np.ones(4)},
        ValueError,
        r"mean must have the shape of bn.running_mean, \(3,\), got \(4,\)",
    ),
    "var of another shape": ({"var": np.ones((1, 3))}, ValueError, r"var must have the shape of .*, got \(1, 3\)"),
    "mean of another precision": (
        {"mean": np.ones(3, np.float32)},
        TypeError,
        "mean is float32 but bn.running_mean is",
    ),
    "var integer": ({"var": np.ones(3, int)}, TypeError, "var must be float32 or float64, got int64"),
    "count of one": ({"count": 1}, ValueError, "count must be at least 2, got 1"),
    "count a float": ({"count": 4.0}, TypeError, r"count must be an integer, got 4.0 \(float\)"),
    "momentum above one": ({"momentum": 1.5}, ValueError, r"momentum must be in \[0, 1\], got 1.5"),
    "momentum negative": ({"momentum": -0.1}, ValueError, r"momentum must be in \[0, 1\], got -0.1"),
    "momentum NaN": ({"momentum": float("nan")}, ValueError, r"momentum must be in \[0, 1\], got nan"),
    "momentum none": ({"momentum": None}, TypeError, r"momentum must be a number, got None \(NoneType\)"),
}


@pytest.mark.parametrize("case", BAD_STATISTICS)
def test_update_running_stats_refuses(case, rng):
    changes, error, pattern = BAD_STATISTICS[case]
    arguments = {"params": running(rng), "mean": np.ones(3), "var": np.ones(3), "count": 4} | changes
    with pytest.raises(error, match=pattern):
        nl.update_running_stats(**arguments)
