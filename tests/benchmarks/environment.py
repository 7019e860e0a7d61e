"""Where it was measured, without names of people, machines or folders."""

import importlib.metadata
import platform
from pathlib import Path

import threadpoolctl

import nonlocal_ref as nl
from tests.benchmarks import torch_peers
from tests.benchmarks.candidates import cores

PACKAGES = ("numpy", "scipy", "array-api-compat", "threadpoolctl", "torch")


def environment():
    """A dict for the JSON."""
    info = {
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_gib": total_memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {"nonlocal_ref": nl.__version__} | {name: version(name) for name in PACKAGES},
        "blas": [
            {key: library.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas" and "numpy" in library["filepath"]
        ],
        "torch": None,
    }
    if torch_peers.torch_is_here():
        import torch

        torch_peers.use_threads(cores())
        info["torch"] = {
            "num_threads": torch.get_num_threads(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "mkl": torch.backends.mkl.is_available(),
            "mkldnn": torch.backends.mkldnn.is_available(),
        }
    return info


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_model():
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def total_memory():
    """GiB of the machine, rounded; None where nobody says."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    return round(int(lines["MemTotal"].split()[0]) / 2**20)
