"""What `nonlocal-ref doctor` says: what is there, what is missing and how to get it."""

import platform
from typing import Any

from nonlocal_ref.exact.costs import available_workers
from nonlocal_ref.machine.gpu import Gpu, find_gpu, install_line
from nonlocal_ref.machine.hardware import free_memory, processor_name, total_memory, usable_cores
from nonlocal_ref.machine.software import blas_libraries, package_versions, python_name, variables, version

# What is worth having: module -> (distribution, what for, the line that installs it)
OPTIONAL = {
    "cupy": ("cupy", "GPU arrays", ""),  # as the driver asks
    "skimage": ("scikit-image", "the tour's photograph", "pip install scikit-image"),
    "matplotlib": ("matplotlib", "the tour's pictures", "pip install matplotlib"),
    "PIL": ("pillow", "picture files", "pip install pillow"),
    "jinja2": ("jinja2", "the tour's report", "pip install jinja2"),
    "tqdm": ("tqdm", "progress bars", "pip install tqdm"),
    "safetensors": ("safetensors", "weight files", "pip install safetensors"),
    "array_api_strict": (
        "array-api-strict",
        "a device to compare with where there is no GPU",
        "pip install array-api-strict",
    ),
    "torch": ("torch", "PyTorch arrays and modules", "pip install torch"),
    "jax": ("jax", "JAX arrays", "pip install jax"),
    "pytest": ("pytest", "the tests", 'in a checkout: pip install -e ".[test]"'),
}
NEEDED = {"numpy": "numpy", "scipy": "scipy", "array-api-compat": "array_api_compat", "threadpoolctl": "threadpoolctl"}


def diagnose() -> dict[str, Any]:
    """What this machine has, as a dict.

    Returns
    -------
    dict
        ``system``, ``python``, ``processor``, ``cores``, ``memory_bytes``, ``free_bytes``, ``packages``, ``missing``
        (a list of name, purpose, install), ``gpu``, ``blas``, ``variables``, ``workers`` and ``workers_reason``.

    Notes
    -----
    Imports CuPy where it is installed, and no other of the optional libraries: about a second.

    Examples
    --------
    >>> from nonlocal_ref.machine import diagnose
    >>> diagnose()["packages"]["nonlocal_ref"]
    '0...'
    """
    packages = package_versions() | {
        name: found for module, (name, _, _) in OPTIONAL.items() if (found := version(name, module)) is not None
    }
    missing = [
        {"name": name, "for": "everything", "install": f"pip install {name}"}
        for name, module in NEEDED.items()
        if version(name, module) is None
    ]
    missing += [
        {"name": name, "for": purpose, "install": install or install_line()}
        for module, (name, purpose, install) in OPTIONAL.items()
        if version(name, module) is None
    ]
    workers, reason = recommended_workers()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": python_name(),
        "processor": processor_name(),
        "cores": usable_cores(),
        "memory_bytes": total_memory(),
        "free_bytes": free_memory(),
        "packages": packages,
        "missing": missing,
        "gpu": describe_gpu(find_gpu()),
        "blas": blas_libraries(),
        "variables": variables(),
        "workers": workers,
        "workers_reason": reason,
    }


def describe_gpu(gpu: Gpu) -> dict[str, Any]:
    """A GPU as plain values."""
    return {"found": bool(gpu), "name": gpu.name, "memory_bytes": gpu.memory, "reason": gpu.reason, **gpu.details}


def recommended_workers() -> tuple[int, str]:
    """How many threads to give to `nonlocal_op`, and why."""
    usable, seen = usable_cores(), available_workers()
    if usable < seen:
        return usable, f"a quota leaves {usable} of {seen} cores: pass workers={usable}, the default would start {seen}"
    return usable, "one a core, which is what workers=None takes by itself"


def in_words(found: dict[str, Any]) -> str:
    """The diagnosis as lines for a terminal, ASCII alone."""
    gpu = found["gpu"]
    lines = [
        ("python", f"{found['python']}, {found['system']}"),
        ("processor", f"{found['processor']}, {found['cores']} core{'s' if found['cores'] > 1 else ''}"),
        ("memory", f"{gibibytes(found['memory_bytes'])}, {gibibytes(found['free_bytes'])} free"),
        ("GPU", gpu_in_words(gpu)),
        *(("BLAS", blas_in_words(library)) for library in found["blas"]),
        *(("set", f"{name}={value}") for name, value in found["variables"].items()),
        ("workers", f"{found['workers']} ({found['workers_reason']})"),
        ("found", ", ".join(f"{name} {text}" for name, text in found["packages"].items())),
        *(("missing", f"{entry['name']} ({entry['for']}): {entry['install']}") for entry in found["missing"]),
    ]
    if not found["blas"]:
        lines.insert(4, ("BLAS", "unknown: threadpoolctl is not installed or sees none"))
    return "\n".join(f"{name:<10} {text}" for name, text in lines)


def gpu_in_words(gpu: dict[str, Any]) -> str:
    """NVIDIA H100, 79.6 GiB, driver 580.65.06 (CUDA 13.0), CUDA runtime 12.9, compute capability 9.0; or why none."""
    if not gpu["found"]:
        return f"none: {gpu['reason']}"
    if "driver_cuda" not in gpu:  # another library's
        return f"{gpu['name']}; {gpu['reason']}"
    driver = f"driver {gpu['driver_version'] or 'of unknown version'} (CUDA {gpu['driver_cuda']})"
    runtime = f"CUDA runtime {gpu['cuda_runtime']}, compute capability {gpu['compute_capability']}"
    return f"{gpu['name']}, {gibibytes(gpu['memory_bytes'])}, {driver}, {runtime}"


def blas_in_words(library: dict[str, Any]) -> str:
    """openblas 0.3.30 (used by numpy), kernel SkylakeX, 2 threads."""
    many = f"{library['threads']} thread{'s' if library['threads'] != 1 else ''}"
    kernel = f", kernel {library['kernel']}" if library["kernel"] else ""
    return f"{library['name']} {library['version'] or ''} (used by {library['used_by']}){kernel}, {many}"


def gibibytes(count: int | None) -> str:
    """Bytes as in 7.6 GiB."""
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"
