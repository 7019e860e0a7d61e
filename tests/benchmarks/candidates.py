"""Who is measured: this package in its forms, PyTorch as it is written elsewhere, and the limit."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nonlocal_ref as nl
from tests.benchmarks import torch_peers
from tests.benchmarks.limit import products_alone

FLOAT32 = 4  # bytes
KEEP_FREE = 0.1  # of the free memory, for everything else

# Bytes of the (B, 2D, N, M) tensor.  With 4 GiB, at 4096 x 4096 x 32, PyTorch 2.13's convolution ended in a
# segmentation fault and took the process along.
LARGEST_CAT = 3 * 2**30


@dataclass(frozen=True)
class Candidate:
    """One way to compute an operation; "{form}" in its title stands for the package's form.

    prepare(case, x) -> call, arrays: call() runs forward and backward and returns fresh outputs; arrays(outputs) are
    the host arrays y, dtheta, dphi, dg (and dw_f), None in its place where there is nothing to compare.
    """

    name: str
    title: str
    prepare: Callable
    kinds: tuple[str, ...] = ("softmax", "dot_product", "concatenation")
    needs_torch: bool = False
    matrices: int = 0  # N x M arrays alive at once
    patient: bool = True  # False: no target rests on its exact time; where it is slow, fewer rounds will do
    applies: Callable = lambda case: True

    def title_for(self, case):
        method = form_of(self.name, case)
        return self.title.format(form=case.plan().method if method == "auto" else method)

    def bytes_needed(self, case):
        """Memory on top of the arguments, an estimate from above."""
        if self.name in {"auto", "dense", "fast"}:
            needed = case.plan(form_of(self.name, case)).peak_bytes
        elif self.name == "literal":  # (B, 2D, N, M), its halves, the convolution's copies, its gradient
            needed = 7 * case.D * case.pairs * FLOAT32
        else:
            needed = self.matrices * case.pairs * FLOAT32
        positions = case.B * (case.N + case.M)
        return needed + 4 * positions * (case.D + case.E) * FLOAT32


def form_of(name, case):
    """The method that "auto", "dense" and "fast" ask for."""
    fast = {"softmax": "tiled", "dot_product": "reassociated", "concatenation": "sorted"}[case.kind]
    return fast if name == "fast" else name


def ours(name, case, x):
    arguments, dy, method = [x[key] for key in case.names], x["dy"], form_of(name, case)

    def call():
        y, backward = nl.nonlocal_op(case.variant, *arguments, method=method)
        return y, *backward(dy)

    return call, list


def peer(make, case, x):
    torch_peers.use_threads(cores())
    return make(x)


def limit(case, x):
    return products_alone(case, x), None


CANDIDATES = [
    Candidate("auto", "nonlocal_ref, auto: {form}", partial(ours, "auto")),
    Candidate("dense", "nonlocal_ref, dense", partial(ours, "dense"), patient=False),
    Candidate(
        "fast",
        "nonlocal_ref, {form}",
        partial(ours, "fast"),
        applies=lambda case: case.plan().method == "dense",
    ),
    Candidate(
        "eager",
        "PyTorch, eager",
        partial(peer, torch_peers.eager_softmax),
        ("softmax",),
        needs_torch=True,
        matrices=4,
    ),
    Candidate(
        "eager",
        "PyTorch, eager",
        partial(peer, torch_peers.eager_dot_product),
        ("dot_product",),
        needs_torch=True,
        matrices=4,
    ),
    Candidate(
        "literal",
        "PyTorch, repeat and cat",
        partial(peer, torch_peers.literal_concatenation),
        ("concatenation",),
        needs_torch=True,
        patient=False,
        applies=lambda case: 2 * case.D * case.pairs * FLOAT32 <= LARGEST_CAT,
    ),
    Candidate(
        "eager",
        "PyTorch, broadcast",
        partial(peer, torch_peers.broadcast_concatenation),
        ("concatenation",),
        needs_torch=True,
        matrices=5,
    ),
    Candidate(
        "sdpa",
        "PyTorch, scaled_dot_product_attention",
        partial(peer, torch_peers.scaled_dot_product_attention),
        ("softmax",),
        needs_torch=True,
    ),
    Candidate("limit", "its products and exps alone", limit),
]


def candidates_for(case):
    return [c for c in CANDIDATES if case.kind in c.kinds and c.applies(case)]


def candidate_named(name, case):
    (found,) = (c for c in candidates_for(case) if c.name == name)
    return found


def why_not(candidate, case, memory_limit=None):
    """Why a candidate cannot be measured here, decided before anything is allocated; None if it can."""
    if candidate.needs_torch and not torch_peers.torch_is_here():
        return "not measured: PyTorch is not installed"
    needed, free = candidate.bytes_needed(case), memory_limit or free_memory()
    if free is not None and needed > (1 - KEEP_FREE) * free:
        return f"does not fit, needs {needed / 2**30:.1f} GiB"
    return None


def cores():
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory():
    """Bytes that a process can still get, as far as the system says; None where it does not."""
    found = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    group = Path("/sys/fs/cgroup")
    if (group / "memory.max").exists() and (group / "memory.current").exists():
        most, now = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        if most != "max":
            found.append(int(most) - int(now))
    return min(found, default=None)
