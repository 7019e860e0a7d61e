"""Parameters from the names and shapes of others to ours."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing import CONVENTIONS, find_blocks, idle_reasons, read_state_dict
from tests.helpers import random_params

C, INNER = 4, 2
FULL = nl.BlockConfig(C, dims=2)
PARAMS = random_params(FULL, np.random.default_rng(0))
CONCATENATION = nl.BlockConfig(C, variant="concatenation", dims=2)


def torch_state(theta, phi, g, w_z, bn):
    """What a PyTorch module with layers of these names gives, with convolutions for matrices."""
    state = {}
    for part, layer in {"theta": theta, "phi": phi, "g": g, "w_z": w_z}.items():
        state[f"{layer}.weight"] = PARAMS[f"{part}.weight"][:, :, None, None]
        state[f"{layer}.bias"] = PARAMS[f"{part}.bias"]
    state |= {f"{bn}.{end}": PARAMS[f"bn.{end}"] for end in ("weight", "bias", "running_mean", "running_var")}
    return state | {f"{bn}.num_batches_tracked": np.array(7)}


def blob_state(norm):
    state = {}
    for part, blob in {"theta": "theta", "phi": "phi", "g": "g", "w_z": "out"}.items():
        state[f"{blob}_w"] = PARAMS[f"{part}.weight"][:, :, None, None, None]
        state[f"{blob}_b"] = PARAMS[f"{part}.bias"]
    return state | {f"bn_{end}": PARAMS[f"bn.{key}"] for key, end in norm.items()}


CAFFE2 = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}
PADDLE = {"weight": "scale", "bias": "offset", "running_mean": "mean", "running_var": "variance"}
STATES = {
    "nonlocal_ref": PARAMS,
    "caffe2": blob_state(CAFFE2),
    "slowfast": torch_state("conv_theta", "conv_phi", "conv_g", "conv_out", "bn"),
    "pytorchvideo": torch_state("conv_theta", "conv_phi", "conv_g", "conv_out", "norm"),
    "mmcv": torch_state("theta.conv", "phi.0.conv", "g.0.conv", "conv_out.conv", "conv_out.bn"),
    "alexhex7": torch_state("theta", "phi.0", "g.0", "W.0", "W.1"),
    "tea1528": torch_state("theta", "phi", "g", "W_z.0", "W_z.1"),
    "gluoncv": torch_state("theta", "phi", "g", "W", "bn") | torch_state("theta", "phi", "g", "W_bn.0", "W_bn.1"),
    "paddle": blob_state(PADDLE),
}
PREFIXES = {"caffe2": "nonlocal_conv3_1", "paddle": "nonlocal_conv4_3", "slowfast": "s3.pathway0_nonlocal1"}


def in_network(name, state):
    """A block among the other layers of a network -> the state, and the block's prefix."""
    prefix = PREFIXES.get(name, "backbone.layer3.1.non_local_block")
    separator = CONVENTIONS[name].separator
    network = {"conv1.weight": np.ones((2, 3)), "layer3.1.conv1.weight": np.ones((2, 2))}
    return network | {f"{prefix}{separator}{key}": value for key, value in state.items()} | {
        "fc.bias": np.ones(2)
    }, prefix


def test_every_convention_has_a_state_here():
    assert set(STATES) == set(CONVENTIONS)


@pytest.mark.parametrize("name", STATES)
def test_a_blocks_state_is_read_under_its_own_names(name):
    params, report = read_state_dict(STATES[name], FULL)
    assert list(params) == list(nl.param_shapes(FULL))
    assert all(np.array_equal(params[key], PARAMS[key]) for key in PARAMS)
    assert report.convention == name
    assert not report.unused


@pytest.mark.parametrize("name", STATES)
def test_a_block_is_found_in_a_network(name):
    state, prefix = in_network(name, STATES[name])
    assert find_blocks(state) == (prefix,)
    params, report = read_state_dict(state, FULL)
    assert report.prefix == prefix
    assert np.array_equal(params["bn.running_var"], PARAMS["bn.running_var"])


def test_caffe2s_riv_is_the_variance_itself():
    params, _ = read_state_dict(STATES["caffe2"], FULL, convention="caffe2")
    assert np.array_equal(params["bn.running_var"], STATES["caffe2"]["bn_riv"])


def test_a_frozen_norm_without_statistics_is_an_affine_one():
    state = blob_state({"weight": "s", "bias": "b"})
    config = nl.BlockConfig(C, norm="affine")
    assert np.array_equal(read_state_dict(state, config).params["bn.weight"], PARAMS["bn.weight"])


def test_paddles_affine_layers_are_read():
    state = blob_state({}) | {"affine_s": PARAMS["bn.weight"], "affine_b": PARAMS["bn.bias"]}
    assert np.array_equal(read_state_dict(state, nl.BlockConfig(C, norm="affine")).params["bn.bias"], PARAMS["bn.bias"])


def test_one_of_several_blocks_is_chosen_by_its_prefix():
    first, second = ({f"layer{i}.nl.{key}": value * i for key, value in STATES["alexhex7"].items()} for i in (2, 3))
    with pytest.raises(ValueError, match=r"there are 2 blocks, prefix must be one of 'layer2.nl', 'layer3.nl'"):
        read_state_dict(first | second, FULL)
    params, _ = read_state_dict(first | second, FULL, prefix="layer3.nl.")
    assert np.array_equal(params["g.bias"], 3 * PARAMS["g.bias"])


def test_a_network_without_a_block_is_told():
    with pytest.raises(ValueError, match="no non-local block was found under any known naming"):
        read_state_dict({"fc.weight": np.ones((2, 2))}, FULL)


def test_missing_biases_are_zero_and_reported():
    state = {name: value for name, value in STATES["mmcv"].items() if name != "conv_out.conv.bias"}
    params, report = read_state_dict(state, FULL)
    assert not np.any(params["w_z.bias"])
    assert report.zeros == ("w_z.bias",)
    assert "not there, taken as zero: w_z.bias" in str(report)


def test_missing_weights_are_refused_by_name():
    state = {name: value for name, value in STATES["slowfast"].items() if name != "conv_phi.weight"}
    with pytest.raises(ValueError, match=r"the state lacks conv_phi.weight \(facebookresearch/SlowFast names\)"):
        read_state_dict(state, FULL)


@pytest.mark.parametrize("key", ["g.weight", "w_z.weight"])
@pytest.mark.parametrize("name", sorted(set(STATES) - {"gluoncv"}))  # that one has each twice
def test_of_a_block_that_lacks_one_weight_the_naming_and_the_weight_are_named(name, key):
    state, prefix = in_network(name, STATES[name])
    rules = CONVENTIONS[name]
    theirs = {f"{prefix}{rules.separator}{end}" for end in rules.names[key]}
    with pytest.raises(ValueError, match="no non-local block was found") as caught:
        read_state_dict({name: value for name, value in state.items() if name not in theirs}, FULL)
    said = str(caught.value).partition("nearest are ")[2]
    assert f"names, prefix {prefix!r}, without" in said
    assert any(end in said for end in theirs)


def test_a_network_with_other_layers_alone_is_near_nothing():
    state = {"stem.bn.weight": 1, "stem.bn.bias": 1, "stem.bn.running_mean": 1, "stem.W.weight": 1}
    with pytest.raises(ValueError, match=r"the state has stem.bn.weight"):
        read_state_dict(state, FULL)


@pytest.mark.parametrize(("value", "kind"), [(None, "None"), ([1.0, 2.0], "a list"), ("zero", "a str")])
@pytest.mark.parametrize("key", ["theta.bias", "theta.weight"])
def test_a_parameter_that_is_no_array_is_refused_by_name(key, value, kind):
    with pytest.raises(TypeError, match=rf"{key} must be an array, got {kind}"):
        read_state_dict(STATES["alexhex7"] | {key: value}, FULL)


def test_what_belongs_to_no_parameter_may_be_anything():
    state = STATES["alexhex7"] | {"_extra_state": None, "note": "mine"}
    assert read_state_dict(state, FULL).params.keys() == PARAMS.keys()


def test_unused_names_are_reported():
    state = STATES["alexhex7"] | {"temperature": np.ones(1)}
    assert read_state_dict(state, FULL).report.unused == ("temperature",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("theta.weight", np.ones((3, 4))), ("g.0.weight", np.ones((2, 4, 2, 1))), ("W.1.bias", np.ones(5))],
)
def test_misshapen_values_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must have shape"):
        read_state_dict(STATES["alexhex7"] | {name: value}, FULL)


def concatenation_state(bias):
    w_f = np.arange(2.0 * INNER).reshape(1, 2 * INNER, 1, 1)
    return STATES["tea1528"] | {"W_f.0.weight": w_f, "W_f.0.bias": np.array([bias])}


def test_the_weights_of_the_concatenation_become_a_vector():
    params, _ = read_state_dict(concatenation_state(0.0), CONCATENATION)
    assert np.array_equal(params["w_f.weight"], np.arange(2.0 * INNER))


def test_a_bias_on_w_f_is_refused_by_name_unless_it_is_zero():
    with pytest.raises(ValueError, match=r"W_f.0.bias \(w_f.bias\) cannot be read"):
        read_state_dict(concatenation_state(0.5), CONCATENATION)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": None}, r"W_z.1.weight \(bn.weight\) cannot be read: .*norm='batch'"),
        ({"variant": "gaussian"}, r"theta.weight \(theta.weight\) cannot be read: .*other than 'gaussian'"),
        ({"bias": False}, r"theta.bias \(theta.bias\) cannot be read: the config has bias=False"),
        ({"norm": "affine"}, r"W_z.1.running_mean .* no running statistics"),
    ],
)
def test_what_the_config_has_no_place_for_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        read_state_dict(STATES["tea1528"], nl.BlockConfig(C, **options))


def test_biases_of_zeros_are_dropped_where_the_config_has_none():
    state = {
        name: 0 * v if name.endswith("bias") and "W_z.1" not in name else v for name, v in STATES["tea1528"].items()
    }
    assert "theta.bias" not in read_state_dict(state, nl.BlockConfig(C, bias=False)).params


def test_a_module_registered_twice_must_agree_with_itself():
    state = STATES["gluoncv"] | {"W_bn.0.weight": 2 * STATES["gluoncv"]["W_bn.0.weight"]}
    with pytest.raises(ValueError, match=r"W.weight and W_bn.0.weight are the same parameter, w_z.weight"):
        read_state_dict(state, FULL, convention="gluoncv")


def test_values_that_cannot_be_right_are_warned_of():
    state = STATES["slowfast"] | {"bn.running_var": -np.ones(C), "bn.bias": np.full(C, np.nan)}
    warnings = read_state_dict(state, FULL).report.warnings
    assert warnings == ("bn.bias is not finite", "bn.running_var is negative somewhere: no variance is")


def test_half_precision_of_torch_is_read():
    torch = pytest.importorskip("torch")
    state = {name: torch.ones(value.shape, dtype=torch.bfloat16) for name, value in STATES["slowfast"].items()}
    assert read_state_dict(state, FULL).params["theta.weight"].dtype == np.float64


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1], "state must map names to arrays, got list"),
        ({3: np.ones(1)}, "state must map names to arrays"),
        (PARAMS | {"g.weight": np.array([None])}, "g.weight must hold numbers, got object"),
    ],
)
def test_what_is_no_state_dict_is_refused(state, message):
    with pytest.raises(TypeError, match=message):
        read_state_dict(state, FULL)


def test_a_prefix_that_is_no_string_is_refused():
    with pytest.raises(TypeError, match="prefix must be a string"):
        read_state_dict(PARAMS, FULL, prefix=3)


def test_an_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="convention must be one of"):
        read_state_dict(PARAMS, FULL, convention="keras")


# blocks that do nothing


def test_a_fresh_block_does_nothing():
    assert idle_reasons(nl.init_params(FULL, rng=0)) == (
        "bn.weight is zero everywhere: the block adds no more than a constant to x",
    )


def test_a_block_in_the_middle_of_its_life_does_something():
    assert idle_reasons(PARAMS) == ()


def test_two_zeros_are_a_dead_block():
    reasons = idle_reasons(nl.init_params(FULL, rng=0) | {"w_z.weight": np.zeros((C, INNER))})
    assert reasons[-1] == "w_z.weight and bn.weight are zero together: no gradient reaches them, the block is dead"


def test_a_block_whose_channels_are_zero_one_way_or_the_other_does_nothing():
    gamma, w_z = np.array([1.0, 1, 0, 0]), PARAMS["w_z.weight"] * np.array([[0], [0], [1], [1]])
    assert "in every channel" in idle_reasons(PARAMS | {"bn.weight": gamma, "w_z.weight": w_z})[0]


def test_a_block_that_does_nothing_is_in_the_report():
    state = STATES["slowfast"] | {"bn.weight": np.zeros(C)}
    assert "warning: bn.weight is zero everywhere" in str(read_state_dict(state, FULL).report)
