"""Operations that are recognised by their value: each usual mistake in our own pieces is found in the whole."""

from functools import partial

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.checker.contract import run
from nonlocal_ref.checker.diagnosis.evidence import Scene
from nonlocal_ref.checker.diagnosis.known_operation.mistakes import mistakes
from nonlocal_ref.checker.diagnosis.known_operation.pieces import RIGHT, block
from nonlocal_ref.checker.evaluation import Evaluation
from nonlocal_ref.checker.jacobians import Jacobians
from nonlocal_ref.checker.leaves import read_arguments
from tests.checker.diagnosis.wrong_operations import attention, first_names, normal
from tests.helpers import CONFIGS, random_params

MASK = np.random.default_rng(0).random((2, 3, 4)) < 0.7
OPERATIONS = {
    "gaussian": (partial(nl.nonlocal_op, "gaussian"), ()),
    "scaled": (partial(nl.nonlocal_op, "gaussian", scale=0.3), ()),
    "masked": (partial(nl.nonlocal_op, "gaussian", mask=MASK), ()),
    "dot product": (partial(nl.nonlocal_op, "dot_product"), ()),
    "masked dot product": (partial(nl.nonlocal_op, "dot_product", mask=MASK), ()),
    "concatenation": (partial(nl.nonlocal_op, "concatenation"), (normal(10),)),
    "somebody's own": (attention, ()),
}


def scene_of(op, *args):
    call = run(op, read_arguments(op, args, None), read_arguments(op, args, None).values)
    return Scene(Jacobians(Evaluation(call, np.ones(call.y_values.shape)), 0), 0)


def assert_the_gradients_are_ours(scene):
    (paths,) = [scene.recognised.run(RIGHT)[1](scene.cotangents[0])]
    for position, dx in scene.call.gradients(scene.cotangents[0]).items():
        ours = sum(paths[scene.leaves[position].name].values())
        assert np.allclose(ours, dx, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_recognised_and_its_gradients_are_ours(name):
    op, more = OPERATIONS[name]
    assert_the_gradients_are_ours(scene_of(op, normal(2, 3, 5), normal(2, 4, 5), normal(2, 4, 3), *more))


SLOW = [pytest.param(name, marks=() if name == "embedded" else pytest.mark.slow) for name in CONFIGS]


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("training", [True, False])
def test_every_block_is_recognised_and_its_gradients_are_ours(name, training):
    config, shape = CONFIGS[name]
    op = partial(nl.block, training=training, method="dense")
    params = random_params(config, np.random.default_rng(0))
    assert_the_gradients_are_ours(scene_of(op, normal(*shape), params, config))


def test_weights_of_somebody_s_own_are_found_by_their_shapes():
    def op(x, w_q, w_k, w_v):
        p = np.exp(x @ w_q @ np.swapaxes(x @ w_k, 1, 2))
        return p / p.sum(axis=-1, keepdims=True) @ (x @ w_v), lambda dy: (x, w_q, w_k, w_v)

    scene = scene_of(op, normal(2, 3, 4), *(normal(4, 2, seed=seed) for seed in range(3)))
    paths = scene.recognised.run(RIGHT)[1](scene.cotangents[0])
    assert paths.keys() == {"x", "w_q", "w_k", "w_v"}
    assert paths["w_k"]["phi"].shape == (4, 2)


HIDDEN = {}  # a global of this module, which the checker does not read


def block_without_config(x, params):
    return nl.block(x, params, HIDDEN["config"], method="dense")


@pytest.mark.parametrize(
    "config",
    [
        nl.BlockConfig(3, dims=1, inner_channels=2),
        nl.BlockConfig(3, variant="gaussian", dims=1, inner_channels=2, scale="inner", norm="affine"),
        nl.BlockConfig(3, variant="dot_product", dims=1, inner_channels=2, subsample=False, norm=None, bias=False),
        nl.BlockConfig(3, variant="concatenation", dims=1, inner_channels=2, pool_order="before"),
    ],
    ids=lambda config: config.variant,
)
def test_a_block_without_a_config_is_recognised_by_its_keys(config):
    HIDDEN["config"] = config
    params = random_params(config, np.random.default_rng(0))
    assert_the_gradients_are_ours(scene_of(block_without_config, normal(2, 3, 4), params))


def test_kernels_of_convolutions_under_our_keys_do_not_disturb():
    def op(x, params):
        w_g, w_z = params["g.weight"][:, :, 0, 0], params["w_z.weight"][:, :, 0, 0]
        y = x @ w_g.T @ w_z.T

        def backward(dy):
            dw_g = np.tensordot(dy @ w_z, x, ((0, 1), (0, 1)))
            dw_z = np.tensordot(dy, x @ w_g.T, ((0, 1), (0, 1)))
            return 2 * dy @ w_z @ w_g, {"g.weight": dw_g[..., None, None], "w_z.weight": dw_z[..., None, None]}

        return y, backward

    params = {"g.weight": normal(2, 4, 1, 1), "w_z.weight": normal(4, 2, 1, 1)}
    assert first_names(op, normal(2, 3, 4), params) == {"x": "constant_factor"}


def test_a_mask_of_something_else_does_not_disturb():
    def op(q, k, v, flags):
        return attention(q, k, v)

    scene = scene_of(op, normal(2, 3, 5), normal(2, 4, 5), normal(2, 4, 3), np.ones(7, dtype=bool))
    assert scene.recognised is not None


def test_what_is_not_attention_is_not_recognised():
    op = lambda x, w: (np.tanh(x @ w.T), lambda dy: (x, w))  # noqa: E731
    assert scene_of(op, normal(3, 4), normal(5, 4)).recognised is None


def piece_of(mistake):
    return next(name for name in vars(RIGHT) if getattr(RIGHT, name) is not getattr(mistake.pieces, name))


def block_with(mistake):
    """The block with one mistake."""

    def op(x, params, config):
        z, paths_of = block(mistake.pieces, config, x, params, training=True)

        def backward(dz):
            found = {name: sum(paths.values()) for name, paths in paths_of(dz).items()}
            return found.pop("x"), found

        return z, backward

    return op


IN_A_BLOCK = ("softmax", "product", "weigh", "standardise", "affine", "pool", "unfold", "w_z", "theta")
WITHOUT_MASK = [mistake for mistake in mistakes() if piece_of(mistake) in IN_A_BLOCK and " mask" not in mistake.text]


@pytest.mark.slow
@pytest.mark.parametrize("mistake", WITHOUT_MASK, ids=lambda mistake: mistake.text)
def test_each_mistake_in_a_block_is_proposed_first(mistake):
    config = nl.BlockConfig(3, dims=1, inner_channels=3, scale=0.6, subsample=piece_of(mistake) == "pool")
    params = random_params(config, np.random.default_rng(1))
    found = first_names(block_with(mistake), normal(2, 3, 4), params, config)
    assert set(found.values()) == {mistake.name}
