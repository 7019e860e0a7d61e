"""What each form of eq. (1) would take at given sizes: multiply-adds, time, memory.  Formulas, no measurement.

Letters as everywhere: B batch, N queries, M keys, D embedding channels, E channels of g.  All counts are of one forward
and one backward pass together.
"""

import os
from math import isqrt
from typing import NamedTuple

from nonlocal_ref.exact.tiles import Tiling
from nonlocal_ref.ops import LARGE, ROWS_A_SUM

# Measured on two cores, NumPy's OpenBLAS: while a core adds two numbers from memory or takes the exp of one, the BLAS
# does so many multiply-adds.  The choice is flat where the forms cross, so the order of magnitude will do.
WALK = 40
SORT = 3000  # the three sorts and the gathers, a position
TILE_SIDE = 512  # queries and keys a tile: its matrices stay in a core's cache, its products are not thin
GPU_TILE_SIDE = 8192  # few, large launches
THREAD_PAIRS = 2**19  # with fewer pairs starting threads costs more than they gain


class Sizes(NamedTuple):
    """What the costs depend on."""

    variant: str
    B: int
    N: int
    M: int
    D: int
    E: int
    item: int  # bytes a number
    mask: bool
    on_numpy: bool

    @property
    def pairs(self) -> int:
        """How many (i, j) there are."""
        return self.B * self.N * self.M

    def __str__(self) -> str:
        """The letters and what they are."""
        return f"B={self.B}, N={self.N}, M={self.M}, D={self.D}, E={self.E}{' and a mask' if self.mask else ''}"


class Cost(NamedTuple):
    """What one form takes; time in multiply-adds."""

    form: str
    time: float
    multiply_adds: int
    peak_bytes: int
    tiling: Tiling | None = None


def dense_cost(s: Sizes) -> Cost:
    """Six products of N x M with D or E (eq. (5): three), and every matrix walked over as a whole, several times."""
    scores = s.B * (s.N + s.M) * s.D if s.variant == "concatenation" else s.pairs * s.D
    multiply_adds = 3 * (scores + s.pairs * s.E)
    walks, matrices = {"dot_product": (2, 3), "concatenation": (9, 5)}.get(s.variant, (9, 4))
    mask_bytes = (2 * s.item + 2) * s.pairs if s.mask else 0
    peak_bytes = matrices * s.item * s.pairs + mask_bytes
    return Cost("dense", multiply_adds + WALK * walks * s.pairs, multiply_adds, peak_bytes)


def tiled_cost(s: Sizes, workers: int | None, memory_limit: int | None) -> Cost:
    """Seven products, some walks and two exps over tiles that are still in the cache, side by side in the workers."""
    wanted = workers or (available_workers() if s.pairs >= THREAD_PAIRS else 1)
    tiling = _tiling(s, wanted if s.on_numpy else 1, memory_limit)
    multiply_adds = s.pairs * (4 * s.D + 3 * s.E)
    time = multiply_adds + WALK * 4 * s.pairs / tiling.workers
    return Cost("tiled", time, multiply_adds, _tiled_bytes(s, tiling), tiling)


def reassociated_cost(s: Sizes) -> Cost:
    """Six products with a D x E matrix; a small one is a sum over blocks of positions."""
    multiply_adds = 3 * s.B * (s.N + s.M) * s.D * s.E
    matrices = 4 if s.D * s.E >= LARGE else 4 + max(s.N, s.M) // ROWS_A_SUM
    return Cost("reassociated", multiply_adds, multiply_adds, matrices * s.B * s.D * s.E * s.item)


def sorted_cost(s: Sizes) -> Cost:
    """Three sorts of N + M numbers, prefix sums of N and of M rows of 2 E numbers, about twenty walks over those."""
    positions = s.B * (s.N + s.M)
    multiply_adds = positions * (3 * s.D + 2 * ROWS_A_SUM * s.E)
    time = multiply_adds + positions * (WALK * 20 * s.E + SORT)
    rows = s.B * max(9 * s.N, 5 * s.M)  # of E numbers: backward sums over the queries, forward over the keys
    return Cost("sorted", time, multiply_adds, rows * s.E * s.item + 60 * positions)


def available_workers() -> int:
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tiling(s: Sizes, workers: int, memory_limit: int | None) -> Tiling:
    """Tiles of the wanted side, or as large and as many at a time as the limit leaves room for."""
    side = TILE_SIDE if s.on_numpy else GPU_TILE_SIDE
    pairs = side * side * 4 // s.item  # as many bytes in float64
    if memory_limit is not None:
        while workers > 1 and _tiled_bytes(s, Tiling(1, 1, 1, workers)) > memory_limit:
            workers -= 1
        least = Tiling(1, 1, 1, workers)
        room = memory_limit - _tiled_bytes(s, least)
        a_pair = _tiled_bytes(s, Tiling(1, 2, 1, workers)) - _tiled_bytes(s, least)
        pairs = max(min(pairs, 1 + room // a_pair), 1)
    share = -(-s.N // workers) if s.B == 1 else s.N  # one batch element: as many tiles as workers at least
    rows = max(min(side, max(isqrt(2 * pairs), pairs // s.M), share), 1)  # a tile of few pairs is no thin strip
    keys = max(min(pairs // rows, s.M), 1)
    elements = 1
    if rows >= s.N and keys >= s.M and memory_limit is None:
        elements = max(min(pairs // (rows * keys), -(-s.B // workers)), 1)
    return Tiling(elements, rows, keys, workers)


def _tiled_bytes(s: Sizes, tiling: Tiling) -> int:
    """S, P, dS of the tiles at work; lse, δ, a scaled θ, y a second time, dθ as it is joined; dφ and dg a worker."""
    numbers = 3 * s.item + (s.item + 1 if s.mask else 0)
    at_work = tiling.workers * tiling.elements * tiling.rows * tiling.keys * numbers
    rows = s.B * s.N * (2 * s.D + s.E + 3)
    sums = (1 + tiling.workers * min(s.B, tiling.elements + 1)) * s.M * (s.D + s.E)
    return at_work + (rows + sums) * s.item
