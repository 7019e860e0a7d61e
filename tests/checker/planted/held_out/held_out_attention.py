"""Mistakes in heads, dot product and concatenation."""

import numpy as np

from tests.checker.planted.attention import HEAD, SELF, SQUARE, head_backward, head_forward, self_backward, softmax
from tests.checker.planted.dot_and_concatenation import (
    CONCATENATION,
    DOT,
    MASKED_DOT,
    concatenation_backward,
    dot_backward,
)
from tests.checker.planted.row import Family, arguments, transposed


def softmax_summed_over_the_queries(dy, cache):
    q, k, v, p = cache
    dp = dy @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=1, keepdims=True)) / np.sqrt(q.shape[-1])
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def softmax_with_a_plus(dy, cache):
    q, k, v, p = cache
    dp = dy @ transposed(v)
    ds = p * (dp + (dp * p).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def multiplied_by_root_of_d_in_dq(dy, cache):
    q, k, v, p = cache
    root = np.sqrt(q.shape[-1])
    dp = dy @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    return root * ds @ k, transposed(ds) @ q / root, transposed(p) @ dy


def values_get_zeros(dy, cache):
    dq, dk, dv = head_backward(dy, cache)
    return dq, dk, 0 * dv


def gradient_of_k_returned_for_v(dy, cache):
    dq, dk, _ = head_backward(dy, cache)
    return dq, dk, dk


def key_path_missing_in_dx(dy, cache):
    _, w_q, _, w_v, head_cache = cache
    _, *weights = self_backward(dy, cache)
    dq, _, dv = head_backward(dy, head_cache)
    return dq @ w_q.T + dv @ w_v.T, *weights


def causal_forward(q, k, v):
    n = q.shape[1]
    p = softmax(np.where(np.tril(np.ones((n, n), bool)), q @ transposed(k), -1e9))
    return p @ v, (q, k, v, p)


def causal_backward(dy, cache):
    q, k, v, p = cache
    dp = dy @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def causal_mask_upside_down(dy, cache):
    q, k, v, p = cache
    n = q.shape[1]
    dp = dy @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) * np.triu(np.ones((n, n)))
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


CAUSAL = Family(causal_forward, causal_backward, SQUARE)


def memory_forward(q, memory):
    """The keys are the values as well."""
    return head_forward(q, memory, memory)


def memory_backward(dy, cache):
    dq, dk, dv = head_backward(dy, cache)
    return dq, dk + dv


def memory_gets_its_key_path_only(dy, cache):
    dq, dk, _ = head_backward(dy, cache)
    return dq, dk


MEMORY = Family(memory_forward, memory_backward, arguments(q=(2, 5, 3), memory=(2, 4, 3)))


def biased_forward(s, bias):
    """One bias for a pair of positions, whatever the batch element."""
    p = softmax(s + bias)
    return p, (p,)


def biased_backward(dp, cache):
    (p,) = cache
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    return ds, ds.sum(axis=0)


def position_bias_averaged_over_the_batch(dp, cache):
    ds, _ = biased_backward(dp, cache)
    return ds, ds.mean(axis=0)


def position_bias_of_the_first_batch_element(dp, cache):
    ds, _ = biased_backward(dp, cache)
    return ds, ds[0]


BIASED = Family(biased_forward, biased_backward, arguments(s=(3, 5, 4), bias=(5, 4)))


def one_over_m_twice(dy, cache):
    dtheta, dphi, dg = dot_backward(dy, cache)
    return dtheta / dphi.shape[1], dphi / dphi.shape[1], dg


def scale_forgotten_in_both(dy, cache):
    theta, phi, g, _, f = cache
    df = dy @ transposed(g) / phi.shape[1]
    return df @ phi, transposed(df) @ theta, transposed(f) @ dy


def divided_by_all_keys_in_place_of_the_allowed(dy, cache):
    theta, phi, g, mask, _, f = cache
    df = np.where(mask, dy @ transposed(g), 0) / phi.shape[1]
    return df @ phi, transposed(df) @ theta, transposed(f) @ dy


def gate_of_theta_alone(dy, cache):
    theta, phi, g, w_f, _, _ = cache
    _, dphi, dg, dw_f = concatenation_backward(dy, cache)
    a = theta @ w_f[: theta.shape[-1]]
    ds = dy @ transposed(g) * (a > 0)[:, :, None] / phi.shape[1]
    return ds.sum(axis=2)[..., None] * w_f[: theta.shape[-1]], dphi, dg, dw_f


def last_key_alone_for_theta(dy, cache):
    theta, phi, g, w_f, s, _ = cache
    _, *others = concatenation_backward(dy, cache)
    ds = dy @ transposed(g) * (s > 0) / phi.shape[1]
    return ds[:, :, -1][..., None] * w_f[: theta.shape[-1]], *others


MISTAKES = (
    HEAD.mistake(softmax_summed_over_the_queries, "q k", "softmax_jacobian"),
    HEAD.mistake(softmax_with_a_plus, "q k", "softmax_jacobian"),
    # The scale is hidden in the operation: from outside, the wrong scale is a factor of D, and nothing else.
    HEAD.mistake(multiplied_by_root_of_d_in_dq, "q", "scale_twice", "constant_factor"),
    HEAD.mistake(values_get_zeros, "v", "zero_gradient"),
    HEAD.mistake(gradient_of_k_returned_for_v, "v", "another_argument", draw=SQUARE),
    SELF.mistake(key_path_missing_in_dx, "x", "missing_term"),
    CAUSAL.mistake(causal_mask_upside_down, "q k", "index_ignored"),
    MEMORY.mistake(memory_gets_its_key_path_only, "memory", "missing_term"),
    # a mean where the sum belongs
    BIASED.mistake(position_bias_averaged_over_the_batch, "bias", "constant_factor", "missing_sum"),
    BIASED.mistake(position_bias_of_the_first_batch_element, "bias", "missing_sum"),
    DOT.mistake(one_over_m_twice, "theta phi", "constant_factor"),
    DOT.mistake(scale_forgotten_in_both, "theta phi", "scale_twice"),
    MASKED_DOT.mistake(divided_by_all_keys_in_place_of_the_allowed, "theta phi", "index_ignored"),
    CONCATENATION.mistake(gate_of_theta_alone, "theta", "index_ignored"),
    CONCATENATION.mistake(last_key_alone_for_theta, "theta", "missing_sum"),
)
