"""Batch norm and the plain affine map after W_z."""

import numpy as np
import pytest

from nonlocal_ref.norm import affine, standardise, standardise_with
from nonlocal_ref.testing import rounding
from tests.helpers import normal
from tests.tolerances import assert_ratio, largest


def exact_statistics(x):
    """Mean, biased variance and x̂ in extended precision where NumPy has it; x (B, N, C)."""
    wide = x.astype(np.longdouble)
    mean, var = wide.mean(axis=(0, 1)), wide.var(axis=(0, 1))
    return mean, var, (wide - mean) / np.sqrt(var + np.longdouble(1e-5))


def test_affine_is_gamma_x_plus_beta(xp, rng):
    x, gamma, beta, dy = normal(rng, 2, 5, 3), normal(rng, 3), normal(rng, 3), normal(rng, 2, 5, 3)
    y, backward = affine(*(xp.asarray(v) for v in (x, gamma, beta)))
    dx, dgamma, dbeta = (xp.to_numpy(d) for d in backward(xp.asarray(dy)))
    assert_ratio(xp.to_numpy(y), x * gamma + beta, np.abs(x * gamma) + np.abs(beta), xp.eps)
    assert_ratio(dx, dy * gamma, np.abs(dy * gamma), xp.eps)
    assert_ratio(dgamma, (dy * x).sum(axis=(0, 1)), np.abs(dy * x).sum(axis=(0, 1)), xp.eps)
    assert_ratio(dbeta, dy.sum(axis=(0, 1)), np.abs(dy).sum(axis=(0, 1)), xp.eps)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_standardise_uses_the_statistics_of_all_positions_and_batch_elements(offset, xp, rng):
    x = normal(rng, 2, 5, 3) + offset
    x = x.astype(np.float32).astype(float)
    seen = {}
    x_hat, _ = standardise(xp.asarray(x), 1e-5, seen.__setitem__)
    mean, var, exact = exact_statistics(x)
    assert_ratio(xp.to_numpy(x_hat), exact, rounding.standardise(rounding.given(x), 1e-5)[0].magnitude, xp.eps)
    assert_ratio(xp.to_numpy(seen["bn.mean"]), mean, np.abs(x).mean(axis=(0, 1)), xp.eps)
    # the centred values err by eps of |x|, and 2 |centred| times as much goes into the mean of their squares
    centred = np.abs(x - x.mean(axis=(0, 1)))
    m_var = np.mean(centred * (centred + 2 * (np.abs(x) + np.abs(x).mean(axis=(0, 1)))), axis=(0, 1))
    assert_ratio(xp.to_numpy(seen["bn.var"]), var, m_var, xp.eps)
    assert seen["bn.count"] == 10


def test_the_standardised_values_have_mean_zero_and_a_variance_short_of_one_by_eps(xp, rng):
    x = normal(rng, 3, 7, 4) * [1.0, 4.0, 0.25, 16.0] + [0.0, 1.0, -2.0, 3.0]
    x = x.astype(np.float32).astype(float)
    x_hat = xp.to_numpy(standardise(xp.asarray(x), 0.125)[0]).astype(float)
    var = x.var(axis=(0, 1))
    size = largest(x_hat) * (1 + np.abs(x).max() / np.sqrt(var))  # x̂ errs by what centring x loses
    assert_ratio(x_hat.mean(axis=(0, 1)), np.zeros(4), size, xp.eps)
    assert_ratio(x_hat.var(axis=(0, 1)), var / (var + 0.125), size * largest(x_hat), xp.eps)


def test_the_gradient_of_standardise_has_nothing_in_common_with_one_and_x_hat(xp, rng):
    # x̂ does not change when x is shifted or (up to eps) stretched, so the gradient does no work along either
    x = xp.asarray(normal(rng, 2, 6, 3))
    x_hat, backward = standardise(x, 1e-30)
    dx = xp.to_numpy(backward(xp.asarray(normal(rng, 2, 6, 3)))[0]).astype(float)
    magnitude = 12 * largest(dx)
    assert_ratio(dx.sum(axis=(0, 1)), np.zeros(3), magnitude, xp.eps)
    assert_ratio((dx * xp.to_numpy(x_hat)).sum(axis=(0, 1)), np.zeros(3), magnitude, xp.eps)


def test_standardise_with_its_own_statistics_is_standardise(xp, rng):
    x = xp.asarray(normal(rng, 2, 5, 3))
    seen = {}
    trained, _ = standardise(x, 1e-5, seen.__setitem__)
    evaluated, _ = standardise_with(x, seen["bn.mean"], seen["bn.var"], 1e-5)
    np.testing.assert_array_equal(xp.to_numpy(evaluated), xp.to_numpy(trained))


def test_given_statistics_are_constants(xp, rng):
    x, mean, var, dy = normal(rng, 2, 5, 3), normal(rng, 3), np.array([0.5, 1.0, 2.0]), normal(rng, 2, 5, 3)
    x_hat, backward = standardise_with(xp.asarray(x), xp.asarray(mean), xp.asarray(var), 1e-5)
    std = np.sqrt(var + 1e-5)
    assert_ratio(xp.to_numpy(x_hat), (x - mean) / std, (np.abs(x) + np.abs(mean)) / std, xp.eps)
    assert_ratio(xp.to_numpy(backward(xp.asarray(dy))[0]), dy / std, np.abs(dy) / std, xp.eps)


def test_one_position_is_standardised_to_zero_with_a_zero_gradient(xp, rng):
    x_hat, backward = standardise(xp.asarray(normal(rng, 1, 1, 3)), 1e-5)
    assert not np.any(xp.to_numpy(x_hat))
    assert not np.any(xp.to_numpy(backward(xp.asarray(normal(rng, 1, 1, 3)))[0]))


def test_equal_values_are_standardised_to_zero_and_not_to_nan(xp):
    x_hat, _ = standardise(xp.asarray(np.full((2, 4, 3), 0.5)), 1e-5)
    assert not np.any(xp.to_numpy(x_hat))


def test_an_empty_batch_has_statistics_without_nan(xp):
    seen = {}
    x = xp.asarray(np.ones((0, 4, 3)))
    x_hat, backward = standardise(x, 1e-5, seen.__setitem__)
    assert tuple(x_hat.shape) == tuple(backward(x)[0].shape) == (0, 4, 3)
    assert seen["bn.count"] == 0
    assert np.all(np.isfinite(xp.to_numpy(seen["bn.var"])))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_agrees_with_pytorch(training, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, dy = normal(rng, 2, 5, 3), normal(rng, 2, 5, 3)
    layer = torch.nn.BatchNorm1d(3, eps=1e-5, affine=False, dtype=torch.float64)
    layer.running_mean[:], layer.running_var[:] = torch.tensor([0.5, -1.0, 0.0]), torch.tensor([0.5, 1.0, 2.0])
    if training:
        x_hat, backward = standardise(x, 1e-5)
    else:
        x_hat, backward = standardise_with(x, layer.running_mean.numpy(), layer.running_var.numpy(), 1e-5)
    layer.train(training)
    given = torch.tensor(x, requires_grad=True)
    theirs = layer(given.permute(0, 2, 1)).permute(0, 2, 1)  # PyTorch has the channels on axis 1
    theirs.backward(torch.tensor(dy))
    size = 1 + largest(x_hat) ** 2
    assert_ratio(x_hat, theirs.detach().numpy(), size, 2.0**-52)
    assert_ratio(backward(dy)[0], given.grad.numpy(), size * largest(dy) / 0.5, 2.0**-52)
