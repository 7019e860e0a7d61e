"""Our operations and the block, every gradient entry by entry, wherever float64 is at home."""

from functools import partial

import pytest

import nonlocal_ref as nl
from tests.cases import OPERATIONS, named_cases
from tests.helpers import CONFIGS, Backend, normal, open_backend, random_params

SIZES = {"B": 1, "N": 2, "M": 3, "D": 2, "E": 2}  # JAX compiles for every shape: few of them
PRESETS = {
    f"preset-{name}": (nl.BlockConfig.preset(name, 2, dims=2), (1, 2, 2, 3))
    for name in ("paper", "caffe2", "mmcv", "alexhex7")
}
BLOCKS = [
    pytest.param(config, shape, training, id=f"{name}-{'train' if training else 'eval'}")
    for name, (config, shape) in (CONFIGS | PRESETS).items()
    for training in (False, True)
    if config.norm == "batch" or not training
]
SCALED = [
    pytest.param(partial(nl.nonlocal_op, "gaussian", scale=0.375, method=method), id=f"gaussian-scale-{method}")
    for method in ("dense", "tiled")
]


@pytest.fixture(params=["numpy", "strict", "strict-device1", "torch", "jax"])
def float64(request):
    """An array library with float64; JAX with its 64 bits for this test alone."""
    if request.param != "jax":
        yield open_backend(request.param)
        return
    jax = pytest.importorskip("jax", reason="jax is not installed")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield Backend("jax", jax.numpy)
    jax.config.update("jax_enable_x64", before)


@pytest.mark.slow
@pytest.mark.parametrize("case", named_cases([case for case in OPERATIONS if case.name.startswith("nonlocal_op")]))
def test_every_entry_of_every_gradient_of_an_operation_is_right(case, float64, rng):
    arrays, constants = case.draw(rng, SIZES)
    op = partial(case.op, **{name: float64.asarray(x) for name, x in constants.items()})
    nl.check_gradients(op, *map(float64.asarray, arrays), rng=0, mode="full", directions=1)


@pytest.mark.slow
@pytest.mark.parametrize("op", SCALED)
def test_every_entry_is_right_with_a_scale(op, float64, rng):
    arrays = [float64.asarray(normal(rng, *shape)) for shape in ((1, 2, 2), (1, 3, 2), (1, 3, 2))]
    nl.check_gradients(op, *arrays, rng=0, mode="full", directions=1)


@pytest.mark.slow
@pytest.mark.parametrize(("config", "shape", "training"), BLOCKS)
def test_every_entry_of_every_gradient_of_a_block_is_right(config, shape, training, float64, rng):
    x = float64.asarray(normal(rng, *shape))
    params = {key: float64.asarray(value) for key, value in random_params(config, rng).items()}
    nl.check_gradients(partial(nl.block, training=training), x, params, config, rng=0, mode="full", directions=1)
