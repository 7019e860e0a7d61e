"""Softmax, eqs. (2) and (3), without the N x M matrix: walk over tiles of pairs, keep one number a row.

A tile is some queries i against some keys j.  Forward, the keys go by tile after tile; m is the largest logit so far,
and what was summed under an older m is scaled down to the new one:

    S = θ φᵀ,  m' = max(m, max_j S),  P = exp(S - m'),  l' = l exp(m - m') + Σ_j P,  y' = y exp(m - m') + P g

At the end y / l is the output, and lse = m + log l is all that is kept of the row.  Backward, a tile at a time:

    P = exp(S - lse),  dS = P * (dY gᵀ - δ),  dθ += dS φ,  dφ += dSᵀ θ,  dg += Pᵀ dY,  with δ_i = dy_i · y_i

P is computed again instead of being kept: seven matrix products and two exps in all, against six and one of the dense
form.  δ_i is the dot product of the softmax's backward: Σ_j P_ij dP_ij = Σ_j P_ij (dy_i · g_j) = dy_i · y_i.
"""

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
    Keeps: theta, phi, g, mask, a copy of y (B, N, E), lse (B, N, 1).
    """
    xp = array_namespace(theta, phi, g)
    queries = theta if scale is None else theta * scale
    key_tiles = tiling.key_tiles(phi.shape[1])
    zero, lowest = constant(0, theta), constant(-xp.inf, theta)

    def logits(tile: Tile, rows: Array, keys: slice) -> Array:
        s = rows @ xp.matrix_transpose(tile.keys_of(phi, keys))
        return s if mask is None else xp.where(tile.of_mask(mask, keys), s, lowest)

    def finite_or_zero(top: Array) -> Array:
        """The shift: the largest logit so far, or 0 where all were -inf, since -inf - (-inf) is NaN."""
        return xp.where(top == lowest, zero, top)

    def forward_tile(tile: Tile) -> tuple[Arrays, Arrays]:
        rows = tile.of(queries)
        top = xp.full((*rows.shape[:2], 1), -xp.inf, dtype=theta.dtype, device=device(theta))
        total = xp.zeros_like(top)
        sums = xp.zeros((*rows.shape[:2], g.shape[2]), dtype=theta.dtype, device=device(theta))
        for keys in key_tiles:
            s = logits(tile, rows, keys)
            new_top = xp.maximum(top, xp.max(s, axis=-1, keepdims=True))
            shift = finite_or_zero(new_top)
            p = xp.exp(s - shift)
            fade = xp.exp(top - shift)  # 0 for the first tile
            total = total * fade + xp.sum(p, axis=-1, keepdims=True)
            sums = sums * fade + p @ tile.keys_of(g, keys)
            top = new_top
        if mask is not None:  # nothing allowed: total 1 and lse 0, so that nothing is 0 / 0
            total = xp.where(_any_allowed(tile, mask, total), total, constant(1, total))
        return (sums / total, finite_or_zero(top) + xp.log(total)), ()

    (y, lse), _ = walk(forward_tile, tiling, *theta.shape[:2])
    kept_y = 1 * y  # a copy: the caller may change y in place, as with y += x
    tap("y", y)

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        delta = xp.sum(dy * kept_y, axis=-1, keepdims=True)

        def backward_tile(tile: Tile) -> tuple[Arrays, Arrays]:
            rows, lse_rows, dy_rows, delta_rows = (tile.of(x) for x in (queries, lse, dy, delta))
            dtheta, dphi, dg = xp.zeros_like(rows), [], []
            for keys in key_tiles:
                s = logits(tile, rows, keys)
                s -= lse_rows  # this tile's own array, as ds below
                p = xp.exp(s)
                ds = dy_rows @ xp.matrix_transpose(tile.keys_of(g, keys))
                ds -= delta_rows
                ds *= p
                dtheta += ds @ tile.keys_of(phi, keys)
                dphi.append(transposed_product(ds, rows))
                dg.append(transposed_product(p, dy_rows))
            return (dtheta if scale is None else dtheta * scale,), (*dphi, *dg)

        (dtheta,), by_key_tile = walk(backward_tile, tiling, *theta.shape[:2])
        count = len(key_tiles)
        return dtheta, xp.concat(by_key_tile[:count], axis=1), xp.concat(by_key_tile[count:], axis=1)

    return y, backward


def transposed_product(pairs: Array, rows: Array) -> Array:
    """pairsᵀ rows, as (rowsᵀ pairs)ᵀ: a GPU library may copy what is transposed, and of the two rows is the small one.

    pairs (b, n, m), rows (b, n, D) -> (b, m, D).
    """
    xp = array_namespace(pairs, rows)
    return xp.matrix_transpose(xp.matrix_transpose(rows) @ pairs)


def _any_allowed(tile: Tile, mask: Array, like: Array) -> Array:
    """Which queries of the tile have a candidate.  like (b, n, 1) -> (b, n, 1)."""
    xp = array_namespace(mask)
    return xp.broadcast_to(xp.any(tile.of_mask(mask, slice(None)), axis=-1, keepdims=True), like.shape)
