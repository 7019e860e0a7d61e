"""Moving arrays between libraries, and the names of libraries, devices and dtypes."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref import backend
from nonlocal_ref.backend import (
    BACKENDS,
    add_at,
    array_namespace,
    backend_name,
    device,
    dtype_name,
    library_name,
    load_backend,
    lower_at,
    to_numpy,
)
from tests.helpers import NUMPY, normal, same_kind


def name_of(xp):
    """The name `to_backend` knows the fixture's library and device by."""
    return {
        "numpy-read-only": "numpy",
        "strict": "array_api_strict",
        "strict-device1": "array_api_strict:device1",
        "strict-no-float64": "array_api_strict:no_float64",
    }.get(xp.name, xp.name)


# to_backend


def test_an_array_gives_its_namespace_device_and_dtype(xp, rng):
    like = xp.asarray(normal(rng, 2))
    moved = nl.to_backend(normal(rng, 3, 4), like)
    assert same_kind(moved, xp.asarray(np.ones((3, 4))))


def test_a_name_gives_its_namespace_and_device(xp, rng):
    moved = nl.to_backend(normal(rng, 3, 4), name_of(xp), dtype=xp.precision)
    assert same_kind(moved, xp.asarray(np.ones((3, 4))))


def test_there_and_back_changes_nothing(xp, rng):
    host = normal(rng, 3, 4)
    there = nl.to_backend(host, name_of(xp), dtype=xp.precision)
    np.testing.assert_array_equal(nl.to_backend(there, "numpy"), host)


@pytest.mark.parametrize("values", [[True, False], np.arange(3), np.arange(3, dtype=np.uint8), np.float32([1, 2])])
def test_a_name_keeps_the_dtype(values, xp):
    host = np.asarray(values)
    moved = nl.to_backend(host, name_of(xp))
    assert dtype_name(moved.dtype) == host.dtype.name
    np.testing.assert_array_equal(to_numpy(moved), host)


def test_a_dict_comes_back_with_the_same_keys(xp, rng):
    tree = {"w": normal(rng, 2, 3), "b": normal(rng, 2)}
    moved = nl.to_backend(tree, xp.asarray(normal(rng, 1)))
    assert list(moved) == ["w", "b"]
    for key, value in tree.items():
        assert same_kind(moved[key], xp.asarray(value))
        np.testing.assert_array_equal(to_numpy(moved[key]), value)


def test_it_is_always_a_copy(rng):
    x = normal(rng, 3)
    for moved in (nl.to_backend(x, "numpy"), nl.to_backend(x, x), nl.to_backend({"x": x}, x)["x"]):
        assert not np.shares_memory(moved, x)
        assert moved.flags.writeable


def test_a_dtype_overrules_that_of_the_array(rng):
    x = normal(rng, 3)
    assert nl.to_backend(x, x, dtype="float32").dtype == np.float32
    assert nl.to_backend(x, "numpy", dtype=np.float32).dtype == np.float32


def test_an_integer_array_gives_no_dtype(rng):
    assert nl.to_backend(normal(rng, 3), np.arange(2)).dtype == np.float64


def test_integers_and_booleans_keep_their_dtype_under_a_floating_one():
    assert nl.to_backend(np.arange(3), "numpy", dtype="float32").dtype == np.arange(3).dtype
    assert nl.to_backend(np.array([True]), np.float32([1])).dtype == np.bool_


@pytest.mark.parametrize(("dtype", "expected"), [("float32", np.complex64), ("float64", np.complex128)])
def test_complex_numbers_stay_complex_in_the_precision_asked_for(dtype, expected):
    assert nl.to_backend(np.array([1 + 2j]), "numpy", dtype=dtype).dtype == expected


def test_jax_without_64_bits_is_refused_rather_than_rounded(rng):
    jax = pytest.importorskip("jax", reason="jax is not installed")
    assert not jax.config.jax_enable_x64
    with pytest.raises(ValueError, match=r"JAX would turn float64 into 32 bits silently; pass dtype='float32'"):
        nl.to_backend(normal(rng, 3), "jax")
    moved = nl.to_backend(normal(rng, 3), "jax", dtype="float32")
    assert backend_name(moved) == "jax"
    assert nl.to_backend(moved, "numpy").dtype == np.float32


@pytest.mark.parametrize("width", ["int", "uint"])
def test_integers_that_jax_would_narrow_are_refused_with_a_cast_that_helps(width):
    pytest.importorskip("jax", reason="jax is not installed")
    wide = np.arange(3, dtype=f"{width}64")
    with pytest.raises(ValueError, match=rf"{width}64 into 32 bits silently; cast it first \(x.astype\('{width}32'\)"):
        nl.to_backend(wide, "jax")
    assert dtype_name(nl.to_backend(wide.astype(f"{width}32"), "jax").dtype) == f"{width}32"


def test_the_byte_order_does_not_hide_64_bits_from_jax(rng):
    pytest.importorskip("jax", reason="jax is not installed")
    with pytest.raises(ValueError, match="JAX would turn float64 into 32 bits silently"):
        nl.to_backend(normal(rng, 3).astype(">f8"), "jax")


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4", "<f8"])
def test_any_byte_order_becomes_the_one_of_the_machine(dtype, xp):
    host = np.arange(3).astype(dtype)
    if host.dtype.itemsize == 8 and xp.precision == "float32":
        pytest.skip("the device has no float64")
    moved = nl.to_backend(host, name_of(xp))
    assert dtype_name(moved.dtype) == host.dtype.name
    np.testing.assert_array_equal(to_numpy(moved), [0, 1, 2])


def test_numpy_gets_its_own_byte_order_too():
    assert nl.to_backend(np.ones(2, ">f8"), "numpy").dtype.isnative


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("source", ["torch", "jax"])
def test_half_precision_can_be_cast_on_the_way(source, half):
    namespace = half_precision(source)
    x = namespace.asarray([1.0, 2.5], dtype=getattr(namespace, half))
    for dtype in ("float32", "float64"):
        moved = nl.to_backend(x, "numpy", dtype)
        assert moved.dtype == dtype
        np.testing.assert_array_equal(moved, [1.0, 2.5])
    assert dtype_name(nl.to_backend(x, source, "float32").dtype) == "float32"


@pytest.mark.parametrize("source", ["torch", "jax"])
def test_a_dtype_that_numpy_does_not_have_is_refused_with_the_dtype_to_pass(source):
    namespace = half_precision(source)
    with pytest.raises(TypeError, match=r"tree holds bfloat16, which NumPy.* does not have; pass dtype='float32'"):
        nl.to_backend(namespace.asarray([1.0], dtype=namespace.bfloat16), "numpy")


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_an_array_of_half_precision_is_no_target_without_a_dtype(half, rng):
    torch = half_precision("torch")
    like = torch.asarray([1.0], dtype=getattr(torch, half))
    with pytest.raises(
        TypeError, match=f"like_or_name is {half}, which nothing here computes in; pass dtype='float32'"
    ):
        nl.to_backend(normal(rng, 3), like)
    assert dtype_name(nl.to_backend(normal(rng, 3), like, "float32").dtype) == "float32"


def half_precision(name):
    """A library with bfloat16."""
    return pytest.importorskip({"jax": "jax.numpy"}.get(name, name), reason=f"{name} is not installed")


@pytest.mark.parametrize("target", ["torch", "jax", "array_api_strict"])
def test_a_dtype_that_the_library_does_not_have_is_refused_with_one_that_it_has(target):
    pytest.importorskip(target, reason=f"{target} is not installed")
    x = np.ones(2, np.longdouble)
    if x.dtype == np.float64:
        pytest.skip("long double is double here")
    with pytest.raises(TypeError, match=rf"{target} has no {x.dtype.name}; pass dtype='float64' or 'float32'"):
        nl.to_backend(x, target)
    assert dtype_name(nl.to_backend(x, target, "float32").dtype) == "float32"


def test_the_lazy_views_of_torch_are_carried_out():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    conjugate = torch.tensor([1 + 2j]).conj()
    np.testing.assert_array_equal(nl.to_backend(conjugate, "numpy"), np.array([1 - 2j]))
    np.testing.assert_array_equal(nl.to_backend(conjugate.imag, "numpy"), [-2])


def test_a_device_without_double_is_refused_rather_than_rounded(rng):
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    with pytest.raises(ValueError, match=r"no_float64.* cannot hold float64: .* Pass dtype='float32'"):
        nl.to_backend(normal(rng, 3), "array_api_strict:no_float64")


@pytest.mark.parametrize(
    ("tree", "got"),
    [([1.0, 2.0], "list"), (1.0, "float"), (None, "NoneType"), ("numpy", "str"), ({"w": [1.0]}, "list")],
)
def test_to_backend_refuses_what_is_no_array(tree, got):
    with pytest.raises(TypeError, match=f"tree must be an array or a dict of arrays, got {got}"):
        nl.to_backend(tree, "numpy")


@pytest.mark.parametrize(
    "tree", [np.array([None]), np.array(["a"]), np.ma.array([1.0])], ids=["objects", "words", "masked"]
)
def test_to_backend_refuses_an_array_it_would_have_to_change(tree):
    with pytest.raises(TypeError, match="tree"):
        nl.to_backend(tree, "numpy")


@pytest.mark.parametrize("target", [3, None, [1.0]])
def test_to_backend_refuses_a_target_that_is_neither_array_nor_name(target, rng):
    with pytest.raises(TypeError, match="like_or_name"):
        nl.to_backend(normal(rng, 3), target)


@pytest.mark.parametrize("dtype", ["int32", "bool", "banana"])
def test_to_backend_refuses_a_dtype_that_is_not_floating(dtype, rng):
    with pytest.raises((TypeError, ValueError), match=f"dtype.*{dtype}"):
        nl.to_backend(normal(rng, 3), "numpy", dtype=dtype)


@pytest.mark.parametrize("name", ["tensorflow", "", "numpy2", "NumPy"])
def test_an_unknown_backend_is_refused_with_those_there_are(name, rng):
    with pytest.raises(ValueError, match=f"backend must be one of numpy, cupy, torch, jax, .*, got '{name}'"):
        nl.to_backend(normal(rng, 3), name)


def test_a_device_that_is_not_there_is_refused(rng):
    with pytest.raises(nl.BackendUnavailableError, match="backend 'numpy' has no device 'gpu' here"):
        nl.to_backend(normal(rng, 3), "numpy:gpu")


@pytest.mark.parametrize(
    ("library", "line"),
    [
        ("cupy", r'pip install "cupy-cuda13x\[ctk\]"'),
        ("torch", "pip install torch"),
        ("jax", "pip install jax"),
        ("array_api_strict", "pip install array-api-strict"),
    ],
)
def test_a_library_that_is_not_installed_is_refused_with_the_line_that_installs_it(library, line, rng, monkeypatch):
    for module in (library, f"array_api_compat.{library}", "jax.numpy"):
        monkeypatch.setitem(sys.modules, module, None)  # None: importing it is an ImportError
    with pytest.raises(nl.BackendUnavailableError, match=f"backend '{library}' is not installed .*{line}"):
        nl.to_backend(normal(rng, 3), library)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError("libcudnn.so.9: cannot open\nmore"), r"\(OSError: libcudnn.so.9: cannot open\)"),
        (ImportError("undefined symbol"), r"\(ImportError: undefined symbol\)"),
        (ModuleNotFoundError("No module named 'sympy'", name="sympy"), "ModuleNotFoundError: No module named 'sympy'"),
        (RuntimeError("jaxlib is newer than jax"), "RuntimeError: jaxlib is newer than jax"),
    ],
)
def test_a_library_that_is_broken_is_not_said_to_be_missing(error, why, monkeypatch):
    def broken(name):
        raise error

    monkeypatch.setattr(backend.importlib, "import_module", broken)
    with pytest.raises(nl.BackendUnavailableError, match=f"'torch' is installed, but cannot be imported .*{why}"):
        load_backend("torch")


def test_a_library_without_a_device_it_can_use_is_refused(monkeypatch):
    jax = pytest.importorskip("jax", reason="jax is not installed")

    def refuses(*words, **options):
        raise AssertionError  # which says nothing, as JAX's own

    monkeypatch.setattr(jax.numpy, "asarray", refuses)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    what = r"has no device here that it can use \(JAX_PLATFORMS=cuda\): AssertionError$"
    with pytest.raises(nl.BackendUnavailableError, match=what):
        load_backend("jax")


def test_cupy_without_a_gpu_is_refused(rng, monkeypatch):
    # importing CuPy succeeds on a machine without a GPU
    fake = SimpleNamespace(__name__="array_api_compat.cupy", cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", fake)
    with pytest.raises(nl.BackendUnavailableError, match=r"no CUDA device is available; .*NVIDIA GPU.*cupy-cuda12x"):
        nl.to_backend(normal(rng, 3), "cupy")


def test_a_numbered_gpu_is_found_by_its_number(monkeypatch):
    fake = SimpleNamespace(
        __name__="array_api_compat.cupy",
        cuda=SimpleNamespace(is_available=lambda: True, Device=lambda number: f"GPU {number}"),
        float32="float32",
        asarray=lambda x, dtype, device: None,
    )
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", fake)
    assert load_backend("cupy:1") == (fake, "GPU 1")


def test_an_unavailable_backend_is_a_value_error():
    assert issubclass(nl.BackendUnavailableError, ValueError)


def test_jax_devices_are_found_by_kind_and_number():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    for name in ("jax:cpu", "jax:cpu:0"):
        assert load_backend(name)[1] == jax.devices("cpu")[0]
    with pytest.raises(nl.BackendUnavailableError, match="backend 'jax' has no device 'cpu:99' here"):
        load_backend("jax:cpu:99")


# Names


def test_every_library_has_its_name(xp, rng):
    x = xp.asarray(normal(rng, 2))
    assert backend_name(x) == name_of(xp).partition(":")[0]
    assert library_name(array_namespace(x)) in BACKENDS


def test_an_unknown_library_has_its_own_name():
    assert library_name(SimpleNamespace(__name__="somebody.else")) == "somebody.else"


def test_a_dtype_has_one_name_in_every_library(xp, rng):
    assert dtype_name(xp.asarray(normal(rng, 2)).dtype) == xp.precision
    assert dtype_name(xp.asarray(np.array([True])).dtype) == "bool"


# Host and back


def test_to_numpy_is_a_copy_of_the_same_values(xp, rng):
    host = normal(rng, 2, 3)
    x = xp.asarray(host)
    out = to_numpy(x)
    np.testing.assert_array_equal(out, host)
    out[...] = 0
    np.testing.assert_array_equal(to_numpy(x), host)


def test_to_numpy_takes_a_torch_tensor_that_wants_a_gradient():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    np.testing.assert_array_equal(to_numpy(torch.ones(2, requires_grad=True)), [1, 1])


def test_add_at_adds_to_a_region_and_nowhere_else(xp):
    total = add_at(NUMPY.asarray(np.zeros((3, 4))) if xp.read_only else xp.asarray(np.zeros((3, 4))), *added(xp))
    np.testing.assert_array_equal(xp.to_numpy(total), [[0, 0, 0, 0], [0, 2, 2, 0], [0, 2, 2, 0]])


def added(xp):
    return (slice(1, 3), slice(1, 3)), xp.asarray(np.full((2, 2), 2.0))


def test_lower_at_takes_the_minimum_in_a_region_and_nowhere_else(xp):
    before = np.array([[1.0, 5.0], [5.0, 1.0], [5.0, 5.0]])
    start = NUMPY.asarray(before) if xp.read_only else xp.asarray(before)
    lowest = lower_at(start, (slice(0, 2), slice(0, 2)), xp.asarray(np.full((2, 2), 2.0)))
    np.testing.assert_array_equal(xp.to_numpy(lowest), [[1, 2], [2, 1], [5, 5]])


def test_add_at_and_lower_at_give_jax_a_new_array():
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")
    zeros = jnp.zeros(3)
    np.testing.assert_array_equal(add_at(zeros, slice(1, 2), jnp.ones(1)), [0, 1, 0])
    np.testing.assert_array_equal(lower_at(zeros, slice(1, 2), -jnp.ones(1)), [0, -1, 0])
    np.testing.assert_array_equal(zeros, [0, 0, 0])


def test_the_device_is_that_of_the_array(xp, rng):
    x = xp.asarray(normal(rng, 2))
    assert device(nl.to_backend(normal(rng, 2), x)) == device(x)
