"""How many kernels a call starts on the GPU, counted by CUPTI, the library that NVIDIA's profilers stand on.

CuPy has no counter of its own, and a stream that is being captured refuses cuBLAS.  CUPTI writes one record for each
kernel that ran, whoever started it, into buffers that it asks for; here they are counted and thrown away.  It comes
with CUDA's toolkit and with PyTorch; where it is not, nothing is counted and the reason is said.
"""

import ctypes
import importlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

KERNEL = 10  # CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL
FORCED = 1  # CUPTI_ACTIVITY_FLAG_FLUSH_FORCED
BUFFER = 2**20  # bytes; a record has a few hundred
NAMES = ("libcupti.so.13", "libcupti.so.12", "libcupti.so")

# void request(uint8_t **buffer, size_t *size, size_t *max_records)
Request = ctypes.CFUNCTYPE(
    None, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)
)
# void complete(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
Complete = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)


class NoCountError(RuntimeError):
    """Nothing was counted; str(error) says why."""


class LaunchCounter:
    """Counts kernels; every call to CUPTI may raise NoCountError."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.buffers: dict[int, Any] = {}  # address -> memory that CUPTI writes to
        self.kernels = 0
        self.callbacks = Request(self.give), Complete(self.take)  # kept: CUPTI has nothing but their addresses
        self.check("cuptiActivityRegisterCallbacks", *self.callbacks)

    def count(self, call: Callable[[], Any], wait: Callable[[], None]) -> int:
        """Kernels that one call starts; ``wait`` returns when the device has done everything."""
        wait()
        self.check("cuptiActivityEnable", ctypes.c_uint32(KERNEL))
        try:
            self.check("cuptiActivityFlushAll", ctypes.c_uint32(FORCED))
            self.kernels = 0
            call()
            wait()
            self.check("cuptiActivityFlushAll", ctypes.c_uint32(FORCED))
            return self.kernels
        finally:
            self.check("cuptiActivityDisable", ctypes.c_uint32(KERNEL))

    def check(self, function: str, *arguments: Any) -> None:
        """Call CUPTI; anything but 0 is an error."""
        code = getattr(self.library, function)(*arguments)
        if code != 0:
            msg = f"{function} answers {code}"
            raise NoCountError(msg)

    def give(self, buffer: Any, size: Any, most: Any) -> None:
        """CUPTI asks for memory."""
        memory = ctypes.create_string_buffer(BUFFER + 8)  # it wants addresses that 8 divides
        address = -(-ctypes.addressof(memory) // 8) * 8
        self.buffers[address] = memory
        buffer[0], size[0], most[0] = address, BUFFER, 0  # as many records as fit

    def take(self, context: Any, stream: int, buffer: int, size: int, valid: int) -> None:
        """CUPTI gives it back; every record begins with its kind."""
        record = ctypes.c_void_p()
        address, end = ctypes.c_void_p(buffer), ctypes.c_size_t(valid)
        while self.library.cuptiActivityGetNextRecord(address, end, ctypes.byref(record)) == 0 and record.value:
            self.kernels += ctypes.c_uint32.from_address(record.value).value == KERNEL
        self.buffers.pop(buffer, None)


@cache
def launch_counter() -> LaunchCounter:
    """The one of this process: CUPTI keeps the callbacks of the first."""
    return LaunchCounter(load_cupti())


def load_cupti() -> Any:
    """CUPTI from where NVIDIA's packages put it, or from where the system looks; NoCountError where it is nowhere."""
    with suppress(ImportError, RuntimeError, ValueError, OSError):  # comes with CuPy 14; does not find or know it
        found = importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("cupti")
        if found.abs_path:  # without a path CDLL would give this process itself, which has no CUPTI
            return ctypes.CDLL(found.abs_path)
    for name in NAMES:
        with suppress(OSError):
            return ctypes.CDLL(name)
    msg = "CUPTI is not here"
    raise NoCountError(msg)
