"""Eq. (2). f(x_i, x_j) = exp(x_iᵀ x_j), C(x) = Σ_j f(x_i, x_j): a softmax over j."""

from nonlocal_ref.backend import Array
from nonlocal_ref.ops import Backward, Tap, no_tap, scaled_product, softmax


def gaussian(
    theta: Array, phi: Array, *, scale: float | None = None, mask: Array | None = None, tap: Tap = no_tap
) -> tuple[Array, Backward]:
    """f / C(x) = softmax_j(scale θ_i · φ_j), with θ_i = x_i and φ_j = x_j in eq. (2).

    theta (B, N, D), phi (B, M, D) -> weights (B, N, M).  Keeps: theta, phi, the weights.
    """
    logits, logits_backward = scaled_product(theta, phi, scale)
    weights, softmax_backward = softmax(logits, mask, tap)

    def backward(dweights: Array) -> tuple[Array, Array]:
        (dlogits,) = softmax_backward(dweights)
        dtheta, dphi = logits_backward(dlogits)
        return dtheta, dphi

    return weights, backward
