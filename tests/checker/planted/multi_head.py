"""Mistakes in attention with several heads, with one embedding for two, and with channels first."""

import numpy as np

from tests.checker.planted.attention import softmax
from tests.checker.planted.row import Family, arguments, transposed

HEADS = 2


def split(x):
    n, c = x.shape
    return x.reshape(n, HEADS, c // HEADS).transpose(1, 0, 2)


def merged(x):
    heads, n, d = x.shape
    return x.transpose(1, 0, 2).reshape(n, heads * d)


def only_reshaped(x):
    heads, n, d = x.shape
    return x.reshape(n, heads * d)


def multi_head_forward(x, w_q, w_k, w_v, w_o):
    q, k, v = (split(x @ w) for w in (w_q, w_k, w_v))
    p = softmax(q @ transposed(k) / np.sqrt(q.shape[-1]))
    o = merged(p @ v)
    return o @ w_o, (x, w_q, w_k, w_v, w_o, q, k, v, p, o)


def heads_backward(dy, cache):
    """dq, dk, dv, head by head, and ds."""
    *_, w_o, q, k, v, p, _ = cache
    do = split(dy @ w_o.T)
    dp = do @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return ds @ k, transposed(ds) @ q, transposed(p) @ do, ds


def through_the_weights(dy, cache, dq, dk, dv):
    x, w_q, w_k, w_v, _, *_, o = cache
    return dq @ w_q.T + dk @ w_k.T + dv @ w_v.T, x.T @ dq, x.T @ dk, x.T @ dv, o.T @ dy


def multi_head_backward(dy, cache):
    dq, dk, dv, _ = heads_backward(dy, cache)
    return through_the_weights(dy, cache, merged(dq), merged(dk), merged(dv))


def jacobian_left_out_in_every_head(dy, cache):
    *_, w_o, q, k, v, p, _ = cache
    do = split(dy @ w_o.T)
    ds = p * (do @ transposed(v)) / np.sqrt(q.shape[-1])
    return through_the_weights(dy, cache, merged(ds @ k), merged(transposed(ds) @ q), merged(transposed(p) @ do))


def scores_not_transposed_for_the_keys(dy, cache):
    dq, _, dv, ds = heads_backward(dy, cache)
    return through_the_weights(dy, cache, merged(dq), merged(ds @ cache[5]), merged(dv))


def heads_of_q_and_k_only_reshaped(dy, cache):
    dq, dk, dv, _ = heads_backward(dy, cache)
    return through_the_weights(dy, cache, only_reshaped(dq), only_reshaped(dk), merged(dv))


def no_weight_is_transposed_in_dx(dy, cache):
    dq, dk, dv, _ = heads_backward(dy, cache)
    _, w_q, w_k, w_v, *_ = cache
    _, *weights = multi_head_backward(dy, cache)
    return merged(dq) @ w_q + merged(dk) @ w_k + merged(dv) @ w_v, *weights


MULTI_HEAD = Family(
    multi_head_forward,
    multi_head_backward,
    arguments(x=(5, 6), w_q=(6, 6), w_k=(6, 6), w_v=(6, 6), w_o=(6, 6)),
)


def gated_heads_forward(x, w_q, w_k, w_v):
    """No equation of ours: the heads pass a tanh before they are merged, and the scores are not scaled."""
    q, k, v = (split(x @ w) for w in (w_q, w_k, w_v))
    p = softmax(q @ transposed(k))
    t = np.tanh(p @ v)
    return merged(t), (x, w_q, w_k, w_v, q, k, v, p, t)


def gated_heads_backward(dy, cache):
    x, w_q, w_k, w_v, q, k, v, p, t = cache
    do = split(dy) * (1 - t * t)
    dp = do @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    dq, dk, dv = merged(ds @ k), merged(transposed(ds) @ q), merged(transposed(p) @ do)
    return dq @ w_q.T + dk @ w_k.T + dv @ w_v.T, x.T @ dq, x.T @ dk, x.T @ dv


def no_weight_is_transposed_behind_a_gate(dy, cache):
    _, w_q, w_k, w_v, q, k, v, p, t = cache
    _, *weights = gated_heads_backward(dy, cache)
    do = split(dy) * (1 - t * t)
    dp = do @ transposed(v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    dq, dk, dv = merged(ds @ k), merged(transposed(ds) @ q), merged(transposed(p) @ do)
    return dq @ w_q + dk @ w_k + dv @ w_v, *weights


GATED = Family(gated_heads_forward, gated_heads_backward, arguments(x=(5, 4), w_q=(4, 4), w_k=(4, 4), w_v=(4, 4)))


def shared_forward(x, w, w_g):
    """theta and phi are one embedding e, and a residual."""
    e, g = x @ w.T, x @ w_g
    p = softmax(e @ e.T)
    return p @ g + x, (x, w, w_g, e, g, p)


def shared_backward(dy, cache):
    x, w, w_g, e, g, p = cache
    dp = dy @ g.T
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    de, dg = ds @ e + ds.T @ e, p.T @ dy
    return dy + de @ w + dg @ w_g.T, de.T @ x, x.T @ dg


def shared_embedding_as_theta_alone(dy, cache):
    x, _, _, e, g, p = cache
    dx, _, dw_g = shared_backward(dy, cache)
    dp = dy @ g.T
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    return dx, (ds @ e).T @ x, dw_g


SHARED = Family(shared_forward, shared_backward, arguments(x=(6, 4), w=(3, 4), w_g=(4, 4)))


def channels_first_forward(x, w_t, w_p, w_g, w_z):
    """x (C, N), dot product: z = x + w_z g fᵀ, f = thetaᵀ phi / N."""
    theta, phi, g = w_t @ x, w_p @ x, w_g @ x
    f = theta.T @ phi / x.shape[1]
    y = g @ f.T
    return x + w_z @ y, (x, w_t, w_p, w_g, w_z, theta, phi, g, f, y)


def channels_first_backward(dz, cache):
    x, w_t, w_p, w_g, w_z, theta, phi, g, f, y = cache
    dy = w_z.T @ dz
    ds = dy.T @ g / x.shape[1]
    dtheta, dphi, dg = phi @ ds.T, theta @ ds, dy @ f
    return dz + w_t.T @ dtheta + w_p.T @ dphi + w_g.T @ dg, dtheta @ x.T, dphi @ x.T, dg @ x.T, dz @ y.T


def not_divided_by_the_number_of_positions(dz, cache):
    x, w_t, w_p, w_g, w_z, theta, phi, g, f, y = cache
    dy = w_z.T @ dz
    ds = dy.T @ g
    dtheta, dphi, dg = phi @ ds.T, theta @ ds, dy @ f
    return dz + w_t.T @ dtheta + w_p.T @ dphi + w_g.T @ dg, dtheta @ x.T, dphi @ x.T, dg @ x.T, dz @ y.T


CHANNELS_FIRST = Family(
    channels_first_forward,
    channels_first_backward,
    arguments(x=(4, 6), w_t=(3, 4), w_p=(3, 4), w_g=(3, 4), w_z=(4, 3)),
)

MISTAKES = (
    MULTI_HEAD.mistake(jacobian_left_out_in_every_head, "x w_q w_k", "softmax_jacobian"),
    MULTI_HEAD.mistake(scores_not_transposed_for_the_keys, "x w_k", "permuted"),
    MULTI_HEAD.mistake(heads_of_q_and_k_only_reshaped, "x w_q w_k", "permuted"),
    MULTI_HEAD.mistake(no_weight_is_transposed_in_dx, "x", "permuted"),
    GATED.mistake(no_weight_is_transposed_behind_a_gate, "x", "permuted"),
    SHARED.mistake(shared_embedding_as_theta_alone, "w", "missing_term"),
    CHANNELS_FIRST.mistake(not_divided_by_the_number_of_positions, "x w_t w_p", "constant_factor"),
)
