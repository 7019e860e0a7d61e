"""One case on one backend in one precision: its numbers, its time, its memory."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.backend import Array, from_host, to_numpy
from nonlocal_ref.comparison.cases import Case
from nonlocal_ref.comparison.devices import Backend
from nonlocal_ref.machine.software import importable

GRADIENTS = ("dtheta", "dphi", "dg", "dw_f")
FEWEST, MOST = 3, 50  # warm calls that are timed, where one does not take longer than the budget


class Numbers(NamedTuple):
    """What came out, on the host; and whether a second call gave the same bits."""

    values: dict[str, np.ndarray]
    same_bits: dict[str, bool]


class Subject:
    """A case with its arguments on a backend."""

    def __init__(self, case: Case, backend: Backend, dtype: str, x: dict[str, np.ndarray]) -> None:
        self.case, self.backend, self.dtype = case, backend, dtype
        self.arrays = {name: from_host(value, backend.namespace, backend.device, dtype) for name, value in x.items()}
        # without threadpoolctl threads of Python and of the BLAS would get in each other's way
        self.workers = None if importable("threadpoolctl") else 1

    def forward(self) -> tuple[Array, ...]:
        """Y alone."""
        arguments = [self.arrays[name] for name in self.case.names]
        return (nl.nonlocal_op(self.case.variant, *arguments, workers=self.workers)[0],)

    def both(self) -> tuple[Array, ...]:
        """Y and every gradient."""
        arguments = [self.arrays[name] for name in self.case.names]
        y, backward = nl.nonlocal_op(self.case.variant, *arguments, workers=self.workers)
        return y, *backward(self.arrays["dy"])

    def call(self, direction: str) -> Callable[[], tuple[Array, ...]]:
        """Forward alone, or forward and backward."""
        return self.forward if direction == "forward" else self.both

    def first_call(self) -> tuple[float, tuple[Array, ...]]:
        """Seconds of the first call of all, forward and backward: with everything that is compiled or loaded for it."""
        start = time.perf_counter()
        results = self.both()
        self.backend.wait(results)
        return time.perf_counter() - start, results

    def numbers(self, first: tuple[Array, ...]) -> Numbers:
        """The values, stage by stage, and whether they come out the same again."""
        once = self.stages() | self.on_host(first)
        again = self.stages() | self.on_host(self.both())
        return Numbers(once, {name: same_bits(value, again[name]) for name, value in once.items()})

    def on_host(self, results: tuple[Array, ...]) -> dict[str, np.ndarray]:
        """y, dtheta, ... by name."""
        return {name: to_numpy(x) for name, x in zip(("y", *GRADIENTS), results, strict=False)}

    def stages(self) -> dict[str, np.ndarray]:
        """What the dense form shows its tap for the first queries, up to the weights."""
        queries = slice(None, self.case.size.stage_queries)
        theta, *others = [self.arrays[name] for name in self.case.names]
        seen: dict[str, np.ndarray] = {}

        def tap(name: str, x: Array) -> None:
            if name != "y":
                seen[name] = to_numpy(x)

        nl.nonlocal_op(self.case.variant, theta[:, queries, :], *others, method="dense", tap=tap)
        return seen

    def warm_seconds(self, direction: str, budget: float, first: float) -> tuple[list[float], str]:
        """Seconds of several more calls, and the clock they were measured with."""
        call = self.call(direction)
        fewest = FEWEST if first < budget * FEWEST else 1
        if self.backend.library == "cupy":
            from cupyx.profiler import benchmark

            most = min(max(int(budget / max(first, 1e-4)), fewest), MOST)
            timed = benchmark(call, n_repeat=most, n_warmup=1, max_duration=max(budget, first))
            return [float(s) for s in timed.gpu_times[0]], "CUDA events"
        self.backend.wait(call())
        seconds: list[float] = []
        while len(seconds) < fewest or (sum(seconds) < budget and len(seconds) < MOST):
            start = time.perf_counter()
            results = call()
            self.backend.wait(results)
            seconds.append(time.perf_counter() - start)
        return seconds, "wall clock, synchronised" if self.backend.on_gpu else "wall clock"

    def transfers(self, x: dict[str, np.ndarray], results: tuple[Array, ...]) -> dict[str, float | None]:
        """Seconds to the device and back; None where the memory is the host's."""
        if not self.backend.on_gpu:
            return {"to_device_s": None, "from_device_s": None}
        host = {name: value.astype(self.dtype) for name, value in x.items()}
        start = time.perf_counter()
        moved = tuple(from_host(v, self.backend.namespace, self.backend.device) for v in host.values())
        self.backend.wait(moved)
        middle = time.perf_counter()
        self.on_host(results)
        return {"to_device_s": middle - start, "from_device_s": time.perf_counter() - middle}

    def peak_bytes(self) -> tuple[int | None, str]:
        """Memory that a call takes on top of arguments and results, and how it was measured."""
        if self.backend.library == "numpy":
            tracemalloc.start()
            try:
                results = self.both()
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            return max(peak - sum(x.nbytes for x in results), 0), "tracemalloc"
        if self.backend.library == "cupy":
            pool = self.backend.namespace.cuda.MemoryPool()
            with self.backend.namespace.cuda.using_allocator(pool.malloc):
                results = self.both()
                self.backend.wait(results)
            return max(pool.total_bytes() - sum(x.nbytes for x in results), 0), "a fresh memory pool"
        return None, f"not measured: {self.backend.library} does not say"


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are equal to the last bit, NaN and the sign of zero included."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def ceilings(backend: Backend, dtype: str) -> dict[str, Any]:
    """What the device can do at most: the fastest of several large matrix products, and of several large copies."""
    xp, side, count = backend.namespace, (8192 if backend.on_gpu else 1024), 2 ** (28 if backend.on_gpu else 24)
    kind = getattr(xp, dtype)
    with backend.holding(dtype):
        a = xp.full((side, side), 1 / side, dtype=kind, device=backend.device)
        product = fastest(lambda: a @ a, backend)
        x = xp.zeros((count,), dtype=kind, device=backend.device)
        copy = fastest(lambda: xp.asarray(x, copy=True), backend)
        moved = 2 * count * np.dtype(dtype).itemsize
    return {
        "backend": backend.name,
        "dtype": dtype,
        "gflop_per_s": 2 * side**3 / product / 1e9,
        "gb_per_s": moved / copy / 1e9,
        "product": f"{side} x {side}",
        "copy_bytes": moved // 2,
    }


def fastest(call: Callable[[], Array], backend: Backend) -> float:
    """Seconds of the fastest of five calls, after one that does not count."""
    backend.wait((call(),))
    found = []
    for _ in range(5):
        start = time.perf_counter()
        backend.wait((call(),))
        found.append(time.perf_counter() - start)
    return min(found)
