"""Eq. (4). f(x_i, x_j) = θ(x_i)ᵀ φ(x_j), C(x) = N: no softmax, so the gradient is that of a product."""

from nonlocal_ref.backend import Array
from nonlocal_ref.ops import Backward, mean_over_allowed, scaled_product


def dot_product(theta: Array, phi: Array, *, mask: Array | None = None) -> tuple[Array, Backward]:
    """f / C(x) = θ_i · φ_j / M, M the number of positions summed over (after subsampling, or allowed by the mask).

    theta (B, N, D), phi (B, M, D) -> weights (B, N, M).  Keeps: theta, phi, mask.
    """
    f, product_backward = scaled_product(theta, phi)
    weights, mean_backward = mean_over_allowed(f, mask)

    def backward(dweights: Array) -> tuple[Array, Array]:
        (df,) = mean_backward(dweights)
        dtheta, dphi = product_backward(df)
        return dtheta, dphi

    return weights, backward
