"""Eq. (3). f(x_i, x_j) = exp(θ(x_i)ᵀ φ(x_j)), C(x) = Σ_j f(x_i, x_j): embed, then eq. (2).

With W_g this is the self-attention of Vaswani et al. (2017).  `nonlocal_ref.nonlocal_op` is handed θ and φ already
embedded (`nonlocal_ref.residual_block` embeds once, for every variant), so there eq. (3) is eq. (2).
"""

from nonlocal_ref.backend import Array
from nonlocal_ref.ops import Backward, linear
from nonlocal_ref.pairwise.gaussian import gaussian


def embedded_gaussian(x: Array, keys: Array, w_theta: Array, w_phi: Array) -> tuple[Array, Backward]:
    """f / C(x) = softmax_j((W_θ x_i) · (W_φ x_j)); for self-attention pass x twice and add both gradients.

    x (B, N, C), keys (B, M, C), w_theta (D, C), w_phi (D, C) -> weights (B, N, M).
    Keeps: x, keys, their embeddings, the weights.
    """
    theta, theta_backward = linear(x, w_theta)
    phi, phi_backward = linear(keys, w_phi)
    weights, gaussian_backward = gaussian(theta, phi)

    def backward(dweights: Array) -> tuple[Array, Array, Array, Array]:
        dtheta, dphi = gaussian_backward(dweights)
        dkeys, dw_phi = phi_backward(dphi)
        dx, dw_theta = theta_backward(dtheta)
        return dx, dkeys, dw_theta, dw_phi

    return weights, backward
