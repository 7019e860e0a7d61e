"""How close is close enough, and why: every tolerance of the tests, with its derivation.

The error ratio.  A computed number is compared with the exact one in units of what rounding alone can do to it:

    ratio = |got - exact| / (eps * magnitude)

where the magnitude is the same formula with every product replaced by its absolute value before anything is added.  A
sum that cancels has a small result and a large magnitude: its last digits are lost whoever computes it, and counting
them against the small result would measure the data, not the code.  Each of the few roundings on a path adds at most
eps / 2 of the magnitude; a sum of n terms adds at most n eps / 2, and about sqrt(n) eps / 2 as a rule.  With the short
sums of the tests this gives ratios of 1 to 3.  The threshold is LAPACK's, 30 for every routine (its TESTING/*.in): an
order above what rounding does and far below what a wrong term does.

Finite differences have an error of their own, the step's; `central_difference_error` states it.

Everything here is host NumPy, float64; M(x) stands for the magnitude of x.  Inputs are magnitudes as well: absolute
values for given arrays, the magnitude of the step before for computed ones.  So the helpers chain as the operations do.
"""

from types import SimpleNamespace

import numpy as np

RATIO = 30.0  # LAPACK's threshold


def error_ratio(got, exact, magnitude, eps):
    """Largest |got - exact| / (eps magnitude); a magnitude of 0 asks for the exact number, up to underflow."""
    error = np.abs(np.asarray(got) - np.asarray(exact)).astype(float)
    assert error.shape == np.shape(exact), f"shape {np.shape(got)} is not {np.shape(exact)}"
    tiny = np.finfo(np.float64 if eps < 1e-10 else np.float32).tiny
    unit = eps * np.asarray(magnitude, dtype=float) + float(tiny)
    ratios = error / unit
    return float(np.max(np.where(np.isnan(ratios), np.inf, ratios), initial=0.0))  # NaN is as wrong as can be


def assert_ratio(got, exact, magnitude, eps, ratio=RATIO):
    """The error ratio is at most 30."""
    found = error_ratio(got, exact, magnitude, eps)
    assert found <= ratio, f"error ratio {found:.3g} > {ratio:.3g}\ngot\n{np.asarray(got)}\nexact\n{np.asarray(exact)}"


def largest(*arrays):
    """The largest absolute value in any of the arrays: the magnitude where a comparison does not go term by term."""
    return max(float(np.max(np.abs(x), initial=0.0)) for x in arrays)


def central_difference_error(value_magnitude, derivative, step, third_derivative):
    """Error of (L(s) - L(-s)) / (2 s) in float64, from Taylor and from rounding.

    Taylor leaves s^2 / 6 times the third derivative along the direction.  Each L carries an error of RATIO eps M(L),
    two of them are divided by 2 s.  Relative 1e-7 of the derivative covers the terms beyond the third.
    """
    eps = np.finfo(np.float64).eps
    return 1e-7 * np.abs(derivative) + step**2 / 6 * third_derivative + RATIO * eps * value_magnitude / step


def transposed(x):
    """The last two axes exchanged."""
    return np.swapaxes(x, -1, -2)


def linear(x, weight, bias=0.0):
    """M(W x + b) = M(x) |W|ᵀ + |b|."""
    return x @ transposed(np.abs(weight)) + np.abs(bias)


def linear_gradients(x, weight, dy):
    """M(dy W), M(dyᵀ x) and M(Σ dy) of a weight that stands at every position."""
    dy_rows, x_rows = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
    return dy @ np.abs(weight), transposed(dy_rows) @ x_rows, dy_rows.sum(axis=0)


def softmax_growth(logits):
    """1 + max_j M(logits_ij): an error of one eps in a logit is an error of one eps, relative, in its exponential.

    logits (B, N, M), zero where masked -> (B, N, 1).
    """
    return 1 + np.max(logits, axis=-1, keepdims=True, initial=0.0)


def softmax_gradient(weights, dweights, growth):
    """M(P (dP - P . dP)) = P (M(dP) + P . M(dP)), times the growth of P's own error.  (B, N, M), growth (B, N, 1)."""
    return growth * weights * (dweights + np.sum(weights * dweights, axis=-1, keepdims=True))


def nonlocal_op(variant, theta, phi, g, w_f, weights, *, dy, scale=None, allowed=None):
    """Magnitudes of eq. (1) and of its gradients.

    theta, phi, g, w_f, dy are magnitudes; weights (B, N, M) are the exact f / C(x): (2), (3) need their values, (5)
    only which of them are positive; allowed is the mask.  -> a namespace with weights (B, N, M), y (B, N, E), dtheta,
    dphi, dg, dw_f.
    """
    pairs = np.ones(weights.shape) if allowed is None else np.broadcast_to(allowed, weights.shape) * 1.0
    count = np.maximum(np.sum(pairs, axis=-1, keepdims=True), 1)
    factor = 1.0 if scale is None else abs(scale)
    dweights = dy @ transposed(g)
    dw_f = None
    if variant in {"gaussian", "embedded_gaussian"}:
        growth = softmax_growth(factor * theta @ transposed(phi) * pairs)
        m_weights = growth * weights
        dlogits = factor * softmax_gradient(weights, dweights, growth)
        dtheta, dphi = dlogits @ phi, transposed(dlogits) @ theta
    elif variant == "dot_product":
        m_weights = theta @ transposed(phi) * pairs / count
        df = dweights * pairs / count
        dtheta, dphi = df @ phi, transposed(df) @ theta
    else:
        active = pairs * (weights > 0) / count
        w_theta, w_phi = w_f[: len(w_f) // 2], w_f[len(w_f) // 2 :]
        m_weights = ((theta @ w_theta)[:, :, None] + (phi @ w_phi)[:, None, :]) * active
        df = dweights * active
        da, db = df.sum(axis=2), df.sum(axis=1)
        dtheta, dphi = da[:, :, None] * w_theta, db[:, :, None] * w_phi
        dw_f = np.concatenate([np.tensordot(da, theta, 2), np.tensordot(db, phi, 2)])
    y, dg = m_weights @ g, transposed(m_weights) @ dy
    return SimpleNamespace(weights=m_weights, y=y, dtheta=dtheta, dphi=dphi, dg=dg, dw_f=dw_f)


def standardise(x, x_hat, inverse_std):
    """M(x̂) of batch norm in training: the centred values err by M(x) + mean M(x), and so does the variance.

    An error d of the centred values changes x̂ by (d - x̂ mean(x̂ d)) / std.  x, x_hat (P, C), inverse_std (C,).
    """
    centred = x + x.mean(axis=0)
    return inverse_std * (centred + np.abs(x_hat) * np.mean(np.abs(x_hat) * centred, axis=0))


def standardise_gradient(dx_hat, x, x_hat, inverse_std):
    """M((dx̂ - mean dx̂ - x̂ mean(dx̂ x̂)) / std), times one plus the relative error of 1 / std.  All (P, C)."""
    m_x_hat = standardise(x, x_hat, inverse_std)
    relative = inverse_std * np.mean(np.abs(x_hat) * (x + x.mean(axis=0)), axis=0)
    common = dx_hat.mean(axis=0) + m_x_hat * np.mean(dx_hat * m_x_hat, axis=0)
    return inverse_std * (dx_hat + common) * (1 + relative)


def block(parts, x, params, config, dz, *, training):
    """Magnitudes of z, of dx and of every gradient of eq. (6), from `oracles.block`'s namespace `parts`.

    x (B, C, *S), dz the same: the arrays themselves.  -> z, dx, dict of gradients.
    """
    m_x = np.abs(x).reshape(parts.raw.shape)
    m_dz = np.abs(dz).reshape(parts.raw.shape)
    sizes = {key: np.abs(value) for key, value in params.items()}
    scale = config.scale if config.scale != "inner" else sizes.get("theta.weight", sizes["w_z.weight"]).shape[0] ** -0.5
    grads = {key: np.zeros(value.shape) for key, value in params.items() if not key.startswith("bn.running")}

    def embed(name, values):
        key = f"{name}.weight"
        return linear(values, sizes[key], sizes.get(f"{name}.bias", 0.0)) if key in sizes else values

    def embed_backward(name, values, dvalues):
        if f"{name}.weight" not in sizes:
            return dvalues
        dx, dweight, dbias = linear_gradients(values, sizes[f"{name}.weight"], dvalues)
        grads[f"{name}.weight"] += dweight
        if f"{name}.bias" in sizes:
            grads[f"{name}.bias"] += dbias
        return dx

    def rows(volume, b, cells):
        return np.array([volume[(b, slice(None), *cell)] for cell in cells])

    def pool(group, values_of):
        """Cell by cell magnitudes, largest in the window: the winner's own error may be any of them."""
        return np.array([values_of(rows(m_x, group.b, window)).max(axis=0) for window in group.windows])

    def unpool(group, dvalues, name):
        """Every window's gradient to its winners, one row a cell of the window."""
        spread = []
        for window, winners, dvalue in zip(group.windows, group.winners[name], dvalues, strict=True):
            dcells = np.zeros((len(window), len(dvalue)))
            dcells[winners, np.arange(len(dvalue))] = dvalue
            spread.append(dcells)
        return spread

    m_raw = np.zeros(m_x.shape)
    forward = []
    for group in parts.groups:
        theta = embed("theta", rows(m_x, group.b, group.queries))
        if config.pool_order == "before":
            keys = pool(group, lambda values: values)
            phi, g = embed("phi", keys), embed("g", keys)
        else:
            keys = None
            phi, g = (pool(group, lambda values, name=name: embed(name, values)) for name in ("phi", "g"))
        inputs = (theta[None], phi[None], g[None], sizes.get("w_f.weight"), group.weights[None])
        y = nonlocal_op(config.variant, *inputs, dy=np.zeros((1, len(theta), g.shape[1])), scale=scale).y[0]
        for cell, value in zip(group.queries, embed("w_z", y), strict=True):
            m_raw[(group.b, slice(None), *cell)] = value
        forward.append((inputs, keys, y))

    def as_rows(volume):
        return np.moveaxis(volume, 1, -1).reshape(-1, volume.shape[1])

    raw_rows, dz_rows = as_rows(m_raw), as_rows(m_dz)
    if config.norm == "batch":
        inverse_std = np.array(parts.inverse_std, dtype=float)
        x_hat = as_rows(parts.x_hat)
        if training:
            m_x_hat = standardise(raw_rows, x_hat, inverse_std)
        else:
            m_x_hat = (raw_rows + sizes["bn.running_mean"]) * inverse_std
    else:
        m_x_hat = raw_rows
    normed, draw = m_x_hat, dz_rows
    if config.norm is not None:
        normed = m_x_hat * sizes["bn.weight"] + sizes["bn.bias"]
        grads["bn.weight"] += np.sum(dz_rows * m_x_hat, axis=0)
        grads["bn.bias"] += np.sum(dz_rows, axis=0)
        draw = dz_rows * sizes["bn.weight"]
    if config.norm == "batch":
        draw = standardise_gradient(draw, raw_rows, x_hat, inverse_std) if training else draw * inverse_std
    volume_shape = np.moveaxis(m_raw, 1, -1).shape
    m_z = np.moveaxis(normed.reshape(volume_shape), -1, 1) + m_x
    draw_volume = np.moveaxis(draw.reshape(volume_shape), -1, 1)

    dx = np.array(m_dz)

    def add(b, cells, values):
        for cell, value in zip(cells, values, strict=True):
            dx[(b, slice(None), *cell)] += value

    for group, (inputs, keys, y) in zip(parts.groups, forward, strict=True):
        dy = embed_backward("w_z", y, rows(draw_volume, group.b, group.queries))
        op = nonlocal_op(config.variant, *inputs, dy=dy[None], scale=scale)
        if op.dw_f is not None:
            grads["w_f.weight"] += op.dw_f
        x_queries = rows(m_x, group.b, group.queries)
        add(group.b, group.queries, embed_backward("theta", x_queries, op.dtheta[0]))
        if config.pool_order == "before":
            dkeys = embed_backward("phi", keys, op.dphi[0]) + embed_backward("g", keys, op.dg[0])
            for window, dcells in zip(group.windows, unpool(group, dkeys, "x"), strict=True):
                add(group.b, window, dcells)
        else:
            for name, dvalues in (("phi", op.dphi[0]), ("g", op.dg[0])):
                for window, dcells in zip(group.windows, unpool(group, dvalues, name), strict=True):
                    add(group.b, window, embed_backward(name, rows(m_x, group.b, window), dcells))
    return m_z.reshape(x.shape), dx.reshape(x.shape), grads
