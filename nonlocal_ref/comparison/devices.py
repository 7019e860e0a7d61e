"""The backends that are compared: which are here, how to wait for them, and how much memory they have left."""

import importlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, NamedTuple

from nonlocal_ref.backend import Array, BackendUnavailableError, load_backend
from nonlocal_ref.comparison import interruption
from nonlocal_ref.machine.folders import without_folders
from nonlocal_ref.machine.gpu import Gpu
from nonlocal_ref.machine.hardware import free_memory
from nonlocal_ref.machine.software import importable

STAND_IN = "array_api_strict:device1"  # refuses silent copies to the host, as a GPU does


class Backend:
    """One array library on one device.

    Raises
    ------
    BackendUnavailableError
        If it is not installed, or has no such device.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.library, _, self.place = name.partition(":")
        if self.library == "jax":  # it takes most of a GPU's memory at its start otherwise, and the others have none
            os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        self.namespace, self.device = load_backend(name)

    @cached_property
    def on_gpu(self) -> bool:
        """Whether its memory is not the host's: CUDA, XPU, Apple's MPS, whatever has a name that is not the CPU's."""
        if self.library == "jax" and not self.place:  # on a GPU by itself where it sees one
            return str(importlib.import_module("jax").default_backend()) != "cpu"
        return self.library == "cupy" or (self.library in {"torch", "jax"} and self.kind not in {"", "cpu"})

    @property
    def kind(self) -> str:
        """The device without its number: cuda of cuda:1."""
        return self.place.partition(":")[0]

    def torch_device(self) -> Any:
        """PyTorch's functions for its kind of device, torch.cuda for instance; None on the host."""
        return getattr(importlib.import_module("torch"), self.kind, None) if self.on_gpu else None

    @property
    def keeps_time(self) -> bool:
        """Whether its speed says anything: array-api-strict is NumPy with checks around it."""
        return self.library != "array_api_strict"

    def holding(self, dtype: str) -> AbstractContextManager[Any]:
        """What must be around everything in this precision."""
        if self.library == "jax" and dtype == "float64":
            jax = importlib.import_module("jax")
            home = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
            return home.enable_x64(True)  # type: ignore[no-any-return]
        if self.library == "cupy" and self.device is not None:
            return self.device  # type: ignore[no-any-return]
        return nullcontext()

    def wait(self, arrays: tuple[Array, ...]) -> None:
        """Until these are computed: libraries for GPUs return before that."""
        interruption.check()
        if self.library == "jax":
            for x in arrays:
                x.block_until_ready()
        elif self.library == "cupy":
            self.namespace.cuda.get_current_stream().synchronize()
        elif self.library == "torch" and self.kind == "mps":
            self.torch_device().synchronize()  # there is one at most, and it takes no name
        elif self.library == "torch" and self.on_gpu:
            self.torch_device().synchronize(self.device)

    def free_bytes(self) -> int | None:
        """Memory that is left on its device; None where nobody says."""
        if self.library == "cupy":
            free, _ = self.namespace.cuda.runtime.memGetInfo()
            return int(free + self.namespace.get_default_memory_pool().free_bytes())
        if self.library == "torch" and hasattr(self.torch_device(), "mem_get_info"):
            return int(self.torch_device().mem_get_info(self.device)[0])
        return None if self.on_gpu else free_memory()

    def give_back(self) -> None:
        """Return what is not in use to the device."""
        if self.library == "cupy":
            self.namespace.get_default_memory_pool().free_all_blocks()
        elif self.library == "torch" and self.on_gpu:
            self.torch_device().empty_cache()

    def device_name(self) -> str | None:
        """The GPU's name; None on the host, and where nobody says."""
        if self.library == "cupy":
            index = self.namespace.cuda.Device().id if self.device is None else self.device.id
            return str(self.namespace.cuda.runtime.getDeviceProperties(index)["name"].decode())
        if self.library == "torch" and hasattr(self.torch_device(), "get_device_name"):
            return str(self.torch_device().get_device_name(self.device))
        return None


class LeftOut(NamedTuple):
    """A backend that is installed, that nobody asked for by name, and that cannot be used."""

    backend: str
    reason: str


def default_backends(gpu: Gpu) -> tuple[list[Backend], list[LeftOut]]:
    """NumPy and whatever else is here: every GPU where there is one, otherwise what can stand in for it."""
    torch, jax, strict = (importable(name) for name in ("torch", "jax", "array_api_strict"))
    found, left_out = [Backend("numpy")], []

    def add(*names: str) -> None:
        for name in names:
            try:
                found.append(Backend(name))
            except BackendUnavailableError as error:
                left_out.append(LeftOut(name, without_folders(str(error))))

    if gpu:
        add("cupy", *(["torch:cuda"] if torch else []))
    elif torch and usable("torch:cuda"):  # CuPy cannot use the GPU, and PyTorch can
        add("torch:cuda")
    else:
        add(*([STAND_IN] if strict else []), *(["torch"] if torch else []), *(["jax"] if jax else []))
    return found, left_out


def usable(name: str) -> bool:
    """Whether a backend can be had here."""
    try:
        load_backend(name)
    except BackendUnavailableError:
        return False
    return True


def gpu_of(backends: Sequence[Backend], gpu: Gpu) -> Gpu:
    """The GPU of a comparison: CuPy's, or that of another backend which sits on one; otherwise why there is none."""
    others = [backend for backend in backends if backend.on_gpu]
    if gpu or not others:
        return gpu
    name = others[0].device_name() or f"the device of {others[0].name}"
    return Gpu(others[0].name, name, None, f"CuPy cannot use it: {gpu.reason}")
