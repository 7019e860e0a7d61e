"""The operation and the block once more, from pieces that can be exchanged: each may have a wrong way back.

A wrong piece has the forward of the right one.  So an operation that is known by its value (recognition.py) can be
written out with each of the usual mistakes, and the gradients compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nonlocal_ref.norm import affine, standardise, standardise_with
from nonlocal_ref.ops import Backward, identity, linear, matmul, mean_over_allowed, relu, scaled_product, softmax
from nonlocal_ref.pairwise.concatenation import concatenation_scores
from nonlocal_ref.params import BlockConfig
from nonlocal_ref.positions import fold, max_pool, unfold

Piece = Callable[..., tuple[Any, Backward]]
Paths = dict[str, dict[str, np.ndarray]]  # array -> path -> its part of the gradient


def pair_sums(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Backward]:
    """a_i + b_j.  a (B, N), b (B, M) -> (B, N, M)."""

    def backward(dsums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return dsums.sum(axis=2), dsums.sum(axis=1)

    return a[:, :, None] + b[:, None, :], backward


def weigh(
    weights: np.ndarray, g: np.ndarray, scores: np.ndarray, mask: np.ndarray | None
) -> tuple[np.ndarray, Backward]:
    """The product of eq. (1); scores and mask are there for those who read them by mistake."""
    return matmul(weights, g)


def split_heads(x: np.ndarray, heads: int) -> tuple[np.ndarray, Backward]:
    """x (B, N, H D) -> (B H, N, D): the channels in H parts, each a batch element of its own."""
    b, n, c = x.shape

    def backward(dparts: np.ndarray) -> tuple[np.ndarray]:
        return (dparts.reshape(b, heads, n, c // heads).transpose(0, 2, 1, 3).reshape(x.shape),)

    return x.reshape(b, n, heads, c // heads).transpose(0, 2, 1, 3).reshape(b * heads, n, c // heads), backward


def merge_heads(y: np.ndarray, heads: int) -> tuple[np.ndarray, Backward]:
    """y (B H, N, E) -> (B, N, H E)."""
    b, n, e = len(y) // heads, *y.shape[1:]

    def backward(dwhole: np.ndarray) -> tuple[np.ndarray]:
        return (split_heads(dwhole, heads)[0],)

    return y.reshape(b, heads, n, e).transpose(0, 2, 1, 3).reshape(b, n, heads * e), backward


@dataclass(frozen=True)
class Pieces:
    """One of each; linear and the split into heads have a name for each of their places."""

    theta: Piece = linear
    phi: Piece = linear
    g: Piece = linear
    w_z: Piece = linear
    theta_heads: Piece = split_heads
    phi_heads: Piece = split_heads
    g_heads: Piece = split_heads
    merge: Piece = merge_heads
    product: Piece = scaled_product
    softmax: Piece = softmax
    mean: Piece = mean_over_allowed
    relu: Piece = relu
    split: Piece = concatenation_scores
    pairs: Piece = pair_sums
    weigh: Piece = weigh
    standardise: Piece = standardise
    standardise_with: Piece = standardise_with
    affine: Piece = affine
    pool: Piece = max_pool
    fold: Piece = fold
    unfold: Piece = unfold


RIGHT = Pieces()


@dataclass(frozen=True)
class Kernel:
    """Which f / C(x), with what scale and mask; "product" is eq. (4) without 1 / C(x)."""

    variant: str
    scale: float | None = None
    mask: np.ndarray | None = None


def weights_of(
    pieces: Pieces, kernel: Kernel, theta: np.ndarray, phi: np.ndarray, w_f: np.ndarray | None
) -> tuple[np.ndarray, Backward, np.ndarray]:
    """f / C(x), its way back, the scores.  backward(dweights) -> dtheta, dphi, dw_f (None where there is none)."""
    if kernel.variant == "concatenation":
        (a, b), split_backward = pieces.split(theta, phi, w_f)
        sums, pairs_backward = pieces.pairs(a, b)
        f, relu_backward = pieces.relu(sums)
        weights, mean_backward = pieces.mean(f, kernel.mask)

        def backward(dweights: np.ndarray) -> tuple[Any, ...]:
            (dsums,) = relu_backward(*mean_backward(dweights))
            return tuple(split_backward(*pairs_backward(dsums)))

        return weights, backward, f
    scores, product_backward = pieces.product(theta, phi, kernel.scale)
    if kernel.variant == "product":
        return scores, lambda dscores: (*product_backward(dscores), None), scores
    normalise = pieces.mean if kernel.variant == "dot_product" else pieces.softmax
    weights, normalise_backward = normalise(scores, kernel.mask)

    def backward_of_product(dweights: np.ndarray) -> tuple[Any, ...]:
        return (*product_backward(*normalise_backward(dweights)), None)

    return weights, backward_of_product, scores


def operation(
    pieces: Pieces,
    kernel: Kernel,
    theta: np.ndarray,
    phi: np.ndarray,
    g: np.ndarray | None,
    w_f: np.ndarray | None = None,
) -> tuple[np.ndarray, Backward]:
    """Eq. (1), or f / C(x) alone without g.  backward(dy) -> dict of theta, phi, g, w_f."""
    weights, weights_backward, scores = weights_of(pieces, kernel, theta, phi, w_f)
    if g is None:
        return weights, lambda dy: dict(zip(("theta", "phi", "w_f"), weights_backward(dy), strict=True))
    y, weigh_backward = pieces.weigh(weights, g, scores, kernel.mask)

    def backward(dy: np.ndarray) -> dict[str, Any]:
        dweights, dg = weigh_backward(dy)
        return {"g": dg} | dict(zip(("theta", "phi", "w_f"), weights_backward(dweights), strict=True))

    return y, backward


def block(
    pieces: Pieces, config: BlockConfig, x: np.ndarray, params: dict[str, np.ndarray], *, training: bool
) -> tuple[np.ndarray, Callable[[np.ndarray], Paths]]:
    """Eq. (6).  backward(dz) -> for x its four paths, for every parameter its one."""
    features, fold_backward = pieces.fold(x, config.domain, config.frame_group)
    before, after = (config.kernel, None) if config.pool_order == "before" else (None, config.kernel)
    keys, keys_backward = pieces.pool(features, before)
    maps, backwards = {}, {}
    for name, source in (("theta", features), ("phi", keys), ("g", keys)):
        maps[name], backwards[name] = embed(getattr(pieces, name), name, source, params)
    for name in ("phi", "g"):
        maps[name], backwards[name] = pooled(pieces.pool, after, maps[name], backwards[name])
    flat = {name: m.reshape(m.shape[0], prod(m.shape[1:-1]), m.shape[-1]) for name, m in maps.items()}
    kernel = Kernel(config.variant, config.scale_factor)
    y, operation_backward = operation(pieces, kernel, flat["theta"], flat["phi"], flat["g"], params.get("w_f.weight"))
    w_z_y, project_backward = project(pieces, config, y, params, training=training)
    residual, unfold_backward = pieces.unfold(w_z_y, x.shape, config.domain, config.frame_group)

    def backward(dz: np.ndarray) -> Paths:
        dy, found = project_backward(*unfold_backward(dz))
        gradients = operation_backward(dy)
        paths = {"residual": dz}
        for name in ("theta", "phi", "g"):
            dsource, more = backwards[name](gradients[name].reshape(maps[name].shape))
            dfeatures = dsource if name == "theta" else keys_backward(dsource)[0]
            (paths[name],) = fold_backward(dfeatures)
            found |= more
        if gradients.get("w_f") is not None:
            found["w_f.weight"] = gradients["w_f"]
        return {"x": paths} | {key: {"": value} for key, value in found.items()}

    return residual + x, backward


def embed(piece: Piece, name: str, x: np.ndarray, params: dict[str, np.ndarray]) -> tuple[np.ndarray, Backward]:
    """W x + b, or x where there is no W.  backward(dy) -> dx, dict of gradients."""
    keys = [key for key in (f"{name}.weight", f"{name}.bias") if key in params]
    if not keys:
        return x, lambda dy: (dy, {})
    y, piece_backward = piece(x, *(params[key] for key in keys))

    def backward(dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        dx, *dparams = piece_backward(dy)
        return dx, dict(zip(keys, dparams, strict=True))

    return y, backward


def pooled(
    pool: Piece, kernel: tuple[int, ...] | None, x: np.ndarray, x_backward: Backward
) -> tuple[np.ndarray, Backward]:
    """A map, subsampled."""
    y, pool_backward = pool(x, kernel)
    return y, lambda dy: x_backward(*pool_backward(dy))


def project(
    pieces: Pieces, config: BlockConfig, y: np.ndarray, params: dict[str, np.ndarray], *, training: bool
) -> tuple[np.ndarray, Backward]:
    """W_z y and the norm.  backward(dw_z_y) -> dy, dict of gradients."""
    raw, w_z_backward = embed(pieces.w_z, "w_z", y, params)
    if config.norm is None:
        return raw, w_z_backward
    x_hat, standardise_backward = identity(raw)
    if config.norm == "batch" and training:
        x_hat, standardise_backward = pieces.standardise(raw, float(config.eps))
    elif config.norm == "batch":
        statistics = params["bn.running_mean"], params["bn.running_var"]
        x_hat, standardise_backward = pieces.standardise_with(raw, *statistics, float(config.eps))
    normed, affine_backward = pieces.affine(x_hat, params["bn.weight"], params["bn.bias"])

    def backward(dnormed: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        dx_hat, dgamma, dbeta = affine_backward(dnormed)
        dy, found = w_z_backward(*standardise_backward(dx_hat))
        return dy, found | {"bn.weight": dgamma, "bn.bias": dbeta}

    return normed, backward
