"""Every backward against derivatives that know nothing of it: the complex step, central differences, JAX.

They differentiate our own dense forward; that the forward is the paper's is shown in test_operation and
test_residual_block. Inputs are continuous draws from a fixed seed, so no ReLU and no maximum is at a tie.
"""

import functools

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing.magnitudes import block_magnitudes
from tests import oracles, tolerances
from tests.cases import BLOCKS, OPERATIONS, PIECES, named_cases
from tests.helpers import NUMPY, example, normal, random_params, trainable
from tests.tolerances import assert_ratio, central_difference_error, largest

EPS = NUMPY.eps
REAL_ONLY = ("tiled", "sorted", "reassociated")  # the fast forms: compared with the dense ones instead
smooth = named_cases([case for case in (*PIECES, *OPERATIONS) if not any(form in case.name for form in REAL_ONLY)])


def jacobians(op, arrays, step=1e-30):
    """By complex step, entry by entry: for each argument (*y.shape, *argument.shape)."""
    given = [x + 0j for x in arrays]
    found = []
    for x in given:
        columns = []
        for index in np.ndindex(*x.shape):
            real = x[index]
            x[index] = real + 1j * step
            columns.append(op(*given)[0].imag / step)
            x[index] = real
        shape = columns[0].shape
        found.append(np.stack(columns, axis=-1).reshape(*shape, *x.shape))
    return found


# The complex step


@pytest.mark.parametrize("case", smooth)
def test_backward_is_the_transpose_of_the_jacobian(case, rng):
    arrays, constants = case.draw(rng)
    op = functools.partial(case.op, **constants)
    y, backward = op(*arrays)
    dy = normal(rng, *y.shape)
    for gradient, jacobian in zip(backward(dy), jacobians(op, arrays), strict=True):
        exact = np.tensordot(dy, jacobian, axes=y.ndim)
        # the Jacobian's own entries cancel inside, so the largest sum of absolute values stands for all
        magnitude = np.max(np.tensordot(np.abs(dy), np.abs(jacobian), axes=y.ndim))
        assert_ratio(gradient, exact, magnitude, EPS)


@pytest.mark.parametrize("case", named_cases(BLOCKS))
def test_the_gradients_of_a_block_agree_with_a_complex_step_through_the_block(case, rng):
    arrays, constants = case.draw(rng)
    statistics = {key: value + 0j for key, value in constants.items()}
    _, backward = case.op(*arrays, **constants)
    dz = normal(rng, *arrays[0].shape)
    exact = oracles.complex_step(lambda *given: case.op(*given, **statistics)[0], arrays, dz)
    config, _, training = case.op.args
    params = dict(zip(list(case.arguments)[1:], arrays[1:], strict=True)) | constants
    magnitudes = block_magnitudes(config, arrays[0], params, dz, training=training)
    for name, gradient, want in zip(case.arguments, backward(dz), exact, strict=True):
        assert_ratio(gradient, want, magnitudes[f"d{name}"], EPS)


# Central differences, in float64


@pytest.mark.parametrize("case", named_cases(PIECES, OPERATIONS, BLOCKS))
def test_backward_agrees_with_central_differences(case, rng):
    """One random direction through all arguments: (L(s) - L(-s)) / 2s = <gradients, direction>."""
    arrays, constants = case.draw(rng)
    y, backward = case.op(*arrays, **constants)
    dy = normal(rng, *y.shape)
    direction = [normal(rng, *x.shape) for x in arrays]
    exact = sum(np.sum(d * v) for d, v in zip(backward(dy), direction, strict=True))

    def loss(step):
        moved = case.op(*(x + step * v for x, v in zip(arrays, direction, strict=True)), **constants)[0]
        return np.sum(dy * moved), np.sum(np.abs(dy * moved))

    def quotient(step):
        (above, size), (below, _) = loss(step), loss(-step)
        return (above - below) / (2 * step), size

    step = 2.0**-16
    wide, _ = quotient(2 * step)
    got, size = quotient(step)
    # Taylor: the quotient errs by c step², so the one at twice the step errs by four times that and shows c
    third_derivative = 6 * abs(wide - got) / (3 * step**2)
    assert abs(got - exact) <= central_difference_error(size, exact, step, third_derivative)


# JAX, on one shape per operation


@pytest.fixture
def jax_x64():
    """JAX with 64 bits for this test alone."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


def both_ways(jax, function, cotangent, constants, *arguments):
    """y, our gradients, JAX's gradients of function(constants, *arguments), in one compiled call."""

    def compute(cotangent, constants, *arguments):
        y, backward = function(constants, *arguments)
        _, vjp = jax.vjp(lambda *given: function(constants, *given)[0], *arguments)
        return y, backward(cotangent), vjp(cotangent)

    options = {"xla_backend_optimization_level": 0}  # it runs once: compile quickly
    y, ours, theirs = jax.jit(compute, compiler_options=options)(cotangent, constants, *arguments)
    return np.asarray(y), ours, theirs


@pytest.mark.parametrize(
    ("variant", "masked"),  # (2) is (3) here; (5) masks as (4) does
    [
        ("embedded_gaussian", False),
        ("embedded_gaussian", True),
        ("dot_product", False),
        ("dot_product", True),
        ("concatenation", False),
    ],
)
def test_nonlocal_op_agrees_with_jax(variant, masked, jax_x64, rng):
    jnp = jax_x64.numpy
    arrays, dy = example(rng, variant=variant), normal(rng, 2, 3, 3)
    mask = np.array([[True, False, True, True], [False] * 4, [True, True, False, True]]) if masked else None
    y, ours, theirs = both_ways(
        jax_x64,
        lambda options, *given: nl.nonlocal_op(variant, *given, method="dense", **options),
        jnp.asarray(dy),
        {"mask": jnp.asarray(mask)} if masked else {},
        *map(jnp.asarray, arrays),
    )
    exact_y, _ = oracles.nonlocal_op(variant, *arrays, mask=mask)
    m = tolerances.operation(variant, arrays, dy, mask=mask)
    assert_ratio(y, exact_y, m.y, EPS)
    for our, their, magnitude in zip(ours, theirs, m.gradients, strict=True):
        assert_ratio(np.asarray(our), np.asarray(their), magnitude, EPS)


JAX_BLOCKS = {
    "embedded-train": (nl.BlockConfig(3, inner_channels=2), (2, 3, 2, 2, 3), True),
    "gaussian-before-eval": (
        nl.BlockConfig(3, variant="gaussian", dims=2, pool_order="before", scale="inner"),
        (2, 3, 2, 4),
        False,
    ),
    "dot-time-affine": (
        nl.BlockConfig(3, variant="dot_product", domain="time", norm="affine", subsample=(2, 1, 1)),
        (1, 3, 4, 1, 2),
        False,
    ),
    "concatenation-1d-no-norm": (
        nl.BlockConfig(3, variant="concatenation", dims=1, norm=None, inner_channels=2, bias=False),
        (2, 3, 5),
        False,
    ),
}


JAX_IS_SLOW = {"gaussian-before-eval", "dot-time-affine"}  # to compile; the others pool, train and leave the norm out


@pytest.mark.parametrize(
    ("config", "shape", "training"),
    [
        pytest.param(*row, id=name, marks=pytest.mark.slow if name in JAX_IS_SLOW else ())
        for name, row in JAX_BLOCKS.items()
    ],
)
def test_block_agrees_with_jax(config, shape, training, jax_x64, rng):
    jnp = jax_x64.numpy
    x, params, dz = normal(rng, *shape), random_params(config, rng), normal(rng, *shape)
    keys = trainable(params)
    statistics = {key: jnp.asarray(value) for key, value in params.items() if key not in keys}

    def function(statistics, x, trained):
        return nl.block(x, trained | statistics, config, training=training, method="dense")

    trained = {key: jnp.asarray(params[key]) for key in keys}
    z, (dx, grads), (jax_dx, jax_grads) = both_ways(
        jax_x64, function, jnp.asarray(dz), statistics, jnp.asarray(x), trained
    )
    parts = oracles.block(x, params, config, training=training)
    magnitudes = block_magnitudes(config, x, params, dz, training=training)
    assert_ratio(z, parts.z, magnitudes["z"], EPS)
    assert_ratio(np.asarray(dx), np.asarray(jax_dx), magnitudes["dx"], EPS)
    for key in keys:
        assert_ratio(np.asarray(grads[key]), np.asarray(jax_grads[key]), magnitudes[f"d{key}"], EPS)


def test_jax_differentiates_by_one_argument_while_the_others_are_plain_arrays(jax_x64, rng):
    jnp = jax_x64.numpy
    theta, phi, g = map(jnp.asarray, example(rng, variant="gaussian"))
    dy = jnp.asarray(normal(rng, 2, 3, 3))
    got = jax_x64.grad(lambda given: jnp.sum(dy * nl.nonlocal_op("gaussian", given, phi, g)[0]))(theta)
    _, backward = nl.nonlocal_op("gaussian", theta, phi, g)
    want = np.asarray(backward(dy)[0])
    assert_ratio(np.asarray(got), want, largest(want), EPS)


# Our own checker


@pytest.mark.parametrize("case", named_cases(PIECES, OPERATIONS, BLOCKS))
def test_check_gradients_finds_nothing_wrong(case, rng):
    arrays, constants = case.draw(rng)
    nl.check_gradients(functools.partial(case.op, **constants), *arrays, rng=rng, directions=1)


# PyTorch's autograd, where it is there


@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_nonlocal_op_agrees_with_pytorch(variant, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    arrays, dy = example(rng, variant=variant), normal(rng, 2, 3, 3)
    leaves = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, _ = nl.nonlocal_op(variant, *leaves, method="dense")
    theirs = torch.autograd.grad(y, leaves, torch.tensor(dy))
    _, backward = nl.nonlocal_op(variant, *arrays, method="dense")
    magnitudes = tolerances.operation(variant, arrays, dy).gradients
    for our, their, magnitude in zip(backward(dy), theirs, magnitudes, strict=True):
        assert_ratio(our, their.numpy(), magnitude, EPS)


# What each of them would say of a wrong backward


def test_each_differentiator_tells_a_wrong_backward(rng):
    arrays = example(rng, variant="gaussian")
    y, backward = nl.nonlocal_op("gaussian", *arrays)
    dy = normal(rng, *y.shape)
    wrong = [1.0001 * gradient for gradient in backward(dy)]
    for gradient, jacobian in zip(
        wrong, jacobians(lambda *given: nl.nonlocal_op("gaussian", *given), arrays), strict=True
    ):
        magnitude = np.max(np.tensordot(np.abs(dy), np.abs(jacobian), axes=3))
        with pytest.raises(AssertionError, match="error ratio"):
            assert_ratio(gradient, np.tensordot(dy, jacobian, axes=3), magnitude, EPS)
