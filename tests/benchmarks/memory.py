"""Peak memory of one candidate, in a fresh process of its own.

Two numbers, both counted from just before the call: what tracemalloc saw (the buffers of NumPy arrays; it does not see
PyTorch's) and how far the resident memory of the process rose.  Both include the results; `results_bytes` says how much
that is.
"""

import contextlib
import ctypes
import gc
import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

from tests.benchmarks.candidates import candidate_named
from tests.benchmarks.cases import QUICK_SIZES, Case

ROOT = Path(__file__).resolve().parents[2]
STATUS = Path("/proc/self/status")
TIMEOUT = 300  # seconds


def measure(name, case):
    """Start a process that runs the candidate once -> a dict of bytes and seconds, or of the error."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", json.dumps([name, *case])]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {TIMEOUT} s"}
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
        return {"error": last[0]}
    return json.loads(done.stdout.splitlines()[-1])


def run(name, case):
    """What the process does: warm up on a small case, then one call."""
    small = Case(case.kind, *QUICK_SIZES[0])
    warm_up, _ = candidate_named(name, small).prepare(small, small.draw())
    warm_up()
    call, _ = candidate_named(name, case).prepare(case, case.draw())
    traced = not candidate_named(name, case).needs_torch
    gc.collect()
    give_back()
    if traced:
        tracemalloc.start()
    before = resident()
    start = time.perf_counter()
    outputs = call()
    seconds = time.perf_counter() - start
    peak = peak_resident()
    return {
        "tracemalloc_bytes": tracemalloc.get_traced_memory()[1] if traced else None,
        "rss_bytes": max(peak - before, 0) if before is not None else None,
        "results_bytes": sum(output.nbytes for output in outputs),
        "seconds": float(f"{seconds:.4g}"),
    }


def give_back():
    """Return freed memory to the system and forget the old peak, where the system can."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def resident():
    """Bytes of this process in memory now; elsewhere than on Linux its peak so far; None where nobody says."""
    return linux_status("VmRSS") if STATUS.exists() else peak_resident()


def peak_resident():
    """The largest number of bytes this process had in memory.

    On Linux not from getrusage: there a new process inherits the peak of the one that started it.
    """
    if STATUS.exists():
        return linux_status("VmHWM")
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def linux_status(key):
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    which, *fields = json.loads(sys.argv[1])
    print(json.dumps(run(which, Case(*fields))))
