"""Eq. (5). f(x_i, x_j) = ReLU(w_fᵀ [θ(x_i), φ(x_j)]), C(x) = N.

The product with the concatenated vector splits: w_fᵀ [θ_i, φ_j] = a_i + b_j, with a_i = w_f[:D] · θ_i and
b_j = w_f[D:] · φ_j.  The (B, 2D, N, M) tensor of all concatenated pairs is never formed.
"""

from nonlocal_ref.backend import Array, array_namespace
from nonlocal_ref.ops import Backward, mean_over_allowed, product_over_rows, relu, sum_over_rows


def concatenation(theta: Array, phi: Array, w_f: Array, *, mask: Array | None = None) -> tuple[Array, Backward]:
    """f / C(x) = ReLU(a_i + b_j) / M, a = θ w_f[:D], b = φ w_f[D:].

    theta (B, N, D), phi (B, M, D), w_f (2D,) -> weights (B, N, M).  Keeps: theta, phi, w_f, a + b (B, N, M), mask.
    """
    xp = array_namespace(theta, phi, w_f)
    (a, b), split_backward = concatenation_scores(theta, phi, w_f)
    f, relu_backward = relu(a[:, :, None] + b[:, None, :])
    weights, mean_backward = mean_over_allowed(f, mask)

    def backward(dweights: Array) -> tuple[Array, Array, Array]:
        (df,) = mean_backward(dweights)
        (dsum,) = relu_backward(df)
        da = xp.sum(dsum, axis=2)  # a_i stands in the whole row i,
        db = sum_over_rows(dsum)  # b_j in the whole column j
        dtheta, dphi, dw_f = split_backward(da, db)
        return dtheta, dphi, dw_f

    return weights, backward


def concatenation_scores(theta: Array, phi: Array, w_f: Array) -> tuple[tuple[Array, Array], Backward]:
    """a = θ w_f[:D], b = φ w_f[D:], the two numbers that eq. (5) compares.

    theta (B, N, D), phi (B, M, D), w_f (2D,) -> a (B, N), b (B, M).  Keeps: theta, phi, w_f.
    """
    xp = array_namespace(theta, phi, w_f)
    depth = theta.shape[-1]
    w_theta, w_phi = w_f[:depth], w_f[depth:]

    def over_positions(da: Array, x: Array) -> Array:
        """Σ da_n x_n over all positions of all batch elements.  da (B, N), x (B, N, D) -> (D,)."""
        return product_over_rows(xp.reshape(da, (-1, 1)), xp.reshape(x, (-1, depth)))[0, :]

    def backward(da: Array, db: Array) -> tuple[Array, Array, Array]:
        dw_theta, dw_phi = over_positions(da, theta), over_positions(db, phi)
        return da[:, :, None] * w_theta, db[:, :, None] * w_phi, xp.concat([dw_theta, dw_phi])

    return (theta @ w_theta, phi @ w_phi), backward
