"""How fast this process multiplies matrices: ``python -m nonlocal_ref.machine.matrix_product`` prints JSON.

A process of its own, because OpenBLAS reads its settings once, when it is loaded.
"""

import json
import time

from nonlocal_ref.backend import load_backend
from nonlocal_ref.machine.software import blas_libraries

SIDE = 1024
SECONDS = 0.2  # a dtype


def measure(side: int = SIDE, seconds: float = SECONDS) -> dict[str, float | str | None]:
    """GFLOP/s of a square product, the fastest of as many as fit into ``seconds``; the kernel that did it."""
    xp, _ = load_backend("numpy")
    found: dict[str, float | str | None] = {}
    for dtype in ("float32", "float64"):
        a = xp.ones((side, side), dtype=getattr(xp, dtype)) / side
        best, stop = float("inf"), time.perf_counter() + seconds
        _ = a @ a  # starts the threads
        while best == float("inf") or time.perf_counter() < stop:
            start = time.perf_counter()
            _ = a @ a
            best = min(best, time.perf_counter() - start)
        found[dtype] = float(f"{2 * side**3 / best / 1e9:.3g}")
    kernels = [library["kernel"] for library in blas_libraries() if library["used_by"] == "numpy"]
    return found | {"kernel": kernels[0] if kernels else None}


if __name__ == "__main__":
    print(json.dumps(measure()))  # noqa: T201
