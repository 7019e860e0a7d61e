"""Mistakes in eqs. (4) and (5) as people write them: y = θ φᵀ g / M, and y = relu(w_f [θ_i, φ_j]) g / M."""

import numpy as np

from tests.checker.planted.row import Family, arguments, pairs_allowed, transposed


def dot_forward(theta, phi, g, scale):
    f = scale * theta @ transposed(phi) / phi.shape[1]
    return f @ g, (theta, phi, g, scale, f)


def dot_backward(dy, cache):
    theta, phi, g, scale, f = cache
    df = scale * dy @ transposed(g) / phi.shape[1]
    return df @ phi, transposed(df) @ theta, transposed(f) @ dy


def one_over_m_forgotten(dy, cache):
    theta, phi, g, scale, f = cache
    df = scale * dy @ transposed(g)
    return df @ phi, transposed(df) @ theta, transposed(f) @ dy


def divided_by_the_queries(dy, cache):
    theta, phi, g, scale, f = cache
    df = scale * dy @ transposed(g) / theta.shape[1]
    return df @ phi, transposed(df) @ theta, transposed(f) @ dy


def scale_twice_in_dphi(dy, cache):
    theta, phi, g, scale, f = cache
    df = scale * dy @ transposed(g) / phi.shape[1]
    return df @ phi, transposed(df) @ (scale * theta), transposed(f) @ dy


def scale_forgotten_in_dtheta(dy, cache):
    theta, phi, g, scale, f = cache
    df = dy @ transposed(g) / phi.shape[1]
    return df @ phi, scale * transposed(df) @ theta, transposed(f) @ dy


def theta_with_the_wrong_sign(dy, cache):
    dtheta, dphi, dg = dot_backward(dy, cache)
    return -dtheta, dphi, dg


DOT = Family(dot_forward, dot_backward, arguments(theta=(2, 5, 3), phi=(2, 4, 3), g=(2, 4, 6), scale=0.3))


def masked_dot_forward(theta, phi, g, mask):
    count = mask.sum(axis=-1, keepdims=True)
    f = np.where(mask, theta @ transposed(phi), 0) / count
    return f @ g, (theta, phi, g, mask, count, f)


def masked_dot_backward(dy, cache):
    theta, phi, g, mask, count, f = cache
    df = np.where(mask, dy @ transposed(g), 0) / count
    return df @ phi, transposed(df) @ theta, transposed(f) @ dy


def mask_forgotten(dy, cache):
    theta, phi, g, _, count, f = cache
    df = dy @ transposed(g) / count
    return df @ phi, transposed(df) @ theta, transposed(f) @ dy


MASKED_DOT = Family(
    masked_dot_forward,
    masked_dot_backward,
    arguments(theta=(2, 5, 3), phi=(2, 4, 3), g=(2, 4, 6), mask=pairs_allowed(2, 5, 4)),
)


def concatenation_forward(theta, phi, g, w_f):
    d = theta.shape[-1]
    s = (theta @ w_f[:d])[:, :, None] + (phi @ w_f[d:])[:, None, :]
    f = s * (s > 0) / phi.shape[1]
    return f @ g, (theta, phi, g, w_f, s, f)


def concatenation_backward(dy, cache):
    theta, phi, g, w_f, s, f = cache
    ds = dy @ transposed(g) * (s > 0) / phi.shape[1]
    dtheta, dphi, dw_f = through_the_sum(ds.sum(axis=2), ds.sum(axis=1), theta, phi, w_f)
    return dtheta, dphi, transposed(f) @ dy, dw_f


def through_the_sum(da, db, theta, phi, w_f):
    d = theta.shape[-1]
    dw_f = np.concatenate([np.einsum("bn,bnd->d", da, theta), np.einsum("bm,bmd->d", db, phi)])
    return da[..., None] * w_f[:d], db[..., None] * w_f[d:], dw_f


def relu_open_everywhere(dy, cache):
    theta, phi, g, w_f, _, f = cache
    ds = dy @ transposed(g) / phi.shape[1]
    dtheta, dphi, dw_f = through_the_sum(ds.sum(axis=2), ds.sum(axis=1), theta, phi, w_f)
    return dtheta, dphi, transposed(f) @ dy, dw_f


def mean_over_the_keys_in_place_of_their_sum(dy, cache):
    theta, phi, g, w_f, s, _ = cache
    _, *others = concatenation_backward(dy, cache)
    ds = dy @ transposed(g) * (s > 0) / phi.shape[1]
    return ds.mean(axis=2)[..., None] * w_f[: theta.shape[-1]], *others


def first_query_alone_for_phi(dy, cache):
    theta, phi, g, w_f, s, _ = cache
    dtheta, _, *others = concatenation_backward(dy, cache)
    ds = dy @ transposed(g) * (s > 0) / phi.shape[1]
    return dtheta, ds[:, 0][..., None] * w_f[theta.shape[-1] :], *others


def halves_of_w_f_in_the_wrong_order(dy, cache):
    dtheta, dphi, dg, dw_f = concatenation_backward(dy, cache)
    d = dtheta.shape[-1]
    return dtheta, dphi, dg, np.concatenate([dw_f[d:], dw_f[:d]])


def w_f_of_the_last_batch_element(dy, cache):
    theta, phi, g, _, s, _ = cache
    dtheta, dphi, dg, _ = concatenation_backward(dy, cache)
    for b in range(len(theta)):
        ds = dy[b] @ g[b].T * (s[b] > 0) / phi.shape[1]
        dw_f = np.concatenate([theta[b].T @ ds.sum(axis=1), phi[b].T @ ds.sum(axis=0)])  # "=", where "+=" was meant
    return dtheta, dphi, dg, dw_f


CONCATENATION = Family(
    concatenation_forward,
    concatenation_backward,
    arguments(theta=(2, 5, 3), phi=(2, 4, 3), g=(2, 4, 6), w_f=(6,)),
)

MISTAKES = (
    DOT.mistake(one_over_m_forgotten, "theta phi", "constant_factor"),
    DOT.mistake(divided_by_the_queries, "theta phi", "constant_factor"),
    DOT.mistake(scale_twice_in_dphi, "phi", "scale_twice"),
    DOT.mistake(scale_forgotten_in_dtheta, "theta", "scale_twice"),
    DOT.mistake(theta_with_the_wrong_sign, "theta", "constant_factor"),
    MASKED_DOT.mistake(mask_forgotten, "theta phi", "index_ignored"),
    CONCATENATION.mistake(relu_open_everywhere, "theta phi w_f", "index_ignored"),
    CONCATENATION.mistake(mean_over_the_keys_in_place_of_their_sum, "theta", "constant_factor"),
    CONCATENATION.mistake(first_query_alone_for_phi, "phi", "missing_sum"),
    CONCATENATION.mistake(halves_of_w_f_in_the_wrong_order, "w_f", "permuted"),
    CONCATENATION.mistake(w_f_of_the_last_batch_element, "w_f", "missing_sum"),
)
