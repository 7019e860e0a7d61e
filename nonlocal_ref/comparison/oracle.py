"""What every backend is held against: eq. (1) on the host in float64, written once more, a tile of queries at a time.

Beside each value stands its magnitude, the unit of the error ratio: the same formula with every product replaced by its
absolute value before anything is added, so that a sum which cancels is not blamed for it.  For softmax that is
P (|dP| + P · |dP|), and all of it times 1 + the largest logit's magnitude.  No N x M matrix exists, so sizes that no
dense form could hold have an oracle as well.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nonlocal_ref.comparison.cases import Case, Size
from nonlocal_ref.exact.costs import available_workers
from nonlocal_ref.exact.threads import share_out
from nonlocal_ref.machine.software import importable

TILE_PAIRS = 2**18  # pairs a tile: about fifteen float64 arrays of 2 MiB, in each thread
TILE_ARRAYS = 15


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
    return 8 * ((6 + 2 * workers) * positions + workers * TILE_ARRAYS * max(TILE_PAIRS, size.B * size.M))


def transposed(x: np.ndarray) -> np.ndarray:
    """The last two axes exchanged."""
    return np.swapaxes(x, -1, -2)


def exact_operation(case: Case, x: Arrays) -> Exacts:
    """y, dtheta, dphi, dg (and dw_f)."""
    rows = max(TILE_PAIRS // (case.size.B * case.size.M), 1)
    tiles = [slice(start, start + rows) for start in range(0, case.size.N, rows)]
    workers = available_workers() if importable("threadpoolctl") else 1

    def run(some: Sequence[slice]) -> tuple["Total", "Total"]:
        values, magnitudes = Total(), Total()
        for tile in some:
            for total, found in zip((values, magnitudes), of_tile(case, x, tile), strict=True):
                total.add(found)
        return values, magnitudes

    values, magnitudes = Total(), Total()
    for some_values, some_magnitudes in share_out(run, tiles, workers):
        values.add(some_values.joined())
        magnitudes.add(some_magnitudes.joined())
    sizes = magnitudes.joined()
    return {name: Exact(value, sizes[name]) for name, value in values.joined().items()}


class Total:
    """Tiles put together: y and dtheta belong to queries and are joined, all else is a sum over queries."""

    def __init__(self) -> None:
        self.pieces: dict[str, list[np.ndarray]] = {}
        self.sums: Arrays = {}

    def add(self, tile: Arrays) -> None:
        """One more tile, in order."""
        for name, value in tile.items():
            if name in {"y", "dtheta"}:
                self.pieces.setdefault(name, []).append(value)
            else:
                self.sums[name] = self.sums[name] + value if name in self.sums else value

    def joined(self) -> Arrays:
        """All tiles so far."""
        return {name: np.concatenate(parts, axis=1) for name, parts in self.pieces.items()} | self.sums


def of_tile(case: Case, x: Arrays, tile: slice) -> tuple[Arrays, Arrays]:
    """What a tile of queries gives to y and to every gradient, and the magnitudes of that."""
    theta, dy = x["theta"][:, tile], x["dy"][:, tile]
    weights, logits = exact_weights(case, x, theta)
    dweights = dy @ transposed(x["g"])
    if case.kind == "softmax":
        dlogits = weights * (dweights - np.sum(weights * dweights, axis=2, keepdims=True))
    else:
        dlogits = (
            np.where(logits > 0, dweights, 0) / case.size.M if case.kind == "concatenation" else dweights / case.size.M
        )
    values = gradients(case, x, theta, dy, weights, dlogits)

    size = {name: np.abs(array) for name, array in x.items()}
    m_theta, m_dy = size["theta"][:, tile], size["dy"][:, tile]
    m_weights, growth = weight_sizes(case, size, m_theta, weights)
    m_dweights = m_dy @ transposed(size["g"])
    if case.kind == "softmax":
        m_dlogits = growth * weights * (m_dweights + np.sum(weights * m_dweights, axis=2, keepdims=True))
    else:
        m_dlogits = m_dweights * (weights > 0 if case.kind == "concatenation" else 1) / case.size.M
    return values, gradients(case, size, m_theta, m_dy, m_weights, m_dlogits)


def gradients(
    case: Case, x: Arrays, theta: np.ndarray, dy: np.ndarray, weights: np.ndarray, dlogits: np.ndarray
) -> Arrays:
    """y and the products behind dlogits: the same for values and, on absolute values, for magnitudes."""
    found = {"y": weights @ x["g"], "dg": transposed(weights) @ dy}
    if case.kind != "concatenation":
        return found | {"dtheta": dlogits @ x["phi"], "dphi": transposed(dlogits) @ theta}
    da, db = dlogits.sum(axis=2), dlogits.sum(axis=1)
    left, right = halves(x["w_f"])
    dw_f = np.concatenate([np.tensordot(da, theta, 2), np.tensordot(db, x["phi"], 2)])
    return found | {"dtheta": da[:, :, None] * left, "dphi": db[:, :, None] * right, "dw_f": dw_f}


def pair_values(case: Case, x: Arrays, theta: np.ndarray) -> Any:
    """θ_i · φ_j, or a_i + b_j of eq. (5)."""
    if case.kind != "concatenation":
        return theta @ transposed(x["phi"])
    left, right = halves(x["w_f"])
    return (theta @ left)[:, :, None] + (x["phi"] @ right)[:, None, :]


def exact_weights(case: Case, x: Arrays, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f / C(x) of eqs. (2) to (5) for some queries, and what f is applied to."""
    logits = pair_values(case, x, theta)
    if case.kind != "softmax":
        return (np.maximum(logits, 0) if case.kind == "concatenation" else logits) / case.size.M, logits
    e = np.exp(logits - logits.max(axis=2, keepdims=True))
    return e / e.sum(axis=2, keepdims=True), logits


def weight_sizes(case: Case, size: Arrays, m_theta: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes of the weights; and 1 + the largest logit's: an error of eps in a logit is a relative one in exp."""
    m_logits = pair_values(case, size, m_theta)
    growth = 1 + m_logits.max(axis=2, keepdims=True)
    if case.kind == "softmax":
        return growth * weights, growth
    return m_logits * (weights > 0 if case.kind == "concatenation" else 1) / case.size.M, growth


def halves(w_f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The half for theta and the half for phi."""
    return w_f[: len(w_f) // 2], w_f[len(w_f) // 2 :]


def exact_stages(case: Case, x: Arrays) -> Exacts:
    """What the dense form shows its tap for the first queries: logits, max, exp, sum (softmax variants), weights."""
    theta = x["theta"][:, : case.size.stage_queries]
    weights, logits = exact_weights(case, x, theta)
    size = {name: np.abs(array) for name, array in x.items()}
    m_weights, growth = weight_sizes(case, size, np.abs(theta), weights)
    if case.kind != "softmax":
        return {"weights": Exact(weights, m_weights)}
    largest = logits.max(axis=2, keepdims=True)
    e = np.exp(logits - largest)
    return {
        "logits": Exact(logits, pair_values(case, size, np.abs(theta))),
        "max": Exact(largest, growth - 1),
        "exp": Exact(e, growth * e),
        "sum": Exact(e.sum(axis=2, keepdims=True), growth * e.sum(axis=2, keepdims=True)),
        "weights": Exact(weights, m_weights),
    }
