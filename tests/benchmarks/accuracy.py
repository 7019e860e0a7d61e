"""How exact: error ratios |err| / (eps * magnitude) against float64, computed tile by tile.

The float64 values are written here from the equations, a tile of queries at a time, so no N x M matrix of them exists.
Magnitudes are those of `tests.tolerances`, the same formula with absolute values; they add up over tiles as well.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from tests import tolerances
from tests.benchmarks.candidates import cores

EPS = float(np.finfo(np.float32).eps)
TILE_PAIRS = 2**18  # pairs a tile: some ten float64 arrays of 2 MiB


def error_ratios(case, outputs, exact, magnitude):
    """The largest error ratio of y and of every gradient, by name."""
    names = ["y", *(f"d{name}" for name in case.names)]
    return {
        name: float(f"{tolerances.error_ratio(got, exact[name], magnitude[name], EPS):.3g}")
        for name, got in zip(names, outputs, strict=True)
    }


def reference(case, x, tile_pairs=TILE_PAIRS):
    """Exact values and their magnitudes, both by name: y, dtheta, dphi, dg (and dw_f), float64."""
    x = {name: array.astype(np.float64) for name, array in x.items()}
    sizes = {name: np.abs(array) for name, array in x.items()}
    rows = max(tile_pairs // (case.B * case.M), 1)

    def of_tile(start):
        tile = slice(start, start + rows)
        weights, values = exact_tile(case, x, tile)
        keys = (sizes["phi"], sizes["g"], sizes.get("w_f"))
        magnitudes = tolerances.nonlocal_op(
            case.variant, sizes["theta"][:, tile], *keys, weights, dy=sizes["dy"][:, tile]
        )
        return values, {name: getattr(magnitudes, name) for name in values}

    exact, magnitude = Total(), Total()
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as pool:
        for values, magnitudes in pool.map(of_tile, range(0, case.N, rows)):
            exact.add(values)
            magnitude.add(magnitudes)
    return exact.values(), magnitude.values()


class Total:
    """Tiles put together: y and dtheta belong to queries and are joined, all else is a sum over queries."""

    def __init__(self):
        self.pieces, self.sums = {}, {}

    def add(self, tile):
        for name, value in tile.items():
            if name in {"y", "dtheta"}:
                self.pieces.setdefault(name, []).append(value)
            else:
                self.sums[name] = self.sums[name] + value if name in self.sums else value

    def values(self):
        return {name: np.concatenate(parts, axis=1) for name, parts in self.pieces.items()} | self.sums


def exact_tile(case, x, tile):
    """f / C(x) of a tile of queries, and what these queries give to y and to every gradient."""
    theta, phi, g, dy = x["theta"][:, tile], x["phi"], x["g"], x["dy"][:, tile]
    dweights = dy @ transposed(g)
    if case.kind == "softmax":
        logits = theta @ transposed(phi)
        e = np.exp(logits - logits.max(axis=2, keepdims=True))
        weights = e / e.sum(axis=2, keepdims=True)
        dlogits = weights * (dweights - np.sum(weights * dweights, axis=2, keepdims=True))
    elif case.kind == "dot_product":
        weights, dlogits = theta @ transposed(phi) / case.M, dweights / case.M
    else:
        return concatenation_tile(case, x, tile, dweights)
    gradients = {"dtheta": dlogits @ phi, "dphi": transposed(dlogits) @ theta, "dg": transposed(weights) @ dy}
    return weights, {"y": weights @ g, **gradients}


def concatenation_tile(case, x, tile, dweights):
    theta, phi, g, dy = x["theta"][:, tile], x["phi"], x["g"], x["dy"][:, tile]
    left, right = x["w_f"][: case.D], x["w_f"][case.D :]
    sums = (theta @ left)[:, :, None] + (phi @ right)[:, None, :]
    weights = np.maximum(sums, 0) / case.M
    df = np.where(sums > 0, dweights, 0) / case.M
    da, db = df.sum(axis=2), df.sum(axis=1)
    return weights, {
        "y": weights @ g,
        "dtheta": da[:, :, None] * left,
        "dphi": db[:, :, None] * right,
        "dg": transposed(weights) @ dy,
        "dw_f": np.concatenate([np.tensordot(da, theta, 2), np.tensordot(db, phi, 2)]),
    }


def transposed(x):
    return np.swapaxes(x, -1, -2)
