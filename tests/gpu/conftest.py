"""The stand-in for CuPy as a fixture."""

import importlib
import importlib.util
import sys
from functools import cache

import array_api_compat
import pytest

from nonlocal_ref.comparison import measurement
from tests.gpu import stand_in


@cache
def stand_in_modules():
    """Made once: array-api-compat remembers which namespace belongs to a type."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stand_in.make_modules().items():
            patch.setitem(sys.modules, name, module)
        before = set(sys.modules)
        importlib.import_module("array_api_compat.cupy")
        return {name: sys.modules[name] for name in sys.modules if name.startswith("cupy")} | {
            name: sys.modules.pop(name) for name in set(sys.modules) - before if name.startswith("array_api_compat")
        }


@pytest.fixture
def stand_in_gpu(monkeypatch):
    """A machine whose GPU is NumPy under CuPy's name, see stand_in.py."""
    if importlib.util.find_spec("cupy") is not None:
        pytest.skip("CuPy itself is here: what needs a GPU runs there")
    for name, module in stand_in_modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(array_api_compat, "cupy", sys.modules["array_api_compat.cupy"], raising=False)
    for on_gpu in (False, True):
        monkeypatch.setitem(measurement.PRODUCT_SIDE, on_gpu, 16)
        monkeypatch.setitem(measurement.COPY_COUNT, on_gpu, 16)
    monkeypatch.setattr(measurement, "PAUSE", 0.0)
