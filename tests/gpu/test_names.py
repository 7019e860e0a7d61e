"""Every name that the package takes from an array library is there, with the arguments it is called with."""

import ast
import importlib
import inspect
from functools import cache
from pathlib import Path

import pytest

import nonlocal_ref
from tests.gpu import stand_in

LIBRARIES = {
    "numpy": "array_api_compat.numpy",
    "array_api_strict": "array_api_strict",
    "torch": "array_api_compat.torch",
    "jax": "jax.numpy",
    "cupy": "array_api_compat.cupy",
}
OF_ONE_LIBRARY = {"Device", "__name__", "cuda"}  # asked for where the library is known


@cache
def taken():
    """Names taken from ``xp``, and the calls: name -> how many arguments and which keywords."""
    names, calls = set(), set()
    for file in Path(nonlocal_ref.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if is_name(node):
                names.add(node.attr)
            if isinstance(node, ast.Call) and is_name(node.func) and not has_stars(node):
                calls.add((node.func.attr, len(node.args), tuple(sorted(word.arg for word in node.keywords))))
    return names - OF_ONE_LIBRARY, {call for call in calls if call[0] not in OF_ONE_LIBRARY}


def is_name(node):
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "xp"


def has_stars(node):
    return any(isinstance(value, ast.Starred) for value in node.args) or any(word.arg is None for word in node.keywords)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.gpu if name == "cupy" else ()) for name in LIBRARIES])
def namespace(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return importlib.import_module(LIBRARIES[request.param])


def test_every_name_is_in_the_library(namespace):
    names, _ = taken()
    assert len(names) > 30
    assert not [name for name in sorted(names) if not hasattr(namespace, name)]


def test_every_call_fits_the_functions_signature(namespace):
    _, calls = taken()
    assert len(calls) > 30
    checked = 0
    for name, count, keywords in sorted(calls):
        try:
            signature = inspect.signature(getattr(namespace, name))
        except (TypeError, ValueError):  # ufuncs and built-in functions have none
            continue
        signature.bind(*range(count), **dict.fromkeys(keywords))
        checked += 1
    assert checked > 10


@pytest.mark.gpu
def test_the_stand_in_has_no_name_that_cupy_lacks():
    pytest.importorskip("cupy", reason="cupy is not installed")
    importlib.import_module("cupyx.profiler")
    for name, module in stand_in.make_modules().items():
        real = importlib.import_module(name)
        own = [word for word in vars(module) if not word.startswith("_") and name not in {"cupy", "cupy.fft"}]
        assert not [word for word in own if name != "cupy.linalg" and not hasattr(real, word)]
    cupy = importlib.import_module("cupy")
    for kind in ("Device", "MemoryPool"):
        own = [word for word in vars(getattr(stand_in, kind)) if not word.startswith("__")]
        assert not [word for word in own if not hasattr(getattr(cupy.cuda, kind), word)]
    own, real = (inspect.signature(function).parameters for function in (stand_in.benchmark, cupyx_benchmark()))
    assert set(own) <= set(real)


def cupyx_benchmark():
    return importlib.import_module("cupyx.profiler").benchmark
