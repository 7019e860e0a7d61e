"""How a GPU compares with what this package wants to reach there: python tests/gpu/targets.py FILE.json

Forward and backward in float32 against PyTorch eager on the same GPU (TF32 off) and against the operation's own matrix
products; and the denoiser against the CPU.  Ratios of medians, all candidates of a cell in turn, each call from launch
to results by the wall clock.  What cannot be measured says why; a target that is missed is reported and is no error.
The file is written after every cell, with "complete": false until all are there.
"""

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.comparison.devices import Backend
from nonlocal_ref.machine import find_gpu
from nonlocal_ref.machine.whole_files import write_whole
from tests.benchmarks.cases import SIZES, VARIANTS, Case

ROUNDS = 15
PICTURE = {"side": 2048, "patch_size": 7, "patch_distance": 2, "h": 0.1}
DENOISER = f"denoiser {PICTURE['side']} x {PICTURE['side']}"
DENOISER_AT_LEAST = 20.0
SQUARE, SOFTMAX, PRODUCTS, LONG = 1.0, 1.3, 1.5, 256  # at most; the products count where D is that long


def main(argv):
    gpu = find_gpu()
    if not gpu:
        print(f"No GPU found: {gpu.reason}.")
        return 3
    backend = Backend("cupy")
    cases = [Case(kind, *size) for kind in VARIANTS for size in SIZES]
    report = {"schema": "nonlocal_ref gpu targets", "schema_version": 1, "gpu": gpu.name, "complete": False}
    report |= {"cells": [], "denoiser": None}
    for case in cases:  # written on the way: whoever ends this early has what was measured until then
        report["cells"].append(guarded(case.label, lambda case=case: cell(case, backend)))
        write(argv[0], report, report["cells"][-1])
    report["denoiser"] = guarded(DENOISER, lambda: denoiser(backend))
    write(argv[0], report | {"complete": True}, report["denoiser"])
    return 0


def guarded(label, measure):
    """What was measured, or the reason for none: a GPU of less memory, or one that is lost."""
    try:
        return {"case": label} | measure()
    except Exception as error:
        return {"case": label, "reason": f"not measured: {type(error).__name__}"}


def write(file, report, newest):
    write_whole({Path(file): (json.dumps(report, indent=1) + "\n").encode()})
    print(*(f"{key}={value}" for key, value in newest.items() if value is not None), flush=True)


def cell(case, backend):
    """Medians, and their ratios to what they are held against."""
    host = case.draw()
    x = {name: nl.to_backend(value, backend.name) for name, value in host.items()}
    calls = {"ours": ours(case, x, backend), "products": products(case, x, backend)}
    calls |= {"eager": eager(case.kind, host, "cuda")} if torch_sees_a_gpu() else {}
    medians = in_turn(calls)
    ratios = {name: round(medians["ours"] / medians[name], 3) for name in calls if name != "ours"}
    return {
        "median_s": {name: float(f"{seconds:.4g}") for name, seconds in medians.items()},
        "to_eager": ratios.get("eager"),
        "to_eager_at_most": (SOFTMAX if case.kind == "softmax" else SQUARE) if is_held(case) else None,
        "to_products": ratios["products"],
        "to_products_at_most": PRODUCTS if case.kind == "softmax" and case.D >= LONG else None,
        "reason": None if "eager" in calls else "eager not measured: no PyTorch that sees the GPU",
    }


def is_held(case):
    """Dot product and concatenation are held to PyTorch where N = M, softmax everywhere."""
    return case.kind == "softmax" or case.N == case.M


def in_turn(calls):
    """Median seconds of each, after a call that does not count."""
    seconds = {name: [] for name in calls}
    for place in range(ROUNDS + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name] += [time.perf_counter() - start] if place else []
    return {name: statistics.median(values) for name, values in seconds.items()}


def ours(case, x, backend):
    def call():
        y, backward = nl.nonlocal_op(case.variant, *(x[name] for name in case.names))
        backend.wait((y, *backward(x["dy"])))

    return call


def products(case, x, backend):
    """The operation's own matrix products, whole: six, and the logits once more where the plan computes them again."""
    theta, phi, g, dy = (x[name] for name in ("theta", "phi", "g", "dy"))
    again = nl.plan(case.variant, case.B, case.N, case.M, case.D, case.E, backend="cupy").method == "tiled"

    def call():
        s = theta @ phi.mT
        p = theta @ phi.mT if again else s
        backend.wait((p @ g, dy @ g.mT, s @ phi, s.mT @ theta, p.mT @ dy))

    return call


def torch_sees_a_gpu():
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def eager(kind, host, place):
    """The operation as PyTorch's users write it, with autograd -> a call that returns y and the gradients."""
    import torch

    x = {name: torch.from_numpy(np.ascontiguousarray(value)).to(place) for name, value in host.items()}
    dy = x.pop("dy")
    leaves = {name: value.requires_grad_() for name, value in x.items()}

    def forward(theta, phi, g, w_f=None):
        if kind == "softmax":
            return torch.softmax(theta @ phi.mT, dim=-1) @ g
        if kind == "dot_product":
            return (theta @ phi.mT) / phi.shape[1] @ g
        half = theta.shape[2]
        f = torch.relu((theta @ w_f[:half])[:, :, None] + (phi @ w_f[half:])[:, None, :])
        return f / phi.shape[1] @ g

    def call():
        y = forward(**leaves)
        gradients = torch.autograd.grad(y, tuple(leaves.values()), dy)
        if place == "cuda":
            torch.cuda.synchronize()
        return y, *gradients

    return call


def denoiser(backend):
    """A large picture on both machines; a small window, since each offset of it costs the same."""
    side = PICTURE["side"]
    options = {name: value for name, value in PICTURE.items() if name != "side"}
    picture = np.random.default_rng(0).random((side, side), dtype=np.float32)
    on_gpu = nl.to_backend(picture, backend.name)
    start = time.perf_counter()
    nl.non_local_means(picture, **options)
    on_cpu_s = time.perf_counter() - start
    on_gpu_s = in_turn({"gpu": lambda: backend.wait((nl.non_local_means(on_gpu, **options),))})["gpu"]
    return {
        "median_s": {"cpu": float(f"{on_cpu_s:.4g}"), "gpu": float(f"{on_gpu_s:.4g}")},
        "times_faster": round(on_cpu_s / on_gpu_s, 1),
        "times_faster_at_least": DENOISER_AT_LEAST,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
