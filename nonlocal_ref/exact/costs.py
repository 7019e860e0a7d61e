"""What each form of eq. (1) would take at given sizes: multiply-adds, time, memory.  Formulas, no measurement.

Letters as everywhere: B batch, N queries, M keys, D embedding channels, E channels of g.  All counts are of one forward
and one backward pass together.
"""

import os
from typing import NamedTuple

from nonlocal_ref.exact.prefix_sums import BLOCK
from nonlocal_ref.exact.tiles import Tiling

# Measured on two cores, NumPy's OpenBLAS: while a core adds two numbers from memory or takes the exp of one, the BLAS
# does so many multiply-adds.  The choice is flat where the forms cross, so the order of magnitude will do.
WALK = 40
SORT = 3000  # the three sorts and the gathers, a position
TILE_ROWS = 128  # queries a tile, and at least twice D and E: fewer make thin products, more leave the cache
TILE_BYTES = {"numpy": 2**23, "other": 2**27}  # and no larger an S than this; a GPU wants few, large launches
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
    """Seven products, and two walks and two exps of a tile that is still in the cache, side by side in the workers."""
    wanted = workers or (available_workers() if s.pairs >= THREAD_PAIRS else 1)
    tiling = _tiling(s, wanted if s.on_numpy else 1, memory_limit)
    multiply_adds = s.pairs * (4 * s.D + 3 * s.E)
    time = multiply_adds + WALK * 4 * s.pairs / tiling.workers
    return Cost("tiled", time, multiply_adds, _tiled_bytes(s, tiling), tiling)


def reassociated_cost(s: Sizes) -> Cost:
    """Six products with a D x E matrix."""
    multiply_adds = 3 * s.B * (s.N + s.M) * s.D * s.E
    return Cost("reassociated", multiply_adds, multiply_adds, 4 * s.B * s.D * s.E * s.item)


def sorted_cost(s: Sizes) -> Cost:
    """Three sorts of N + M numbers, prefix sums of N and of M rows of 2 E numbers, about twenty walks over those."""
    positions = s.B * (s.N + s.M)
    multiply_adds = positions * (3 * s.D + 2 * BLOCK * s.E)
    time = multiply_adds + positions * (WALK * 20 * s.E + SORT)
    return Cost("sorted", time, multiply_adds, positions * (10 * s.E * s.item + 60))


def available_workers() -> int:
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tiling(s: Sizes, workers: int, memory_limit: int | None) -> Tiling:
    """Tiles whose S has the wanted size, or as large and as many at a time as the limit leaves room for."""
    goal = TILE_BYTES["numpy" if s.on_numpy else "other"]
    if memory_limit is not None:
        while workers > 1 and _tiled_bytes(s, Tiling(1, 1, workers)) > memory_limit:
            workers -= 1
        one_row = Tiling(1, 1, workers)
        room = memory_limit - _tiled_bytes(s, one_row) + _tile_bytes(s, one_row)
        goal = min(goal, room * s.M * s.item // max(_tile_bytes(s, one_row), 1))
    row = s.M * s.item
    wanted = max(TILE_ROWS, 2 * s.D, 2 * s.E) if s.on_numpy else s.N
    rows = max(min(goal // row, wanted, s.N), 1)
    if s.B == 1:  # the queries are all there is to share: as many tiles as workers at least
        rows = max(min(rows, -(-s.N // workers)), 1)
    if rows < s.N or memory_limit is not None:
        return Tiling(1, rows, workers)
    return Tiling(max(min(goal // (row * max(s.N, 1)), -(-s.B // workers)), 1), rows, workers)


def _tile_bytes(s: Sizes, tiling: Tiling) -> int:
    """S, exp(S), dS of the tiles that are being computed, and what the mask makes of them."""
    numbers = 3 * s.item + (2 * s.item + 2 if s.mask else 0)
    return tiling.workers * tiling.elements * tiling.rows * s.M * numbers


def _tiled_bytes(s: Sizes, tiling: Tiling) -> int:
    """The tiles, the copies of θ, dy, φ, g with one column more, dφ and dg of a tile and of those before it."""
    copies = s.B * (s.N * (2 * s.D + s.E + 4) + s.M * (s.D + s.E + 2))
    partial = tiling.workers * tiling.elements * s.M * 2 * (s.D + s.E)
    return _tile_bytes(s, tiling) + (copies + partial) * s.item
