"""Eq. (5) without the N x M matrix: f_ij = ReLU(a_i + b_j) depends on two numbers, so sorting makes it a prefix sum.

Sort the keys by b, largest first.  For query i the ReLU is open exactly for the first k_i = #{j : b_j > -a_i} of them:

    y_i = Σ_{r < k_i} (a_i + b_r) g_r / M = (a_i G(k_i) + H(k_i)) / M,   G(k) = Σ_{r<k} g_r,   H(k) = Σ_{r<k} b_r g_r

and the other way round: sort the queries by a, largest first; for key j it is open for the first
q_j = #{i : a_i > -b_j} of them.  With dY' = dY / M:

    da_i = dY'_i · G(k_i)
    R(q) = Σ_{r<q} dY'_r,   S(q) = Σ_{r<q} a_r dY'_r,   dg_j = S(q_j) + b_j R(q_j),   db_j = g_j · R(q_j)

O((N + M) (log(N + M) + E)) instead of O(N M E).  The same kernel is known as sliced ReLU attention (arXiv 2512.11411).
"""

from typing import NamedTuple

from nonlocal_ref.backend import Array, array_namespace, device
from nonlocal_ref.exact.prefix_sums import prefix_sums
from nonlocal_ref.ops import Backward, Tap, constant, no_tap, relu
from nonlocal_ref.pairwise.concatenation import concatenation_scores


def sorted_form(theta: Array, phi: Array, g: Array, w_f: Array, *, tap: Tap = no_tap) -> tuple[Array, Backward]:
    """Eq. (1) with (5), by sorting.

    theta (B, N, D), phi (B, M, D), g (B, M, E), w_f (2D,) -> y (B, N, E).
    Keeps: theta, phi, g, w_f; a, b, the order of both; G(k_i) (B, N, E).
    """
    xp = array_namespace(theta, phi, g, w_f)
    keys, width = g.shape[1:]
    (a, b), scores_backward = concatenation_scores(theta, phi, w_f)
    order = sort_pairs(a, b)
    a_finite, b_finite = _finite(a)[:, :, None], _finite(b)[:, :, None]

    g_and_h = prefix_sums(take_rows(xp.concat([g, b_finite * g], axis=2), order.keys))
    reached = take_rows(g_and_h, order.open_keys)  # G(k_i), H(k_i)
    g_reached, h_reached = reached[:, :, :width], reached[:, :, width:]
    spill, spill_back = _spill(a, b), _spill(b, a)
    y = (a_finite * g_reached + h_reached) / keys + spill + _spill_of_column(g)
    tap("y", y)

    def backward(dy: Array) -> tuple[Array, Array, Array, Array]:
        dy_mean = dy / keys
        da = xp.sum(dy_mean * g_reached + spill, axis=2)
        r_and_s = prefix_sums(take_rows(xp.concat([dy_mean, a_finite * dy_mean], axis=2), order.queries))
        reached_by = take_rows(r_and_s, order.open_queries)  # R(q_j), S(q_j)
        r_reached, s_reached = reached_by[:, :, :width], reached_by[:, :, width:]
        dg = s_reached + b_finite * r_reached + spill_back + _spill_of_column(dy)
        db = xp.sum(g * r_reached + spill_back, axis=2)
        dtheta, dphi, dw_f = scores_backward(da, db)
        return dtheta, dphi, dg, dw_f

    return y, backward


class PairOrder(NamedTuple):
    """Where the ReLU is open, by position in two sorted rows."""

    keys: Array  # (B, M): the keys, largest b first
    open_keys: Array  # (B, N): k_i, how many of those are open for query i
    queries: Array  # (B, N): the queries, largest a first
    open_queries: Array  # (B, M): q_j, how many of those are open for key j


def sort_pairs(a: Array, b: Array) -> PairOrder:
    """All k_i and q_j from one stable sort of [a, -b], smallest first.

    a (B, N), b (B, M).  b_j > -a_i says that -b_j stands before a_i in that sort; on a tie a_i, which came first, stays
    first, so a pair with a_i + b_j = 0 is closed: ReLU'(0) = 0.
    """
    xp = array_namespace(a, b)
    queries = a.shape[1]
    merged = xp.argsort(xp.concat([a, -b], axis=1), axis=1, stable=True)
    place = xp.argsort(merged, axis=1, stable=False)  # the inverse permutation: where each one went
    is_key = xp.astype(merged >= queries, xp.int8)
    keys_up_to = xp.cumulative_sum(is_key, axis=1, dtype=merged.dtype)
    by_kind = xp.argsort(is_key, axis=1, stable=True)  # places of the queries in order, then those of the keys
    of_queries, of_keys = place[:, :queries], place[:, queries:]
    open_keys = xp.take_along_axis(keys_up_to, of_queries, axis=1)
    queries_before = of_keys + 1 - xp.take_along_axis(keys_up_to, of_keys, axis=1)
    ascending_queries = xp.take_along_axis(merged, by_kind[:, :queries], axis=1)
    return PairOrder(
        keys=xp.take_along_axis(merged, by_kind[:, queries:], axis=1) - queries,
        open_keys=open_keys,
        queries=xp.flip(ascending_queries, axis=1),
        open_queries=queries - queries_before,
    )


def take_rows(x: Array, index: Array) -> Array:
    """x[b, index[b, k], :] for every b and k.  x (B, R, E), index (B, K) -> (B, K, E)."""
    xp = array_namespace(x, index)
    batch, rows, width = x.shape
    first = xp.arange(batch, dtype=index.dtype, device=device(index))[:, None] * rows
    flat = xp.take(xp.reshape(x, (batch * rows, width)), xp.reshape(index + first, (-1,)), axis=0)
    return xp.reshape(flat, (batch, index.shape[1], width))


def _finite(x: Array) -> Array:
    """x, with 0 for NaN and inf, which would spread to their neighbours in the sums; `_spill` puts them back."""
    return array_namespace(x).where(array_namespace(x).isfinite(x), x, constant(0, x))


def _spill(a: Array, b: Array) -> Array:
    """NaN for a row of f that holds NaN or inf, else 0: zero times the largest f of the row.

    a (B, N), b (B, M) -> (B, N, 1).
    """
    xp = array_namespace(a, b)
    if b.shape[1] == 0:  # no queries: nothing to spill into the gradients of the keys
        return xp.zeros((*a.shape, 1), dtype=a.dtype, device=device(a))
    largest, _ = relu(a + xp.max(b, axis=1, keepdims=True))
    return (0 * largest)[:, :, None]


def _spill_of_column(g: Array) -> Array:
    """NaN for a column that holds NaN or inf, else 0: f_ij = 0 does not hide it, 0 times NaN is NaN.

    g (B, M, E) -> (B, 1, E).  The largest |g|, not the sum: sums of finite numbers can overflow.
    """
    xp = array_namespace(g)
    if g.shape[1] == 0:  # as in _spill
        return xp.zeros((g.shape[0], 1, g.shape[2]), dtype=g.dtype, device=device(g))
    return 0 * xp.max(xp.abs(g), axis=1, keepdims=True)
