"""What every backend is held against: eq. (1) on the host in float64, a tile of queries at a time.

Values and magnitudes, the unit of the error ratio, come together from numbers that keep account of their rounding
(testing/rounding.py), by the same code that judges every other implementation.  No N x M matrix exists, so sizes that
no dense form could hold have an oracle as well.
"""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from nonlocal_ref.comparison import interruption
from nonlocal_ref.comparison.cases import Case, Size
from nonlocal_ref.exact.costs import available_workers
from nonlocal_ref.exact.threads import share_out
from nonlocal_ref.machine.software import importable
from nonlocal_ref.testing.rounded_operation import operation
from nonlocal_ref.testing.rounding import Rounded, given

TILE_PAIRS = 2**18  # pairs a tile: about fifteen float64 arrays of 2 MiB, in each thread
TILE_ARRAYS = 15
TILE_QUERIES = 32  # at least, all of the batch: fewer cost less than the sums over queries that each tile is added to


class OverTimeError(Exception):
    """The time that was set is over, and the oracle is not done."""


class Exact(NamedTuple):
    """A value and its magnitude."""

    value: np.ndarray
    magnitude: np.ndarray


Arrays = dict[str, np.ndarray]
Exacts = dict[str, Exact]


def bytes_needed(size: Size) -> int:
    """Memory of the oracle and of its arguments, an estimate from above."""
    workers = available_workers()
    positions = size.B * (size.N + size.M) * (size.D + size.E)
    return 8 * ((6 + 2 * workers) * positions + workers * TILE_ARRAYS * size.B * tile_rows(size) * size.M)


def tile_rows(size: Size) -> int:
    """Queries a tile, of every batch element."""
    return min(max(TILE_PAIRS // (size.B * size.M), TILE_QUERIES // size.B, 1), size.N)


def exact_operation(case: Case, x: Arrays, stop: float | None = None) -> Exacts:
    """y, dtheta, dphi, dg (and dw_f), y and dtheta at `Size.checked_queries`.

    OverTimeError where `time.perf_counter` passes ``stop`` on the way.
    """
    rows = tile_rows(case.size)
    queries = case.size.checked_queries
    tiles = [queries[start : start + rows] for start in range(0, len(queries), rows)]
    workers = available_workers() if importable("threadpoolctl") else 1

    def run(some: Iterable[np.ndarray]) -> Total:
        total = Total()
        for tile in some:
            interruption.check()
            if stop is not None and time.perf_counter() > stop:
                raise OverTimeError
            total.add(of_tile(case, x, tile))
        return total

    total = Total()
    for part in share_out(run, tiles, workers):
        total.add(part.joined())
    return {name: Exact(found.value, found.magnitude) for name, found in total.joined().items()}


class Total:
    """Tiles put together: y and dtheta belong to queries and are joined, all else is a sum over queries."""

    def __init__(self) -> None:
        self.pieces: dict[str, list[Rounded]] = {}
        self.sums: dict[str, Rounded] = {}

    def add(self, tile: dict[str, Rounded]) -> None:
        """One more tile, in order."""
        for name, found in tile.items():
            if name in {"y", "dtheta"}:
                self.pieces.setdefault(name, []).append(found)
            else:
                self.sums[name] = self.sums[name] + found if name in self.sums else found

    def joined(self) -> dict[str, Rounded]:
        """All tiles so far."""
        return {name: joined(parts) for name, parts in self.pieces.items()} | self.sums


def joined(parts: list[Rounded]) -> Rounded:
    """One after the other along the queries."""
    values, magnitudes = ([getattr(part, name) for part in parts] for name in ("value", "magnitude"))
    return Rounded(np.concatenate(values, axis=1), np.concatenate(magnitudes, axis=1))


def of_tile(case: Case, x: Arrays, tile: np.ndarray) -> dict[str, Rounded]:
    """What a tile of queries gives to y and to every gradient."""
    arguments = [given(x[name][:, tile] if name == "theta" else x[name]) for name in case.names]
    y, backward = operation(case.variant, *arguments)
    gradients = backward(given(x["dy"][:, tile]))
    return {"y": y} | dict(zip((f"d{name}" for name in case.names), gradients, strict=True))


def exact_stages(case: Case, x: Arrays) -> Exacts:
    """What the dense form shows its tap for the first queries: logits, max, exp, sum (softmax variants), weights."""
    seen: dict[str, Any] = {}
    arguments = (given(x[name][:, : case.size.stage_queries] if name == "theta" else x[name]) for name in case.names)
    operation(case.variant, *arguments, tap=seen.__setitem__)
    return {name: Exact(stage.value, stage.magnitude) for name, stage in seen.items()}
