"""Eq. (1) with every pair in memory: the specification that the exact fast forms are held to."""

from nonlocal_ref.backend import Array
from nonlocal_ref.ops import Backward, Operation, Tap, matmul, no_tap


def dense(kernel: Operation, theta: Array, phi: Array, g: Array, tap: Tap = no_tap) -> tuple[Array, Backward]:
    """Eq. (1). y_i = 1 / C(x) Σ_j f(x_i, x_j) g(x_j), where kernel(theta, phi) gives f / C(x) and its way back.

    theta (B, N, D), phi (B, M, D), g (B, M, E) -> y (B, N, E).  Keeps: what the kernel keeps, the weights (B, N, M), g.
    """
    weights, kernel_backward = kernel(theta, phi)
    y, matmul_backward = matmul(weights, g)
    tap("weights", weights)
    tap("y", y)

    def backward(dy: Array) -> tuple[Array, ...]:
        dweights, dg = matmul_backward(dy)
        dtheta, dphi, *dw_f = kernel_backward(dweights)
        return dtheta, dphi, dg, *dw_f

    return y, backward
