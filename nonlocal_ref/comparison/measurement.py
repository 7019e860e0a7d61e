"""One case on one backend in one precision: its numbers, its time, its launches, its memory."""

import statistics
import time
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.backend import Array, from_host, to_numpy
from nonlocal_ref.comparison.cases import DIRECTIONS, Case
from nonlocal_ref.comparison.devices import Backend
from nonlocal_ref.machine.launches import NoCountError, launch_counter
from nonlocal_ref.machine.software import importable

FEWEST, MOST = 3, 50  # warm calls that are timed,
TOO_SLOW = 0.5  # seconds: but a call that takes longer is timed once
PAUSE = 0.05  # seconds: after their work the threads of another library spin for up to half of that, and take a core
PRODUCT_SIDE = {False: 1024, True: 8192}  # of the matrices, on the host or on a GPU, and how many numbers are copied,
COPY_COUNT = {False: 2**24, True: 2**28}  # where the ceilings are measured
TRANSFERS = 3  # times that the arguments go to the device and the results come back


class Numbers(NamedTuple):
    """What came out, on the host; and whether a second call gave the same bits."""

    values: dict[str, np.ndarray]
    same_bits: dict[str, bool]

    def bits(self, name: str) -> str | None:
        """A check sum of what came out under this name, to tell it from what another process got."""
        return f"{zlib.crc32(np.ascontiguousarray(self.values[name]).data):08x}" if name in self.values else None


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

    def first_calls(self, directions: Sequence[str]) -> tuple[dict[str, float], tuple[Array, ...]]:
        """Seconds of the first call in each direction, forward first; and what forward and backward gave.

        Forward's has everything that is compiled or loaded for it.  That of both comes after it where both are timed:
        what it takes longer than its warm median is what the backward needs for its first time.
        """
        seconds = {}
        for direction in [name for name in DIRECTIONS if name in directions]:
            time.sleep(PAUSE)
            seconds[direction], results = self.timed(self.call(direction))
        return seconds, results if "both" in directions else self.both()

    def timed(self, call: Callable[[], tuple[Array, ...]]) -> tuple[float, tuple[Array, ...]]:
        """Seconds of one call by the wall clock, until its results are there; and the results."""
        start = time.perf_counter()
        results = call()
        self.backend.wait(results)
        return time.perf_counter() - start, results

    def numbers(self, first: tuple[Array, ...]) -> Numbers:
        """The values, stage by stage, and whether they come out the same again."""
        once = self.stages() | self.on_host(first)
        again = self.stages() | self.on_host(self.both())
        return Numbers(once, {name: name in again and same_bits(once[name], again[name]) for name in once})

    def on_host(self, results: tuple[Array, ...]) -> dict[str, np.ndarray]:
        """y, dtheta, ... by name; one result too many is kept under its number, one too few is not there."""
        names = ["y", *(f"d{name}" for name in self.case.names)]
        names += [f"result {place + 1}" for place in range(len(names), len(results))]
        return {name: to_numpy(x) for name, x in zip(names, results, strict=False)}

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

    def warm_seconds(self, direction: str, budget: float) -> tuple[list[float], str]:
        """Seconds of several more calls, and the clock they were measured with; a slow call is measured once."""
        call = self.call(direction)
        clock = "wall clock, synchronised" if self.backend.on_gpu else "wall clock"
        once, _ = self.timed(call)  # warm: nothing here runs for the first time
        if once > TOO_SLOW:
            return [once], clock
        count = min(max(int(budget / max(once, 1e-6)), FEWEST), MOST)
        if self.backend.library == "cupy":
            from cupyx.profiler import benchmark

            found = benchmark(call, n_repeat=count, n_warmup=0)
            return [float(s) for s in found.gpu_times[0]], "CUDA events"
        return [self.timed(call)[0] for _ in range(count)], clock

    def launches(self, direction: str) -> tuple[int | None, str]:
        """Kernels that one call starts on the GPU, and how they were counted."""
        if not self.backend.on_gpu:
            return None, "not counted: no GPU"
        try:
            found = launch_counter().count(lambda: self.timed(self.call(direction)), lambda: self.backend.wait(()))
        except NoCountError as error:
            return None, f"not counted: {error}"
        return (found, "CUPTI") if found else (None, "not counted: CUPTI saw none")

    def transfers(self, x: dict[str, np.ndarray], direction: str) -> dict[str, float | None]:
        """Seconds to the device and back, of what goes in and comes out; None where the memory is the host's."""
        if not self.backend.on_gpu:
            return {"to_device_s": None, "from_device_s": None}
        names = self.case.names if direction == "forward" else x
        host = [x[name].astype(self.dtype) for name in names]
        results = self.call(direction)()
        self.backend.wait(results)
        there, back = [], []
        for _ in range(TRANSFERS):
            start = time.perf_counter()
            self.backend.wait(tuple(from_host(v, self.backend.namespace, self.backend.device) for v in host))
            there.append(time.perf_counter() - start)
            start = time.perf_counter()
            self.on_host(results)
            back.append(time.perf_counter() - start)
        return {"to_device_s": statistics.median(there), "from_device_s": statistics.median(back)}

    def peak_bytes(self) -> tuple[int | None, str]:
        """Memory that a call takes on top of arguments and results, and how it was measured."""
        peak = {"numpy": self.traced_bytes, "cupy": self.pool_bytes, "torch": self.torch_bytes}.get(
            self.backend.library
        )
        return peak() if peak else (None, f"not measured: {self.backend.library} does not say")

    def traced_bytes(self) -> tuple[int, str]:
        """Python's own account of what NumPy asks for."""
        tracemalloc.start()
        try:
            results = self.both()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        return beyond(results, peak), "tracemalloc"

    def pool_bytes(self) -> tuple[int, str]:
        """What a pool that is new grows to."""
        cuda = self.backend.namespace.cuda
        self.backend.give_back()  # what the default pool keeps for later is memory that the fresh one cannot have
        pool = cuda.MemoryPool()
        with cuda.using_allocator(pool.malloc):
            results = self.both()
            self.backend.wait(results)
        return beyond(results, pool.total_bytes()), "a fresh memory pool"

    def torch_bytes(self) -> tuple[int | None, str]:
        """PyTorch's own account, which it keeps for CUDA and XPU."""
        module, place = self.backend.torch_device(), self.backend.device
        if not hasattr(module, "max_memory_allocated"):
            return None, "not measured: torch does not say on this device"
        before = module.memory_allocated(place)
        module.reset_peak_memory_stats(place)
        results = self.both()
        self.backend.wait(results)
        return beyond(results, module.max_memory_allocated(place) - before), "max_memory_allocated"


def beyond(results: tuple[Array, ...], peak: int) -> int:
    """A peak without what the results themselves take."""
    return max(peak - sum(int(x.nbytes) for x in results), 0)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are equal to the last bit, NaN and the sign of zero included."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def ceilings(backend: Backend, dtype: str) -> dict[str, float | int | str]:
    """What the device can do at most: the fastest of several large matrix products, and of several large copies.

    The product has three axes, as the operation's own: CuPy hands those to another function than products of two.  The
    copy goes from memory that was written to memory that is there: zeros that nobody wrote have no pages to be read.
    """
    xp, side, count = backend.namespace, PRODUCT_SIDE[backend.on_gpu], COPY_COUNT[backend.on_gpu]
    kind = getattr(xp, dtype)
    with backend.holding(dtype):
        a = xp.full((1, side, side), 1 / side, dtype=kind, device=backend.device)
        product = fastest(lambda: a @ a, backend)
        x, out = (xp.full((count,), value, dtype=kind, device=backend.device) for value in (1.0, 2.0))
        copy = fastest(lambda: copied(x, out, backend), backend)
        moved = 2 * count * np.dtype(dtype).itemsize
    return {
        "gflop_per_s": 2 * side**3 / product / 1e9,
        "gb_per_s": moved / copy / 1e9,
        "product": f"1 x {side} x {side}",
        "copy_bytes": moved // 2,
    }


def copied(x: Array, out: Array, backend: Backend) -> Array:
    """``x`` written over ``out``; into new memory where arrays cannot be written to."""
    if backend.library == "jax":
        return backend.namespace.asarray(x, copy=True)
    out[...] = x
    return out


def fastest(call: Callable[[], Array], backend: Backend) -> float:
    """Seconds of the fastest of five calls, after one that does not count."""
    time.sleep(PAUSE)
    backend.wait((call(),))
    found = []
    for _ in range(5):
        start = time.perf_counter()
        backend.wait((call(),))
        found.append(time.perf_counter() - start)
    return min(found)
