"""The files of `pairwise`, one equation each, called directly; `nonlocal_op` is tested in test_operation."""

import numpy as np
import pytest

from nonlocal_ref import pairwise
from nonlocal_ref.dense import dense
from nonlocal_ref.pairwise.concatenation import concatenation_scores
from tests import oracles
from tests.helpers import normal
from tests.tolerances import assert_ratio


def test_embedded_gaussian_embeds_and_then_is_gaussian(xp, rng):
    x, keys, w_theta, w_phi = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), normal(rng, 6, 4), normal(rng, 6, 4)
    weights, _ = pairwise.embedded_gaussian(*(xp.asarray(v) for v in (x, keys, w_theta, w_phi)))
    theta = np.array([[oracles.convolution(row, w_theta, [0] * 6) for row in element] for element in x])
    phi = np.array([[oracles.convolution(row, w_phi, [0] * 6) for row in element] for element in keys])
    _, exact = oracles.nonlocal_op("embedded_gaussian", theta, phi, np.ones((2, 5, 1)))
    m_theta, m_phi = np.abs(x) @ np.abs(w_theta.T), np.abs(keys) @ np.abs(w_phi.T)
    growth = 1 + np.max(m_theta @ m_phi.mT, axis=-1, keepdims=True)
    assert_ratio(xp.to_numpy(weights), exact, growth * exact, xp.eps)


def test_embedded_gaussian_with_identity_embeddings_is_gaussian(rng):
    x, keys, eye = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), np.eye(4)
    np.testing.assert_array_equal(pairwise.embedded_gaussian(x, keys, eye, eye)[0], pairwise.gaussian(x, keys)[0])


def test_embedded_gaussian_gives_each_argument_its_own_gradient(rng):
    arrays = [normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), normal(rng, 4, 4), normal(rng, 4, 4)]
    dweights = normal(rng, 2, 3, 5)
    _, backward = pairwise.embedded_gaussian(*arrays)
    exact = oracles.complex_step(lambda *given: pairwise.embedded_gaussian(*given)[0], arrays, dweights)
    for got, want in zip(backward(dweights), exact, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11 * np.abs(want).max())  # rounding: 1e-14


def test_in_self_attention_both_gradients_of_x_are_added(rng):
    x, w_theta, w_phi, dweights = normal(rng, 1, 3, 2), normal(rng, 2, 2), normal(rng, 2, 2), normal(rng, 1, 3, 3)

    def self_attention(values):
        return pairwise.embedded_gaussian(values, values, w_theta + 0j, w_phi + 0j)[0]

    _, backward = pairwise.embedded_gaussian(x, x, w_theta, w_phi)
    dx, dkeys, _, _ = backward(dweights)
    (exact,) = oracles.complex_step(self_attention, [x], dweights)
    assert_ratio(dx + dkeys, exact, np.max(np.abs(dx) + np.abs(dkeys)), np.finfo(float).eps)


def test_the_split_of_w_f_is_the_product_with_the_concatenated_vector(xp, rng):
    theta, phi, w_f = normal(rng, 2, 3, 5), normal(rng, 2, 4, 5), normal(rng, 10)
    (a, b), _ = concatenation_scores(*(xp.asarray(v) for v in (theta, phi, w_f)))
    for n, i, j in np.ndindex(2, 3, 4):
        pair = np.concatenate([theta[n, i], phi[n, j]])
        assert_ratio(
            xp.to_numpy(a)[n, i] + xp.to_numpy(b)[n, j], oracles.dot(w_f, pair), np.abs(w_f) @ np.abs(pair), xp.eps
        )


@pytest.mark.parametrize("kernel", [pairwise.gaussian, pairwise.dot_product])
def test_dense_sums_g_with_the_weights_of_any_kernel(kernel, xp, rng):
    theta, phi, g = (xp.asarray(v) for v in (normal(rng, 2, 3, 5), normal(rng, 2, 4, 5), normal(rng, 2, 4, 3)))
    weights, _ = kernel(theta, phi)
    y, _ = dense(kernel, theta, phi, g)
    np.testing.assert_array_equal(xp.to_numpy(y), xp.to_numpy(weights @ g))


def test_dense_hands_on_every_gradient_its_kernel_gives(rng):
    def kernel(theta, phi):
        def backward(dweights):
            return "dtheta", "dphi", "dw", "dv"

        return np.ones((1, 2, 2)), backward

    _, backward = dense(kernel, None, None, np.ones((1, 2, 3)))
    dtheta, dphi, dg, *others = backward(normal(rng, 1, 2, 3))
    assert (dtheta, dphi, others) == ("dtheta", "dphi", ["dw", "dv"])
    assert dg.shape == (1, 2, 3)
