"""Stage (e): what ran where."""

import importlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import threadpoolctl

import nonlocal_ref as nl

PACKAGES = ("numpy", "scipy", "array-api-compat", "scikit-image", "matplotlib", "pillow", "jinja2")


def describe_machine(backend: str) -> dict[str, Any]:
    """Versions, backend, device."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = {"nonlocal_ref": nl.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    blas = [
        f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads"
        for pool in threadpoolctl.threadpool_info()
    ]
    device = f"{processor()}, {cores} core{'s' if cores > 1 else ''}"
    if backend == "cupy":
        cupy = importlib.import_module("cupy")
        found["cupy"] = cupy.__version__
        device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
    return {
        "backend": backend,
        "device": device,
        "dtype": "float64",
        "system": f"{platform.system()} {platform.machine()}",
        "blas": sorted(set(blas)),
        "versions": found,
    }


def processor() -> str:
    """The processor's name, as well as the standard library knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
