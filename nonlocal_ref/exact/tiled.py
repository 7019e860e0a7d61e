"""Softmax, eqs. (2) and (3), without the N x M matrix: walk over tiles of queries, keep one number a row.

    forward, a tile:   S = θ φᵀ,  m = max_j S,  P' = exp(S - m),  [Y', l] = P' [g, 1],  y = Y' / l,  lse = m + log l
    backward, a tile:  P = exp(S - lse),  dS = P * (dY gᵀ - D) with D_i = dy_i · y_i,
                       dθ = dS φ,  dφ += dSᵀ θ,  dg += Pᵀ dY

P is computed again in the backward pass instead of being kept: seven matrix products and two exps in all, against six
and one of the dense form.  D_i = Σ_j dP_ij P_ij is the dot product of the softmax's backward: Σ_j P_ij (dy_i · g_j) =
dy_i · y_i.  One column more in each product does what would be one more walk over the tile: the row sum l is P' times
ones, and - lse_i and - D_i enter S and dP as the product with a key column of ones.
"""

from typing import Any

from nonlocal_ref.backend import Array, array_namespace, device
from nonlocal_ref.exact.tiles import Arrays, Tile, Tiling, walk
from nonlocal_ref.ops import Backward, Tap, constant, no_tap


def tiled(
    theta: Array,
    phi: Array,
    g: Array,
    *,
    tiling: Tiling,
    scale: float | None = None,
    mask: Array | None = None,
    tap: Tap = no_tap,
) -> tuple[Array, Backward]:
    """Eq. (1) with (2) or (3), tile by tile.

    theta (B, N, D), phi (B, M, D), g (B, M, E), mask broadcastable to (B, N, M) -> y (B, N, E).
    Keeps: theta, phi, g, mask, y (B, N, E), lse (B, N, 1).
    """
    xp = array_namespace(theta, phi, g)
    queries = theta if scale is None else theta * scale
    values = _with_column(g, 1)

    def forward_tile(tile: Tile) -> tuple[Arrays, Arrays]:
        logits = tile.of(queries) @ xp.matrix_transpose(tile.keys_of(phi))
        allowed, any_allowed = _allow(logits, mask, tile)
        row_max = xp.max(allowed, axis=-1, keepdims=True)
        shift = row_max if mask is None else xp.where(any_allowed, row_max, constant(0, row_max))
        sums = xp.exp(allowed - shift) @ tile.keys_of(values)
        row_sum = sums[:, :, -1:]
        total = row_sum if mask is None else xp.where(any_allowed, row_sum, constant(1, row_sum))
        return (sums[:, :, :-1] / total, shift + xp.log(total)), ()

    (y, lse), _ = walk(forward_tile, tiling, *theta.shape[:2])
    tap("y", y)

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        d = xp.sum(dy * y, axis=-1, keepdims=True)
        queries_lse = xp.concat([queries, -lse], axis=-1)
        dy_d = xp.concat([dy, -d], axis=-1)
        keys = _with_column(phi, 1)

        def backward_tile(tile: Tile) -> tuple[Arrays, Arrays]:
            logits = tile.of(queries_lse) @ xp.matrix_transpose(tile.keys_of(keys))
            p = xp.exp(_allow(logits, mask, tile)[0])
            ds = tile.of(dy_d) @ xp.matrix_transpose(tile.keys_of(values))
            ds *= p
            dtheta = ds @ tile.keys_of(phi)
            dphi = xp.matrix_transpose(ds) @ tile.of(queries)
            dg = xp.matrix_transpose(p) @ tile.of(dy)
            return (dtheta if scale is None else dtheta * scale,), (dphi, dg)

        (dtheta,), (dphi, dg) = walk(backward_tile, tiling, *theta.shape[:2])
        return dtheta, dphi, dg

    return y, backward


def _with_column(x: Array, value: float) -> Array:
    """One more column that holds ``value``.  x (B, M, E) -> (B, M, E + 1)."""
    xp = array_namespace(x)
    column = xp.full((*x.shape[:2], 1), value, dtype=x.dtype, device=device(x))
    return xp.concat([x, column], axis=-1)


def _allow(logits: Array, mask: Array | None, tile: Tile) -> tuple[Array, Any]:
    """The logits with -inf where the mask forbids, and which rows have a candidate (None: all)."""
    if mask is None:
        return logits, None
    xp = array_namespace(logits)
    pairs = xp.broadcast_to(tile.of_mask(mask), logits.shape)
    return xp.where(pairs, logits, constant(-xp.inf, logits)), xp.any(pairs, axis=-1, keepdims=True)
