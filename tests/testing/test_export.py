"""Our parameters under the names of others, for their code to load."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing import export_state_dict, read_state_dict
from tests.helpers import random_params

C = 4
FULL = nl.BlockConfig(C, dims=2)
PARAMS = random_params(FULL, np.random.default_rng(0))

EXPORTED = {
    "slowfast": nl.BlockConfig.preset("caffe2", C),
    "slowfast-dot": nl.BlockConfig.preset("caffe2", C, variant="dot_product", frame_group=2),
    "mmcv": nl.BlockConfig.preset("mmcv", C, dims=2),
    "mmcv-pooled": nl.BlockConfig.preset("mmcv", C, variant="concatenation", subsample=True),
    "alexhex7": nl.BlockConfig.preset("alexhex7", C, variant="concatenation", dims=1),
    "alexhex7-gaussian": nl.BlockConfig.preset("alexhex7", C, variant="gaussian", norm=None, subsample=False),
}


@pytest.mark.parametrize("name", EXPORTED)
def test_what_is_exported_is_read_again(name):
    config, convention = EXPORTED[name], name.partition("-")[0]
    params = random_params(config, np.random.default_rng(1))
    state = export_state_dict(params, config, convention, prefix="layer2.1.nl")
    again, report = read_state_dict(state, config, convention=convention)
    assert report.prefix == "layer2.1.nl"
    assert again.keys() == params.keys()
    assert all(np.array_equal(again[key], params[key]) for key in params)


def modules():
    blocks = pytest.importorskip("tests.testing.torch_blocks")
    return {
        "slowfast": (blocks.Caffe2(C), EXPORTED["slowfast"]),
        "mmcv": (blocks.Mmcv(C), EXPORTED["mmcv"]),
        "mmcv-norm": (
            blocks.Mmcv(C, pooled=True, norm=True),
            nl.BlockConfig.preset("mmcv", C, dims=2, subsample=True, norm="batch"),
        ),
        "alexhex7": (blocks.AlexHex7(C, "concatenation", dims=1), EXPORTED["alexhex7"]),
        "alexhex7-no-norm": (blocks.AlexHex7(C, norm=False), nl.BlockConfig.preset("alexhex7", C, norm=None)),
    }


@pytest.mark.parametrize("name", ["slowfast", "mmcv", "mmcv-norm", "alexhex7", "alexhex7-no-norm"])
def test_a_module_loads_what_is_exported(name):
    torch = pytest.importorskip("torch")
    module, config = modules()[name]
    params = random_params(config, np.random.default_rng(1)) | (
        {"w_z.bias": np.zeros(C)} if name == "mmcv-norm" else {}
    )
    state = export_state_dict(params, config, name.partition("-")[0])
    module.load_state_dict({key: torch.tensor(value) for key, value in state.items()})  # strict: all keys, all shapes
    x = np.random.default_rng(2).normal(size=(1, C, 2, 4, 4)[: config.dims + 2])
    with torch.no_grad():
        z = module.double().eval()(torch.tensor(x))
    assert np.allclose(z, nl.block(x, params, config)[0])


def test_biases_that_the_config_does_not_have_are_exported_as_zeros():
    config = nl.BlockConfig.preset("alexhex7", C, bias=False)
    state = export_state_dict(random_params(config, np.random.default_rng(0)), config, "alexhex7")
    assert not np.any(state["theta.bias"])
    assert state["W.0.bias"].shape == (C,)


@pytest.mark.parametrize(
    ("convention", "config", "message"),
    [
        ("slowfast", nl.BlockConfig(C, scale="inner"), "SlowFast has no pool_order='after'"),
        ("slowfast", nl.BlockConfig(C, pool_order="before"), "SlowFast has no scale=None"),
        ("slowfast", nl.BlockConfig(C, variant="gaussian"), "SlowFast has no variant='gaussian'"),
        ("slowfast", nl.BlockConfig.preset("caffe2", C, norm="affine"), "SlowFast has no norm='affine'"),
        ("slowfast", nl.BlockConfig.preset("caffe2", C, dims=2), "SlowFast has no dims=2"),
        ("mmcv", nl.BlockConfig(C, pool_order="before"), "mmcv, mmaction2 has no pool_order='before'"),
        ("mmcv", nl.BlockConfig(C, domain="space"), "mmcv, mmaction2 has no domain='space'"),
        ("mmcv", nl.BlockConfig(C, variant="gaussian", scale="inner"), "mmcv, mmaction2 has no scale='inner'"),
        ("mmcv", nl.BlockConfig(C, subsample=(2, 2, 2)), r"mmcv, mmaction2 has no subsample=\(2, 2, 2\)"),
        ("alexhex7", nl.BlockConfig(C, scale=0.25), "temporal-shift-module has no scale=0.25"),
        ("alexhex7", nl.BlockConfig(C, frame_group=2), "temporal-shift-module has no frame_group=2"),
        ("alexhex7", nl.BlockConfig(C, eps=1e-3), "temporal-shift-module has no eps=0.001"),
        ("tea1528", nl.BlockConfig(C), "convention must be one of 'slowfast', 'mmcv', 'alexhex7'"),
    ],
)
def test_what_the_other_code_cannot_compute_is_not_exported(convention, config, message):
    with pytest.raises(ValueError, match=message):
        export_state_dict(nl.init_params(config, rng=0), config, convention)


def test_mmcv_has_no_place_for_a_bias_before_a_norm():
    config = nl.BlockConfig.preset("mmcv", C, norm="batch")
    with pytest.raises(ValueError, match=r"w_z.bias must be zero, mmcv has none before a norm"):
        export_state_dict(random_params(config, np.random.default_rng(0)), config, "mmcv")


def test_parameters_that_do_not_fit_the_config_are_not_exported():
    with pytest.raises(ValueError, match=r"missing \['bn.running_var'\]"):
        export_state_dict({key: value for key, value in PARAMS.items() if key != "bn.running_var"}, FULL, "alexhex7")
