"""Is there a GPU that this package can use, and if not, why not."""

import importlib
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DRIVER = Path("/proc/driver/nvidia/version")
INSTALL = 'pip install "nonlocal-ref[cuda12]" (or [cuda13], as the driver asks)'


@dataclass(frozen=True)
class Gpu:
    """What was found; ``reason`` says why there is none."""

    backend: str | None = None
    name: str | None = None
    memory: int | None = None
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.backend is not None


def find_gpu() -> Gpu:
    """The first GPU that CuPy can use.

    Returns
    -------
    Gpu
        Truthy where there is one; otherwise ``reason`` says what is missing and what would help.
    """
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError:
        return Gpu(reason=f"CuPy is not installed and {driver()[1]}; {next_step()}")
    except Exception as error:  # a CuPy that does not fit the system fails in many ways
        return Gpu(reason=f"CuPy cannot be imported ({one_line(error)})")
    try:
        if not cupy.cuda.is_available():
            return Gpu(reason=f"CuPy is installed, but it sees no CUDA device, and {driver()[1]}")
        device = cupy.cuda.Device()
        properties = cupy.cuda.runtime.getDeviceProperties(device.id)
        details = {
            "compute_capability": device.compute_capability,
            "driver": cupy.cuda.runtime.driverGetVersion(),
            "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
            "multiprocessors": properties["multiProcessorCount"],
        }
        return Gpu("cupy", properties["name"].decode(), int(device.mem_info[1]), "", details)
    except Exception as error:  # a device that is there but does not answer
        return Gpu(reason=f"CuPy is installed, but the device does not answer ({one_line(error)})")


def driver() -> tuple[bool, str]:
    """Whether an NVIDIA driver is loaded, as far as Linux shows it, and the words for it."""
    loaded = DRIVER.exists() or Path("/dev/nvidiactl").exists()
    return loaded, "an NVIDIA driver is loaded" if loaded else "no NVIDIA driver is loaded"


def next_step() -> str:
    """What would help."""
    if driver()[0]:
        return f"install it with: {INSTALL}"
    return f"on a machine with an NVIDIA GPU install its driver, then: {INSTALL}"


def one_line(error: BaseException) -> str:
    """The kind of an error and its first line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".removesuffix(": ")
