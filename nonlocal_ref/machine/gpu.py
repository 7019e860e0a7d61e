"""Is there a GPU that this package can use, and if not, why not."""

import importlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nonlocal_ref.machine.folders import without_folders

DRIVER = Path("/proc/driver/nvidia/version")
NEWEST = 13  # CUDA that CuPy has a package for,
NEEDS = 580  # and the oldest driver it runs on; older drivers take CUDA 12


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

    Notes
    -----
    Adds and multiplies two small matrices there: a CuPy without CUDA's libraries sees the device and cannot use it.
    """
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name not in ("cupy", None):
            return Gpu(reason=f"CuPy is installed without what it needs ({one_line(error)}); {next_step()}")
        return Gpu(reason=f"CuPy is not installed and {driver()}; {next_step()}")
    except Exception as error:  # a CuPy that does not fit the system fails in many ways
        return Gpu(reason=f"CuPy is installed, but cannot be imported ({one_line(error)}); {next_step()}")
    try:
        if not cupy.cuda.is_available():
            return Gpu(reason=f"CuPy is installed, but {why_no_device(cupy)}, and {driver()}")
        device = cupy.cuda.Device()
        properties = cupy.cuda.runtime.getDeviceProperties(device.id)
        name, memory = properties["name"].decode(), int(device.mem_info[1])
        details = {
            "compute_capability": f"{device.compute_capability[:-1]}.{device.compute_capability[-1:]}",
            "driver_version": driver_version(),
            "driver_cuda": cuda_version(cupy.cuda.runtime.driverGetVersion()),
            "cuda_runtime": cuda_version(cupy.cuda.runtime.runtimeGetVersion()),
            "multiprocessors": properties["multiProcessorCount"],
        }
    except Exception as error:  # a device that is there but does not answer
        return Gpu(reason=f"CuPy is installed, but the device does not answer ({one_line(error)})")
    try:
        ones = cupy.ones((2, 2), dtype=cupy.float32)
        right = bool((ones @ ones + ones == 3).all())
    except Exception as error:  # a library that is not there, or none for this device
        return Gpu(reason=f"CuPy sees {name}, but cannot compute on it ({one_line(error)}); {next_step()}")
    if not right:
        return Gpu(reason=f"CuPy sees {name}, but 1 x 1 + 1 x 1 + 1 is not 3 there")
    return Gpu("cupy", name, memory, "", details)


def why_no_device(cupy: Any) -> str:
    """What CUDA says when it is asked how many devices there are."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every CUDA device from it"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy's own kind of error, which cannot be named where it is not installed
        return f"it sees no CUDA device ({one_line(error)})"
    return f"it sees {count} CUDA devices"


def driver_version() -> str | None:
    """As in 580.65.06; None where there is no driver, or the system does not show it in Linux's way."""
    with suppress(OSError):
        found = re.search(r"\b\d{3}(\.\d+){1,2}\b", DRIVER.read_text(encoding="utf-8", errors="replace"))
        return found[0] if found else None
    return None


def driver() -> str:
    """Whether an NVIDIA driver is loaded, as far as Linux shows it."""
    version = driver_version()
    if version is not None:
        return f"NVIDIA's driver {version} is loaded"
    return "an NVIDIA driver is loaded" if driver_is_loaded() else "no NVIDIA driver is loaded"


def driver_is_loaded() -> bool:
    """Whether there is one, of whatever version."""
    return DRIVER.exists() or Path("/dev/nvidiactl").exists()


def install_line() -> str:
    """The line that installs the CuPy that fits the driver."""
    version = driver_version()
    cuda = NEWEST if version is None or int(version.partition(".")[0]) >= NEEDS else NEWEST - 1
    return f'pip install "{cupy_for(cuda)}"'


def cupy_for(cuda: int) -> str:
    """The package of CuPy for a version of CUDA, with CUDA's libraries."""
    return f"cupy-cuda{cuda}x[ctk]"


def next_step() -> str:
    """What would help."""
    if driver_version() is not None:
        return f"install what fits it with: {install_line()}"
    start = "install it with" if driver_is_loaded() else "on a machine with an NVIDIA GPU install its driver, then"
    return f"{start}: {install_line()} (with a driver before {NEEDS}: {cupy_for(NEWEST - 1)})"


def cuda_version(number: int) -> str:
    """12040 is 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"


def one_line(error: BaseException) -> str:
    """The kind of an error and its first line, without folders: it goes into reports."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {without_folders(lines[0])}".removesuffix(": ")
