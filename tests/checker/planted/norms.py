"""Mistakes in batch norm, layer norm and L2 normalisation."""

import numpy as np

from tests.checker.planted.row import Family, arguments

EPS = 1e-5


def normalise(x, axis):
    centred = x - x.mean(axis=axis, keepdims=True)
    inverse_std = 1 / np.sqrt((centred * centred).mean(axis=axis, keepdims=True) + EPS)
    return centred * inverse_std, inverse_std


def through_the_statistics(dx_hat, x_hat, inverse_std, axis):
    along_one = dx_hat.mean(axis=axis, keepdims=True)
    along_x_hat = (dx_hat * x_hat).mean(axis=axis, keepdims=True)
    return (dx_hat - along_one - x_hat * along_x_hat) * inverse_std


def batch_norm_forward(x, gamma, beta):
    x_hat, inverse_std = normalise(x, 0)
    return gamma * x_hat + beta, (x, gamma, x_hat, inverse_std)


def batch_norm_backward(dy, cache):
    _, gamma, x_hat, inverse_std = cache
    dx = through_the_statistics(dy * gamma, x_hat, inverse_std, 0)
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def batch_statistics_taken_as_constants(dy, cache):
    _, gamma, _, inverse_std = cache
    _, dgamma, dbeta = batch_norm_backward(dy, cache)
    return dy * gamma * inverse_std, dgamma, dbeta


def gamma_forgotten_in_dx(dy, cache):
    _, _, x_hat, inverse_std = cache
    _, dgamma, dbeta = batch_norm_backward(dy, cache)
    return through_the_statistics(dy, x_hat, inverse_std, 0), dgamma, dbeta


def gamma_gets_the_gradient_of_beta(dy, cache):
    dx, _, dbeta = batch_norm_backward(dy, cache)
    return dx, dbeta, dbeta


def gamma_from_x_before_the_norm(dy, cache):
    x, _, _, _ = cache
    dx, _, dbeta = batch_norm_backward(dy, cache)
    return dx, (dy * x).sum(axis=0), dbeta


BATCH_NORM = Family(batch_norm_forward, batch_norm_backward, arguments(x=(6, 3), gamma=(3,), beta=(3,)))


def layer_norm_forward(x, gamma, beta):
    x_hat, inverse_std = normalise(x, -1)
    return gamma * x_hat + beta, (gamma, x_hat, inverse_std)


def layer_norm_backward(dy, cache):
    gamma, x_hat, inverse_std = cache
    dx = through_the_statistics(dy * gamma, x_hat, inverse_std, -1)
    return dx, (dy * x_hat).sum(axis=(0, 1)), dy.sum(axis=(0, 1))


def layer_norm_without_the_term_of_the_variance(dy, cache):
    gamma, _, inverse_std = cache
    _, dgamma, dbeta = layer_norm_backward(dy, cache)
    dx_hat = dy * gamma
    return (dx_hat - dx_hat.mean(axis=-1, keepdims=True)) * inverse_std, dgamma, dbeta


def layer_norm_beta_not_summed_over_the_batch(dy, cache):
    dx, dgamma, _ = layer_norm_backward(dy, cache)
    return dx, dgamma, dy.sum(axis=1)


LAYER_NORM = Family(layer_norm_forward, layer_norm_backward, arguments(x=(2, 5, 4), gamma=(4,), beta=(4,)))


def unit_length_forward(x):
    length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    y = x / length
    return y, (x, y, length)


def unit_length_backward(dy, cache):
    _, y, length = cache
    return ((dy - y * (dy * y).sum(axis=-1, keepdims=True)) / length,)


def length_taken_as_a_constant(dy, cache):
    _, _, length = cache
    return (dy / length,)


UNIT_LENGTH = Family(unit_length_forward, unit_length_backward, arguments(x=(2, 5, 3)))

MISTAKES = (
    BATCH_NORM.mistake(batch_statistics_taken_as_constants, "x", "missing_term"),
    # gamma is the scale of the norm: a number for every channel, forgotten on the way back
    BATCH_NORM.mistake(gamma_forgotten_in_dx, "x", "scale_twice"),
    BATCH_NORM.mistake(gamma_gets_the_gradient_of_beta, "gamma", "another_argument"),
    BATCH_NORM.mistake(gamma_from_x_before_the_norm, "gamma", "stale_value"),
    LAYER_NORM.mistake(layer_norm_without_the_term_of_the_variance, "x", "missing_term"),
    LAYER_NORM.mistake(
        layer_norm_beta_not_summed_over_the_batch,
        "beta",
        "missing_sum",
        breaks=r"beta has shape \(4,\), its gradient has shape \(2, 4\)",
    ),
    UNIT_LENGTH.mistake(length_taken_as_a_constant, "x", "missing_term"),
)
