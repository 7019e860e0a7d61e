"""Mistakes in attention heads as people write them: y = softmax(q kᵀ / sqrt(D)) v."""

import numpy as np

from tests.checker.planted.row import Family, arguments, pairs_allowed, transposed


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def head_forward(q, k, v):
    p = softmax(q @ transposed(k) / np.sqrt(q.shape[-1]))
    return p @ v, (q, k, v, p)


def head_backward(dy, cache):
    q, k, v, p = cache
    dp = dy @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def softmax_passed_over(dy, cache):
    q, k, v, p = cache
    ds = dy @ transposed(v) / np.sqrt(q.shape[-1])
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def softmax_by_its_diagonal(dy, cache):
    q, k, v, p = cache
    ds = p * (1 - p) * (dy @ transposed(v)) / np.sqrt(q.shape[-1])  # the sigmoid's derivative
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def softmax_times_p_alone(dy, cache):
    q, k, v, p = cache
    ds = p * (dy @ transposed(v)) / np.sqrt(q.shape[-1])
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def root_of_d_forgotten(dy, cache):
    q, k, v, p = cache
    dp = dy @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def root_of_d_twice_for_k(dy, cache):
    q, k, v, p = cache
    root = np.sqrt(q.shape[-1])
    dp = dy @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / root
    return ds @ k, transposed(ds) @ (q / root), transposed(p) @ dy


def values_averaged_over_the_batch(dy, cache):
    q, k, v, p = cache
    dp = dy @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy / len(dy)


def q_and_k_in_the_wrong_order(dy, cache):
    dq, dk, dv = head_backward(dy, cache)
    return dk, dq, dv


def keys_detached(dy, cache):
    dq, dk, dv = head_backward(dy, cache)
    return dq, np.zeros_like(dk), dv


def scores_in_place_of_p(dy, cache):
    q, k, v, p = cache
    root = np.sqrt(q.shape[-1])
    s = q @ transposed(k) / root
    dp = dy @ transposed(v)
    ds = s * (dp - (dp * s).sum(axis=-1, keepdims=True)) / root
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def p_not_transposed_in_dv(dy, cache):
    _, _, _, p = cache
    dq, dk, _ = head_backward(dy, cache)
    return dq, dk, p @ dy


HEAD = Family(head_forward, head_backward, arguments(q=(2, 5, 3), k=(2, 4, 3), v=(2, 4, 6)))
SQUARE = arguments(q=(2, 4, 3), k=(2, 4, 3), v=(2, 4, 3))


def masked_forward(q, k, v, mask):
    p = softmax(np.where(mask, q @ transposed(k), -1e9))
    return p @ v, (q, k, v, mask, p)


def masked_backward(dy, cache):
    q, k, v, _, p = cache
    dp = dy @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    return ds @ k, transposed(ds) @ q, transposed(p) @ dy


def mask_left_out_of_the_recomputed_p(dy, cache):
    q, k, v, mask, _ = cache
    return masked_backward(dy, (q, k, v, mask, softmax(q @ transposed(k))))


MASKED = Family(
    masked_forward,
    masked_backward,
    arguments(q=(2, 5, 3), k=(2, 4, 3), v=(2, 4, 6), mask=pairs_allowed(2, 5, 4)),
)


def self_forward(x, w_q, w_k, w_v):
    q, k, v = x @ w_q, x @ w_k, x @ w_v
    y, head_cache = head_forward(q, k, v)
    return y, (x, w_q, w_k, w_v, head_cache)


def self_backward(dy, cache):
    x, w_q, w_k, w_v, head_cache = cache
    dq, dk, dv = head_backward(dy, head_cache)
    dx = dq @ w_q.T + dk @ w_k.T + dv @ w_v.T
    return dx, *(np.einsum("bnc,bnd->cd", x, d) for d in (dq, dk, dv))


def value_path_missing_in_dx(dy, cache):
    _, w_q, w_k, _, head_cache = cache
    _, *weights = self_backward(dy, cache)
    dq, dk, _ = head_backward(dy, head_cache)
    return dq @ w_q.T + dk @ w_k.T, *weights


SELF = Family(self_forward, self_backward, arguments(x=(2, 5, 3), w_q=(3, 4), w_k=(3, 4), w_v=(3, 6)))


def two_heads_forward(x, y):
    """x (B, N, 2 D) split into two heads, each multiplied with its own y (B, 2, N, D)."""
    b, n, c = x.shape
    heads = x.reshape(b, n, 2, c // 2).transpose(0, 2, 1, 3)
    return heads * y, (heads, y, x.shape)


def two_heads_backward(dz, cache):
    heads, y, shape = cache
    return (dz * y).transpose(0, 2, 1, 3).reshape(shape), dz * heads


def heads_merged_without_moving_the_axis(dz, cache):
    heads, y, shape = cache
    return (dz * y).reshape(shape), dz * heads


TWO_HEADS = Family(two_heads_forward, two_heads_backward, arguments(x=(2, 5, 6), y=(2, 2, 5, 3)))

MISTAKES = (
    HEAD.mistake(softmax_passed_over, "q k", "softmax_jacobian"),
    HEAD.mistake(softmax_by_its_diagonal, "q k", "softmax_jacobian"),
    HEAD.mistake(softmax_times_p_alone, "q k", "softmax_jacobian"),
    # The scale is hidden in the operation: from outside, a scale forgotten is a factor of sqrt(D), and nothing else.
    HEAD.mistake(root_of_d_forgotten, "q k", "scale_twice", "constant_factor"),
    HEAD.mistake(root_of_d_twice_for_k, "k", "scale_twice", "constant_factor"),
    HEAD.mistake(values_averaged_over_the_batch, "v", "constant_factor"),
    HEAD.mistake(q_and_k_in_the_wrong_order, "q k", "another_argument", draw=SQUARE),
    HEAD.mistake(keys_detached, "k", "zero_gradient"),
    # A Jacobian taken at the logits in place of their softmax: a wrong value kept, and no Jacobian of this softmax.
    HEAD.mistake(scores_in_place_of_p, "q k", "stale_value", "softmax_jacobian"),
    HEAD.mistake(p_not_transposed_in_dv, "v", "permuted", draw=SQUARE),
    MASKED.mistake(mask_left_out_of_the_recomputed_p, "q k v", "index_ignored"),
    SELF.mistake(value_path_missing_in_dx, "x", "missing_term"),
    TWO_HEADS.mistake(heads_merged_without_moving_the_axis, "x", "permuted"),
)
