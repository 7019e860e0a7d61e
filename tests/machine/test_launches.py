"""Counting kernels: what is asked of CUPTI, and what is made of its records."""

import ctypes
import importlib
import types

import pytest

from nonlocal_ref.machine import launches
from nonlocal_ref.machine.launches import KERNEL, LaunchCounter, NoCountError, load_cupti

MEMSET = 2


class FakeCupti:
    """Hands out records as CUPTI does: it asks for a buffer, fills it, gives it back when it is flushed."""

    def __init__(self, refuses=""):
        self.refuses, self.enabled, self.ran, self.asked = refuses, False, [], []

    def answer(self, name):
        self.asked.append(name)
        return 15 if name == self.refuses else 0

    def cuptiActivityRegisterCallbacks(self, request, complete):
        self.request, self.complete = request, complete
        return self.answer("register")

    def cuptiActivityEnable(self, kind):
        assert kind.value == KERNEL
        self.enabled = True
        return self.answer("enable")

    def cuptiActivityDisable(self, kind):
        assert kind.value == KERNEL
        self.enabled = False
        return self.answer("disable")

    def cuptiActivityFlushAll(self, flag):
        self.ran, kinds = [], self.ran
        if kinds:
            buffer, size, most = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
            self.request(ctypes.pointer(buffer), ctypes.pointer(size), ctypes.pointer(most))
            assert (buffer.value % 8, most.value) == (0, 0)
            for place, kind in enumerate(kinds):
                ctypes.c_uint32.from_address(buffer.value + 8 * place).value = kind
            self.complete(None, 0, buffer, size, 8 * len(kinds))
        return self.answer("flush")

    def cuptiActivityGetNextRecord(self, buffer, valid, record):
        pointer = record._obj
        following = buffer.value if pointer.value is None else pointer.value + 8
        if following >= buffer.value + valid.value:
            return 12  # CUPTI_ERROR_MAX_LIMIT_REACHED
        pointer.value = following
        return 0


def test_kernels_of_the_call_are_counted_and_nothing_else():
    cupti = FakeCupti()
    counter = LaunchCounter(cupti)
    cupti.ran = [KERNEL]  # before the call
    for _ in range(2):
        assert counter.count(lambda: cupti.ran.extend([KERNEL, MEMSET, KERNEL, KERNEL]), lambda: None) == 3
        assert not cupti.enabled
        assert not counter.buffers
    assert counter.count(lambda: None, lambda: None) == 0


@pytest.mark.parametrize("step", ["enable", "flush"])
def test_a_refusal_is_said(step):
    counter = LaunchCounter(FakeCupti(refuses=step))
    with pytest.raises(NoCountError, match=r"cuptiActivity\w+ answers 15"):
        counter.count(lambda: None, lambda: None)


def test_it_is_taken_from_nvidias_packages_first(monkeypatch):
    def load(name):
        return types.SimpleNamespace(abs_path=f"/packages/{name}")

    monkeypatch.setattr(importlib, "import_module", lambda name: types.SimpleNamespace(load_nvidia_dynamic_lib=load))
    monkeypatch.setattr(launches.ctypes, "CDLL", lambda path: path)
    assert load_cupti() == "/packages/cupti"


def no_package(name):
    raise ModuleNotFoundError(name)


def test_it_is_looked_for_in_the_system_next(monkeypatch):
    def of_cuda_12(path):
        if not path.endswith("12"):
            raise OSError(path)
        return path

    monkeypatch.setattr(importlib, "import_module", no_package)
    monkeypatch.setattr(launches.ctypes, "CDLL", of_cuda_12)
    assert load_cupti() == "libcupti.so.12"


def test_where_it_is_nowhere_nothing_is_counted(monkeypatch):
    def nowhere(path):
        raise OSError(path)

    monkeypatch.setattr(importlib, "import_module", no_package)
    monkeypatch.setattr(launches.ctypes, "CDLL", nowhere)
    launches.launch_counter.cache_clear()
    with pytest.raises(NoCountError, match="CUPTI is not here"):
        launches.launch_counter()


def test_a_place_without_a_path_is_not_taken_for_cupti(monkeypatch):
    def load(name):
        return types.SimpleNamespace(abs_path=None)

    monkeypatch.setattr(importlib, "import_module", lambda name: types.SimpleNamespace(load_nvidia_dynamic_lib=load))
    monkeypatch.setattr(launches.ctypes, "CDLL", lambda path: path)
    assert load_cupti() == launches.NAMES[0]
