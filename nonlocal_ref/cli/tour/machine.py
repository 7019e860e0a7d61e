"""Stage (e): what ran where."""

import platform
from typing import Any

from nonlocal_ref.comparison.devices import Backend
from nonlocal_ref.machine.hardware import processor_name, usable_cores
from nonlocal_ref.machine.software import blas_libraries, package_versions, version

PICTURES = {"scikit-image": "skimage", "matplotlib": "matplotlib", "pillow": "PIL", "jinja2": "jinja2"}
COMPUTES = ("nonlocal_ref", "numpy", "scipy", "array-api-compat")


def describe_machine(backend: str) -> dict[str, Any]:
    """Versions, backend, device."""
    found = package_versions()
    drawing = {name: version(name, module) for name, module in PICTURES.items()}
    cores = usable_cores()
    return {
        "backend": backend,
        "device": Backend(backend).device_name() or f"{processor_name()}, {cores} core{'s' if cores > 1 else ''}",
        "dtype": "float64",
        "system": f"{platform.system()} {platform.machine()}",
        "blas": sorted({f"{blas['name']} {blas['version']}, {blas['threads']} threads" for blas in blas_libraries()}),
        "versions": {name: found[name] for name in (*COMPUTES, backend) if name in found}
        | {"python": platform.python_version()}
        | {name: text or "unknown" for name, text in drawing.items()},
    }
