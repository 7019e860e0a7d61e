"""Which form computes eq. (1), decided from the sizes alone, before anything is allocated.

Every form gives the same numbers.  The dense one is cheapest where there are few pairs; where there are many, the exact
forms of this folder are: they never hold an N x M matrix.
"""

from dataclasses import dataclass
from typing import Any

from nonlocal_ref.arguments import FLOATS, check_choice, check_integer
from nonlocal_ref.backend import dtype_name
from nonlocal_ref.exact.costs import Cost, Sizes, dense_cost, reassociated_cost, sorted_cost, tiled_cost
from nonlocal_ref.exact.tiles import Tiling
from nonlocal_ref.pairwise import VARIANTS

FAST_FORMS = {
    "gaussian": "tiled",
    "embedded_gaussian": "tiled",
    "dot_product": "reassociated",
    "concatenation": "sorted",
}
TAKES_MASK = ("tiled",)
SMALL_PAIRS = 2**18  # so few softmax weights stay in the cache: nothing to gain from tiles, and dense has more to tap
DENSE_PAIRS = 2**20  # more of them are never held, even where that would be a little faster


@dataclass(frozen=True)
class Plan:
    """How one call of `nonlocal_op` is going to be computed, forward and backward; str(plan) is a paragraph.

    Attributes
    ----------
    variant, B, N, M, D, E, dtype
        What was asked for.
    method : str
        "dense", "tiled", "reassociated" or "sorted".
    tile_rows, tile_keys, tile_elements : int
        Queries and keys a tile, and whole batch elements a tile where one is small; 0 where the form has no tiles.
    workers : int
        Python threads; 1 means none beside those of the BLAS.
    operations : int
        Floating-point operations of the matrix products, forward and backward, a multiply-add counted as two.
    peak_bytes : int
        Memory needed on top of arguments and results, forward and backward.
    reason : str
        Why this form.
    """

    variant: str
    B: int
    N: int
    M: int
    D: int
    E: int
    dtype: str
    method: str
    tile_rows: int
    tile_keys: int
    tile_elements: int
    workers: int
    operations: int
    peak_bytes: int
    reason: str

    @property
    def tiling(self) -> Tiling:
        """The tiles as the tiled form takes them."""
        return Tiling(max(self.tile_elements, 1), max(self.tile_rows, 1), max(self.tile_keys, 1), self.workers)

    def __str__(self) -> str:
        """One paragraph."""
        tiles = ""
        if self.tile_rows:
            many = f"{self.tile_elements} batch elements of " if self.tile_elements > 1 else ""
            tiles = f" in tiles of {many}{self.tile_rows} queries and {self.tile_keys} keys"
            tiles += f", {self.workers} worker{'s' if self.workers > 1 else ''}"
        return (
            f"{self.variant}, B={self.B} N={self.N} M={self.M} D={self.D} E={self.E} {self.dtype}: "
            f"{self.method}{tiles}; "
            f"{self.operations / 1e9:.3g} GFLOP of matrix products and {self.peak_bytes / 2**20:.3g} MiB on top of "
            f"arguments and results, forward and backward. {self.reason}"
        )


def plan(
    variant: str,
    B: int,
    N: int,
    M: int,
    D: int,
    E: int,
    dtype: Any = "float32",
    *,
    mask: bool = False,
    workers: int | None = None,
    memory_limit: int | None = None,
    method: str = "auto",
    backend: str = "numpy",
) -> Plan:
    """How `nonlocal_op` computes a call of these sizes: which form, tiles, threads, operations, memory, and why.

    Parameters
    ----------
    variant : {"gaussian", "embedded_gaussian", "dot_product", "concatenation"}
        Which f.
    B, N, M, D, E : int
        Batch, query positions, key positions, embedding channels, channels of g.
    dtype : {"float32", "float64"}
        Of all arrays.
    mask : bool
        Whether there is a mask: the tiled form takes one, for (4) and (5) it leaves the dense form alone.
    workers : int, optional
        Threads for the tiled form; None lets the plan decide.  The other forms have no tiles to share, and on a GPU
        threads would only queue up for the device, and other libraries on the CPU have their own: there it is 1.
    memory_limit : int, optional
        Bytes on top of arguments and results that must not be exceeded.
    method : {"auto", "dense", "tiled", "reassociated", "sorted"}
        "auto" takes the cheapest form that keeps the limit; the others ask for one, as in `nonlocal_op`.
    backend : str
        Library of the arrays; on others than "numpy" tiles are larger and there are no threads.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError
        For a size that is not an integer.
    ValueError
        For an unknown variant, dtype or method, a method the variant does not have, a size or limit out of range, or a
        limit that no form can keep: the message says the smallest one that works.

    Notes
    -----
    O(1): nothing is measured or allocated.

    References
    ----------
    Rabe and Staats, arXiv 2112.05682, and Dao et al., arXiv 2205.14135: softmax in tiles.  arXiv 2512.11411: the kernel
    of the sorted form.

    Examples
    --------
    >>> import nonlocal_ref as nl
    >>> nl.plan("dot_product", 1, 784, 196, 512, 512).method  # few keys, long vectors: the matrix is small
    'dense'
    >>> nl.plan("dot_product", 1, 65536, 65536, 64, 64).method
    'reassociated'
    """
    check_choice("variant", variant, VARIANTS)
    for name, value in {"B": B, "N": N, "M": M, "D": D, "E": E}.items():
        check_integer(name, value, least=1 if name in {"M", "D"} else 0)
    kind = dtype_name(dtype)
    check_choice("dtype", kind, FLOATS)
    check_method(variant, method)
    if workers is not None:
        check_integer("workers", workers, least=1)
    if memory_limit is not None:
        check_integer("memory_limit", memory_limit, least=1)

    fast = FAST_FORMS[variant]
    sizes = Sizes(variant, B, N, M, D, E, 4 if kind == "float32" else 8, mask, backend == "numpy")
    forms = ["dense", fast] if method == "auto" else [method]
    if mask and fast not in TAKES_MASK:
        forms = ["dense"]
    elif method == "auto" and fast == "tiled" and memory_limit is None:
        forms = ["dense"] * (sizes.pairs <= DENSE_PAIRS) + ["tiled"] * (sizes.pairs > SMALL_PAIRS)
    costs = [_cost(form, sizes, workers, memory_limit) for form in forms]
    fitting = [cost for cost in costs if memory_limit is None or cost.peak_bytes <= memory_limit]
    if not fitting:
        least = min(_cost(form, sizes, 1, 1).peak_bytes for form in forms)
        msg = f"memory_limit must be at least {least} bytes for {variant!r} with {sizes}, got {memory_limit}"
        raise ValueError(msg)
    best = min(fitting, key=lambda cost: cost.time)
    tiling = best.tiling or Tiling(0, 0, 0)
    return Plan(
        *(variant, B, N, M, D, E, kind, best.form, tiling.rows, tiling.keys, tiling.elements, tiling.workers),
        operations=2 * best.multiply_adds,
        peak_bytes=best.peak_bytes,
        reason=_reason(best, costs, sizes, method, memory_limit),
    )


def _cost(form: str, sizes: Sizes, workers: int | None, memory_limit: int | None) -> Cost:
    """What a form would take; only the tiled one can be made to fit."""
    if form == "tiled":
        return tiled_cost(sizes, workers, memory_limit)
    return {"dense": dense_cost, "reassociated": reassociated_cost, "sorted": sorted_cost}[form](sizes)


def _reason(best: Cost, costs: list[Cost], sizes: Sizes, method: str, memory_limit: int | None) -> str:
    """Why this form: one sentence."""
    fast = FAST_FORMS[sizes.variant]
    if sizes.mask and fast not in TAKES_MASK:
        return f"The {fast} form takes no mask."
    if method != "auto":
        return "It is the form that was asked for."
    if len(costs) == 1 and best.form == "dense":
        return f"The matrix has {sizes.pairs} numbers, few enough to stay in the cache."
    if len(costs) == 1:
        return f"A dense matrix would have {sizes.pairs:.3g} numbers, several times over."
    (other,) = (cost for cost in costs if cost is not best)
    if memory_limit is not None and other.peak_bytes > memory_limit:
        return f"The {other.form} form would take {other.peak_bytes / 2**20:.3g} MiB, which is over the limit."
    return f"The {other.form} form would take about {other.time / max(best.time, 1):.3g} times as long."


def check_method(variant: str, method: Any) -> None:
    """Refuse a method that does not exist or that the variant does not have."""
    fast = FAST_FORMS[variant]
    check_choice(f"method for {variant!r}", method, ("auto", "dense", fast))
