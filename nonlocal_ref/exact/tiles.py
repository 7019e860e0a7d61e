"""How the pairs (i, j) are cut into tiles, and how what the tiles give is put together again.

A tile is a slice of the batch and a slice of the queries; its keys go by slice after slice.  Where batch elements are
small, a tile holds several whole ones.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nonlocal_ref.backend import Array, array_namespace
from nonlocal_ref.exact.threads import share_out

Arrays = tuple[Array, ...]


class Tile(NamedTuple):
    """One tile: which batch elements, which of their queries."""

    batch: slice
    rows: slice

    def of(self, x: Array) -> Array:
        """The tile of an array (B, N, ...)."""
        return x[self.batch, self.rows, :]

    def keys_of(self, x: Array, keys: slice) -> Array:
        """Some keys of the tile, from an array (B, M, ...)."""
        return x[self.batch, keys, :]

    def of_mask(self, mask: Array, keys: slice) -> Array:
        """The tile and some of its keys, from a mask that broadcasts to (B, N, M)."""
        full = array_namespace(mask).reshape(mask, (1,) * (3 - mask.ndim) + tuple(mask.shape))
        wanted = zip((self.batch, self.rows, keys), full.shape, strict=True)
        return full[tuple(part if size > 1 else slice(None) for part, size in wanted)]


class Tiling(NamedTuple):
    """Tiles of ``rows`` queries (``elements`` whole batch elements where one is small) and ``keys`` keys; threads."""

    elements: int
    rows: int
    keys: int
    workers: int = 1

    def tiles(self, batch: int, queries: int) -> list[Tile]:
        """All tiles of (B, N), batch slice by batch slice; where there is nothing, one empty tile."""
        return [
            Tile(slice(b, min(b + self.elements, batch)), slice(i, min(i + self.rows, queries)))
            for b in range(0, max(batch, 1), self.elements)
            for i in range(0, max(queries, 1), self.rows)
        ]

    def key_tiles(self, keys: int) -> list[slice]:
        """The M keys in slices."""
        return [slice(j, min(j + self.keys, keys)) for j in range(0, keys, self.keys)]


@dataclass
class _Strip:
    """What neighbouring tiles of one batch slice gave: pieces to join along the queries, sums over them."""

    batch: slice
    pieces: list[Arrays]
    sums: list[Array]

    def extend(self, other: "_Strip") -> None:
        self.pieces += other.pieces
        for position, more in enumerate(other.sums):
            self.sums[position] += more  # an array that a tile made, nobody else's


def walk(
    function: Callable[[Tile], tuple[Arrays, Arrays]], tiling: Tiling, batch: int, queries: int
) -> tuple[Arrays, Arrays]:
    """Run ``function`` on every tile, join its first results along (B, N), add its second ones up over the queries.

    function(tile) -> (arrays (b, n, ...), arrays (b, M, ...)); walk -> (arrays (B, N, ...), arrays (B, M, ...)).
    Sums are added in tile order, so they do not depend on which thread was faster.
    """

    def run(tiles: Iterable[Tile]) -> list[_Strip]:
        strips: list[_Strip] = []
        for tile in tiles:
            pieces, sums = function(tile)
            _append(strips, _Strip(tile.batch, [pieces], list(sums)))
        return strips

    strips: list[_Strip] = []
    for part in share_out(run, tiling.tiles(batch, queries), tiling.workers):
        for strip in part:
            _append(strips, strip)
    joined = [tuple(_concat(arrays, axis=1) for arrays in zip(*strip.pieces, strict=True)) for strip in strips]
    return (
        tuple(_concat(arrays, axis=0) for arrays in zip(*joined, strict=True)),
        tuple(_concat(arrays, axis=0) for arrays in zip(*(strip.sums for strip in strips), strict=True)),
    )


def _append(strips: list[_Strip], strip: _Strip) -> None:
    """Add a strip to those before it, into the last one if both lie in the same batch slice."""
    if strips and strips[-1].batch == strip.batch:
        strips[-1].extend(strip)
    else:
        strips.append(strip)


def _concat(arrays: Sequence[Array], *, axis: int) -> Array:
    return arrays[0] if len(arrays) == 1 else array_namespace(arrays[0]).concat(list(arrays), axis=axis)
