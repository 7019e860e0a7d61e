"""An embedded Gaussian block in 2D as one would write it in plain NumPy, forward only, with every step to be exchanged.

Nothing is shared with the package.  A wrong implementation is this one with one step written otherwise.
"""

import numpy as np


def convolution(x, p, name):
    """A 1 x 1 convolution.  x (B, C, *S)."""
    bias = p[f"{name}.bias"].reshape(-1, *(1,) * (x.ndim - 2))
    return np.einsum("dc,bc...->bd...", p[f"{name}.weight"], x) + bias


def pool(x):
    """2 x 2 windows; what does not fill one is dropped."""
    height, width = x.shape[2] // 2, x.shape[3] // 2
    cells = x[:, :, : 2 * height, : 2 * width].reshape(*x.shape[:2], height, 2, width, 2)
    return cells.max(axis=(3, 5))


def softmax(scores, axis=-1):
    e = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def embed_then_pool(x, p, name):
    """The paper's text."""
    return pool(convolution(x, p, name))


def batch_norm(x, p):
    mean, var, gamma, beta = (
        p[f"bn.{key}"].reshape(-1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * gamma + beta


def back_to_channels(y, shape):
    """(B, N, C) -> (B, C, *S)."""
    return np.swapaxes(y, 1, 2).reshape(shape)


def plain_block(
    x, p, *, softmax=softmax, scale=1.0, keys=embed_then_pool, norm=batch_norm, place=back_to_channels, residual=1.0
):
    """z_i = BN(W_z y_i) + x_i, y = softmax(scale θ φᵀ) g."""
    theta, phi, g = convolution(x, p, "theta"), keys(x, p, "phi"), keys(x, p, "g")
    theta, phi, g = (values.reshape(*values.shape[:2], -1) for values in (theta, phi, g))
    weights = softmax(scale * np.einsum("bdn,bdm->bnm", theta, phi))
    y = np.einsum("bnm,bem->bne", weights, g)
    return norm(convolution(place(y, (len(x), -1, *x.shape[2:])), p, "w_z"), p) + residual * x
