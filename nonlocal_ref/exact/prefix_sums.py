"""Sums over everything that comes before, to rounding, on every backend.

A plain running sum adds a million numbers one after the other, and its error grows with their number.  Here a block of
64 neighbours is summed by one product with a triangular matrix, the block totals are summed the same way again, and so
on: a few hundred additions lie on any path instead of a million, no float64 is needed, and a GPU does it the same way
every time (its cumulative sum does not).
"""

from nonlocal_ref.backend import Array, array_namespace, device
from nonlocal_ref.ops import ROWS_A_SUM


def prefix_sums(x: Array) -> Array:
    """G(k) = Σ_{r<k} x_r for k = 0 ... M.  x (B, M, E) -> (B, M + 1, E)."""
    xp = array_namespace(x)
    zero = xp.zeros((x.shape[0], 1, x.shape[2]), dtype=x.dtype, device=device(x))
    return xp.concat([zero, running_sums(x)], axis=1)


def running_sums(x: Array) -> Array:
    """Σ_{r<=k} x_r for k = 0 ... M - 1, in blocks, recursively.  x (B, M, E) -> the same."""
    xp = array_namespace(x)
    batch, count, width = x.shape
    blocks = -(-count // ROWS_A_SUM)
    padding = xp.zeros((batch, blocks * ROWS_A_SUM - count, width), dtype=x.dtype, device=device(x))
    lower = xp.tril(xp.ones((ROWS_A_SUM, ROWS_A_SUM), dtype=x.dtype, device=device(x)))
    inside = lower @ xp.reshape(xp.concat([x, padding], axis=1), (batch, blocks, ROWS_A_SUM, width))
    if blocks > 1:
        before = prefix_sums(inside[:, :-1, -1, :])  # what all earlier blocks hold
        inside = inside + before[:, :, None, :]
    return xp.reshape(inside, (batch, blocks * ROWS_A_SUM, width))[:, :count, :]
