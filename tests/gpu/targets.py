"""How a GPU compares with what this package wants to reach there: python tests/gpu/targets.py FILE.json

Forward and backward in float32 against PyTorch eager on the same GPU (TF32 off) and against the operation's own matrix
products; and the denoiser against the CPU.  Ratios of medians, all candidates of a cell in turn, each call from launch
to results by the wall clock.  What cannot be measured says why; a target that is missed is reported and is no error.
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
from tests.benchmarks.cases import SIZES, VARIANTS, Case

ROUNDS = 15
PICTURE = {"side": 2048, "patch_size": 7, "patch_distance": 2, "h": 0.1}
DENOISER_AT_LEAST = 20.0
SQUARE, SOFTMAX, PRODUCTS, LONG = 1.0, 1.3, 1.5, 256  # at most; the products count where D is that long


def main(argv):
    gpu = find_gpu()
    if not gpu:
        print(f"No GPU found: {gpu.reason}.")
        return 3
    backend = Backend("cupy")
    cells = [cell(Case(kind, *size), backend) for kind in VARIANTS for size in SIZES]
    report = {"schema": "nonlocal_ref gpu targets", "schema_version": 1, "gpu": gpu.name, "cells": cells}
    report["denoiser"] = denoiser(backend)
    for found in (*cells, report["denoiser"]):
        print(*(f"{key}={value}" for key, value in found.items() if value is not None))
    Path(argv[0]).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def cell(case, backend):
    """Medians, and their ratios to what they are held against; a reason where there are none."""
    found = {"case": case.label}
    try:
        host = case.draw()
        x = {name: nl.to_backend(value, backend.name) for name, value in host.items()}
        calls = {"ours": ours(case, x, backend), "products": products(case, x, backend)}
        calls |= {"eager": eager(case.kind, host, "cuda")} if torch_sees_a_gpu() else {}
        medians = in_turn(calls)
    except Exception as error:  # a GPU of less memory, or one that is lost
        return found | {"reason": f"not measured: {type(error).__name__}"}
    ratios = {name: round(medians["ours"] / medians[name], 3) for name in calls if name != "ours"}
    return found | {
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
        "case": f"denoiser {side} x {side}",
        "median_s": {"cpu": float(f"{on_cpu_s:.4g}"), "gpu": float(f"{on_gpu_s:.4g}")},
        "times_faster": round(on_cpu_s / on_gpu_s, 1),
        "times_faster_at_least": DENOISER_AT_LEAST,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
