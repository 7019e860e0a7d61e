"""`BlockConfig`, its presets, the shapes of the parameters and their initial values."""

import dataclasses
import inspect
from math import prod

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.params import INITS, NORMS, PRESETS
from tests.helpers import named_configs

STATISTICS = {"bn.running_mean", "bn.running_var"}

# Defaults and derived fields


def test_everything_but_the_channels_has_a_name():
    channels, *others = inspect.signature(nl.BlockConfig).parameters.values()
    assert channels.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert {parameter.kind for parameter in others} == {inspect.Parameter.KEYWORD_ONLY}
    with pytest.raises(TypeError, match="positional argument"):
        nl.BlockConfig(8, "gaussian")


def test_the_defaults_are_the_papers_text():
    config = nl.BlockConfig(512)
    assert dataclasses.asdict(config) == {
        "channels": 512,
        "variant": "embedded_gaussian",
        "dims": 3,
        "inner_channels": None,
        "scale": None,
        "subsample": True,
        "pool_order": "after",
        "norm": "batch",
        "domain": "spacetime",
        "frame_group": None,
        "bias": True,
        "init": "msra",
        "eps": 1e-5,
    }


def test_options_may_be_scalars_of_numpy():
    plain = nl.BlockConfig(4, variant="gaussian", dims=2, subsample=True, bias=False)
    numpys = nl.BlockConfig(
        np.int64(4), variant=np.str_("gaussian"), dims=np.int64(2), subsample=np.True_, bias=np.False_
    )
    assert numpys == plain
    assert hash(numpys) == hash(plain)
    assert nl.param_shapes(numpys) == nl.param_shapes(plain)
    assert numpys.kernel == plain.kernel


def test_a_config_cannot_be_changed_and_can_be_a_key():
    config = nl.BlockConfig(4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.channels = 8
    assert {config: 1}[nl.BlockConfig(4)] == 1


@pytest.mark.parametrize(("channels", "inner"), [(512, 256), (5, 2), (2, 1), (1, 1)])
def test_the_bottleneck_halves_the_channels_and_leaves_at_least_one(channels, inner):
    assert nl.param_shapes(nl.BlockConfig(channels))["theta.weight"] == (inner, channels)


@pytest.mark.parametrize(
    ("options", "kernel"),
    [
        ({}, (1, 2, 2)),
        ({"dims": 2}, (2, 2)),
        ({"dims": 1}, (2,)),
        ({"domain": "space"}, (1, 2, 2)),
        ({"domain": "time"}, None),
        ({"domain": "time", "subsample": (2, 1, 1)}, (2, 1, 1)),
        ({"subsample": False}, None),
        ({"subsample": (2, 3, 4)}, (2, 3, 4)),
        ({"frame_group": 2, "subsample": (2, 1, 1)}, (2, 1, 1)),
    ],
)
def test_subsampling_means_this_kernel(options, kernel):
    assert nl.BlockConfig(4, **options).kernel == kernel


@pytest.mark.parametrize(
    ("variant", "scale", "factor"),
    [
        ("embedded_gaussian", None, None),
        ("embedded_gaussian", "inner", 1 / 4),  # 16 inner channels are compared
        ("gaussian", "inner", 32**-0.5),  # x itself is compared, in all its channels
        ("gaussian", 0.25, 0.25),
    ],
)
def test_scale_means_this_factor(variant, scale, factor):
    assert nl.BlockConfig(32, variant=variant, scale=scale).scale_factor == factor


# Shapes

CONVOLUTIONS = {"theta.weight", "phi.weight", "g.weight", "w_z.weight"}
BIASES = {"theta.bias", "phi.bias", "g.bias", "w_z.bias"}
BATCH_NORM = {"bn.weight", "bn.bias"} | STATISTICS


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, CONVOLUTIONS | BIASES | BATCH_NORM),
        ({"bias": False}, CONVOLUTIONS | BATCH_NORM),
        ({"norm": "affine"}, CONVOLUTIONS | BIASES | {"bn.weight", "bn.bias"}),
        ({"norm": None}, CONVOLUTIONS | BIASES),
        ({"variant": "dot_product", "norm": None, "bias": False}, CONVOLUTIONS),
        ({"variant": "concatenation", "norm": None}, CONVOLUTIONS | BIASES | {"w_f.weight"}),
        ({"variant": "concatenation", "norm": None, "bias": False}, CONVOLUTIONS | {"w_f.weight"}),
        ({"variant": "gaussian", "norm": None}, {"g.weight", "g.bias", "w_z.weight", "w_z.bias"}),
    ],
)
def test_a_key_is_there_where_the_config_has_such_a_parameter(options, keys):
    assert set(nl.param_shapes(nl.BlockConfig(4, **options))) == keys


def test_weights_are_out_by_in_and_w_f_holds_both_halves():
    shapes = nl.param_shapes(nl.BlockConfig(6, variant="concatenation", inner_channels=2))
    assert shapes == {
        "theta.weight": (2, 6),
        "theta.bias": (2,),
        "phi.weight": (2, 6),
        "phi.bias": (2,),
        "g.weight": (2, 6),
        "g.bias": (2,),
        "w_f.weight": (4,),
        "w_z.weight": (6, 2),
        "w_z.bias": (6,),
        "bn.weight": (6,),
        "bn.bias": (6,),
        "bn.running_mean": (6,),
        "bn.running_var": (6,),
    }


@pytest.mark.parametrize(("channels", "count"), [(512, 526_592), (1024, 2_101_760)])
def test_the_block_of_the_paper_has_as_many_parameters(channels, count):
    # 4 weights of C * C / 2, 3 biases of C / 2, one of C, and gamma and beta: 2 C² + 4.5 C
    shapes = nl.param_shapes(nl.BlockConfig(channels))
    assert sum(prod(shape) for key, shape in shapes.items() if key not in STATISTICS) == count


# Initial values


@pytest.mark.parametrize(("config", "shape"), named_configs())
def test_the_initial_values_have_the_shapes_and_are_double_precision_on_the_host(config, shape):
    params = nl.init_params(config, rng=0)
    assert {key: value.shape for key, value in params.items()} == nl.param_shapes(config)
    assert list(params) == list(nl.param_shapes(config))
    assert {(type(value), value.dtype.name) for value in params.values()} == {(np.ndarray, "float64")}


@pytest.mark.parametrize("seed", [3, np.random.default_rng(3)])
def test_the_draws_come_from_rng(seed):
    config = nl.BlockConfig(4, init="torch")
    expected = nl.init_params(config, rng=3)
    for key, value in nl.init_params(config, rng=seed).items():
        np.testing.assert_array_equal(value, expected[key])


def test_a_generator_moves_on():
    generator, config = np.random.default_rng(0), nl.BlockConfig(4)
    first, second = nl.init_params(config, generator), nl.init_params(config, generator)
    assert not np.array_equal(first["theta.weight"], second["theta.weight"])


def test_no_two_parameters_share_their_draws():
    params = nl.init_params(nl.BlockConfig(8), rng=0)
    assert len({params[f"{name}.weight"][0, 0] for name in ("theta", "phi", "g", "w_z")}) == 4


def test_without_rng_every_draw_is_new():
    config = nl.BlockConfig(4)
    assert not np.array_equal(nl.init_params(config)["g.weight"], nl.init_params(config)["g.weight"])


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_norm_scale_or_w_z_starts_at_zero_but_never_both(norm, init):
    params = nl.init_params(nl.BlockConfig(4, norm=norm, init=init), rng=0)
    if norm is None:
        assert not np.any(params["w_z.weight"])
        assert not np.any(params["w_z.bias"])
    else:
        assert not np.any(params["bn.weight"])
        assert not np.any(params["bn.bias"])
        assert np.all(params["w_z.weight"] != 0)


def test_running_statistics_start_at_mean_zero_and_variance_one():
    params = nl.init_params(nl.BlockConfig(4), rng=0)
    np.testing.assert_array_equal(params["bn.running_mean"], np.zeros(4))
    np.testing.assert_array_equal(params["bn.running_var"], np.ones(4))


# 128 x 256 draws: the sample's deviation errs by 1 / sqrt(2 * 32768) = 0.4 %, its mean by 0.6 % of it; 5 times that is
# allowed.
FAN_IN = {"theta.weight": 256, "phi.weight": 256, "g.weight": 256, "w_z.weight": 128}


def wide(init, **options):
    return nl.init_params(nl.BlockConfig(256, init=init, **options), rng=1)


@pytest.mark.parametrize("key", FAN_IN)
def test_msra_draws_normal_numbers_of_deviation_sqrt_2_over_fan_in(key):
    values = wide("msra")[key]
    assert values.std() == pytest.approx((2 / FAN_IN[key]) ** 0.5, rel=0.02)
    assert abs(values.mean()) < 0.03 * values.std()
    assert np.mean(np.abs(values) < values.std()) == pytest.approx(0.6827, rel=0.02)  # normal, not uniform (0.577)


@pytest.mark.parametrize("key", FAN_IN)
def test_normal_draws_normal_numbers_of_deviation_one_hundredth(key):
    values = wide("normal")[key]
    assert values.std() == pytest.approx(0.01, rel=0.02)
    assert np.mean(np.abs(values) < values.std()) == pytest.approx(0.6827, rel=0.02)


@pytest.mark.parametrize("key", FAN_IN)
def test_torch_draws_uniform_numbers_within_one_over_sqrt_fan_in_for_weights_and_biases(key):
    params, bound = wide("torch"), FAN_IN[key] ** -0.5
    assert np.abs(params[key]).max() <= bound
    assert params[key].std() == pytest.approx(bound / 3**0.5, rel=0.02)
    bias = params[key.replace("weight", "bias")]
    assert 0.9 * bound < np.abs(bias).max() <= bound


@pytest.mark.parametrize("init", ["msra", "normal"])
def test_biases_start_at_zero_where_the_rule_is_a_normal_one(init):
    params = wide(init)
    assert not any(np.any(params[f"{name}.bias"]) for name in ("theta", "phi", "g", "w_z"))


@pytest.mark.parametrize(("init", "deviation"), [("msra", (2 / 256) ** 0.5), ("normal", 0.01), ("torch", 768**-0.5)])
def test_w_f_is_drawn_by_the_same_rule_with_fan_in_2d(init, deviation):
    w_f = wide(init, variant="concatenation")["w_f.weight"]
    assert w_f.shape == (256,)
    assert w_f.std() == pytest.approx(deviation, rel=0.25)  # 256 draws: 4.4 % a deviation


# Presets


def test_the_presets_are_these():
    assert set(PRESETS) == {"paper", "caffe2", "mmcv", "alexhex7"}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("paper", {}),
        ("caffe2", {"scale": "inner", "pool_order": "before", "init": "normal", "eps": 1.0000001e-5}),
        ("mmcv", {"scale": "inner", "subsample": False, "norm": None, "init": "normal"}),
        ("alexhex7", {"init": "torch"}),
    ],
)
def test_a_preset_differs_from_the_defaults_in_these_fields(name, changes):
    assert nl.BlockConfig.preset(name, 8) == nl.BlockConfig(8, **changes)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_every_preset_has_every_variant(name, variant):
    assert nl.BlockConfig.preset(name, 8, variant=variant).variant == variant


@pytest.mark.parametrize(
    ("name", "variant", "scale"),
    [
        ("caffe2", "gaussian", "inner"),
        ("caffe2", "dot_product", None),
        ("caffe2", "concatenation", None),
        ("mmcv", "gaussian", None),  # mmcv scales the embedded Gaussian alone
        ("mmcv", "dot_product", None),
    ],
)
def test_a_preset_drops_its_scale_where_its_implementation_has_none(name, variant, scale):
    assert nl.BlockConfig.preset(name, 8, variant=variant).scale == scale


def test_an_override_wins_over_the_preset():
    config = nl.BlockConfig.preset("mmcv", 8, scale=0.5, variant="gaussian", subsample=True, dims=2, init="torch")
    assert (config.scale, config.subsample, config.dims, config.init, config.norm) == (0.5, True, 2, "torch", None)


def test_a_preset_is_not_changed_by_its_use():
    nl.BlockConfig.preset("caffe2", 8, variant="dot_product", init="torch")
    assert nl.BlockConfig.preset("caffe2", 8) == nl.BlockConfig.preset("caffe2", 8)
    assert PRESETS["caffe2"]["scale"] == "inner"


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "pattern"),
    [
        ({"channels": 0}, ValueError, "channels must be at least 1, got 0"),
        ({"channels": 4.0}, TypeError, r"channels must be an integer, got 4.0 \(float\)"),
        ({"channels": "4"}, TypeError, r"channels must be an integer, got '4' \(str\)"),
        ({"channels": True}, TypeError, r"channels must be an integer, got True \(bool\)"),
        ({"variant": "gauss"}, ValueError, "variant must be one of 'gaussian', .*, got 'gauss'"),
        ({"dims": 4}, ValueError, "dims must be one of 1, 2, 3, got 4"),
        ({"dims": True}, ValueError, "dims must be one of 1, 2, 3, got True"),
        ({"inner_channels": 0}, ValueError, "inner_channels must be at least 1, got 0"),
        ({"inner_channels": 1.5}, TypeError, r"inner_channels must be an integer, got 1.5 \(float\)"),
        ({"scale": "outer"}, ValueError, "scale must be one of 'inner', got 'outer'"),
        ({"scale": float("inf")}, ValueError, "scale must be finite, 'inner' or None, got inf"),
        ({"scale": float("nan")}, ValueError, "scale must be finite, 'inner' or None, got nan"),
        ({"scale": [1.0]}, TypeError, r"scale must be a number, got \[1.0\] \(list\)"),
        ({"scale": True}, TypeError, r"scale must be a number, got True \(bool\)"),
        (
            {"scale": "inner", "variant": "dot_product"},
            ValueError,
            "scale belongs to .*, got 'inner' for 'dot_product'",
        ),
        ({"scale": 1.0, "variant": "concatenation"}, ValueError, "scale belongs to .*, got 1.0 for 'concatenation'"),
        ({"subsample": 2}, TypeError, "subsample must be a bool or a tuple of integers, got 2"),
        ({"subsample": [1, 2, 2]}, TypeError, r"subsample must be a bool or a tuple of integers, got \[1, 2, 2\]"),
        ({"subsample": (2, 2)}, ValueError, r"subsample needs .* 3 for dims=3, got \(2, 2\)"),
        ({"subsample": (0, 2, 2)}, ValueError, "subsample must be at least 1, got 0"),
        ({"subsample": (1, 2.0, 2)}, TypeError, r"subsample must be an integer, got 2.0 \(float\)"),
        ({"pool_order": "first"}, ValueError, "pool_order must be one of 'after', 'before', got 'first'"),
        ({"norm": "layer"}, ValueError, "norm must be one of 'batch', 'affine', None, got 'layer'"),
        ({"norm": False}, ValueError, "norm must be one of .*, got False"),
        ({"domain": "frames"}, ValueError, "domain must be one of 'spacetime', 'space', 'time', got 'frames'"),
        ({"domain": "space", "dims": 2}, ValueError, r"domain 'space' needs the axes T, H, W \(dims=3\), got dims=2"),
        ({"domain": "time", "dims": 1}, ValueError, r"domain 'time' needs .*, got dims=1"),
        (
            {"domain": "time", "subsample": (1, 2, 2)},
            ValueError,
            r"'time' has no space to pool: subsample .*\(1, 2, 2\)",
        ),
        (
            {"domain": "time", "subsample": (1, 1, 2)},
            ValueError,
            r"'time' has no space to pool: subsample .*\(1, 1, 2\)",
        ),
        (
            {"domain": "space", "subsample": (2, 1, 1)},
            ValueError,
            r"subsample \(2, 1, 1\) pools over 2 frames, but only 1",
        ),
        (
            {"frame_group": 2, "subsample": (3, 1, 1)},
            ValueError,
            r"subsample \(3, 1, 1\) pools over 3 frames, but only 2 see each other",
        ),
        ({"frame_group": 0}, ValueError, "frame_group must be at least 1, got 0"),
        ({"frame_group": 2.0}, TypeError, r"frame_group must be an integer, got 2.0 \(float\)"),
        ({"frame_group": 2, "domain": "space"}, ValueError, "frame_group needs domain 'spacetime' .*, got 'space'"),
        ({"frame_group": 2, "dims": 2}, ValueError, "frame_group needs .* dims=3, got 'spacetime' and dims=2"),
        ({"bias": None}, ValueError, "bias must be one of True, False, got None"),
        ({"bias": 1}, ValueError, "bias must be one of True, False, got 1"),
        ({"init": "xavier"}, ValueError, "init must be one of 'msra', 'normal', 'torch', got 'xavier'"),
        ({"eps": 0}, ValueError, "eps must be positive and finite, got 0"),
        ({"eps": -1e-5}, ValueError, "eps must be positive and finite, got -1e-05"),
        ({"eps": float("nan")}, ValueError, "eps must be positive and finite, got nan"),
        ({"eps": float("inf")}, ValueError, "eps must be positive and finite, got inf"),
        ({"eps": "small"}, TypeError, r"eps must be a number, got 'small' \(str\)"),
        ({"dilation": 2}, TypeError, "dilation"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_block_config_refuses(options, error, pattern):
    with pytest.raises(error, match=pattern):
        nl.BlockConfig(**{"channels": 4} | options)


def test_a_preset_refuses_an_unknown_name_and_lists_the_known_ones():
    with pytest.raises(ValueError, match="name must be one of 'paper', 'caffe2', 'mmcv', 'alexhex7', got 'resnet'"):
        nl.BlockConfig.preset("resnet", 4)


def test_a_preset_refuses_a_scale_that_its_variant_cannot_have():
    with pytest.raises(ValueError, match=r"scale belongs to the softmax variants .*, got 'inner' for 'dot_product'"):
        nl.BlockConfig.preset("caffe2", 4, variant="dot_product", scale="inner")


@pytest.mark.parametrize("config", [None, 512, {"channels": 4}, nl.BlockConfig])
@pytest.mark.parametrize("function", [nl.param_shapes, nl.init_params])
def test_what_is_no_config_is_refused(function, config):
    with pytest.raises(TypeError, match=f"config must be a BlockConfig, got {type(config).__name__}"):
        function(config)


@pytest.mark.parametrize(
    "rng", ["seed", 1.5, True, [1, 2], np.random.RandomState(0), np.random.PCG64(0)], ids=lambda rng: type(rng).__name__
)
def test_init_params_refuses_what_is_neither_a_generator_nor_a_seed(rng):
    with pytest.raises(TypeError, match=rf"rng must be an integer, got .* \({type(rng).__name__}\)"):
        nl.init_params(nl.BlockConfig(4), rng)


def test_init_params_refuses_a_negative_seed():
    with pytest.raises(ValueError, match="rng must be at least 0, got -1"):
        nl.init_params(nl.BlockConfig(4), -1)
