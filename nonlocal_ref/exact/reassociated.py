"""Eq. (4) without the N x M matrix: (θ φᵀ) g / M = θ (φᵀ g / M), since there is no softmax in between.

φᵀ g is D x E, whatever N and M are: (N + M) D E multiply-adds instead of N M (D + E), forward and again backward.
"""

from nonlocal_ref.backend import Array, array_namespace
from nonlocal_ref.ops import Backward, Tap, no_tap, product_over_rows


def reassociated(theta: Array, phi: Array, g: Array, *, tap: Tap = no_tap) -> tuple[Array, Backward]:
    """y = θ K, K = φᵀ g / M.  theta (B, N, D), phi (B, M, D), g (B, M, E) -> y (B, N, E).  Keeps: all three, K."""
    xp = array_namespace(theta, phi, g)
    keys = phi.shape[1]
    k = product_over_rows(phi, g) / keys  # (B, D, E)
    y = theta @ k
    tap("y", y)

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        dtheta = dy @ xp.matrix_transpose(k)
        dk = product_over_rows(theta, dy) / keys
        dphi = g @ xp.matrix_transpose(dk)
        dg = phi @ dk
        return dtheta, dphi, dg

    return y, backward
