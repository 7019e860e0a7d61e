"""The array-module abstraction: one source for NumPy, CuPy, PyTorch, JAX and array-api-strict arrays.

The mathematics never asks "which library?"; it asks an array for its namespace and uses only what the array API
standard (v2025.12) names:

    xp = array_namespace(x)
    y = xp.exp(x)

``array_namespace`` and ``device`` come from array-api-compat.  ``cupy.get_array_module`` is the 2017 form of the same
idea; it knows NumPy and CuPy only.  What is left for this file is moving arrays between libraries, which the standard
does not cover.
"""

import importlib
import os
from functools import cache
from typing import Any

import numpy as np
from array_api_compat import (
    array_namespace,
    device,
    is_array_api_obj,
    is_cupy_array,
    is_jax_array,
    is_torch_array,
    to_device,
)

__all__ = [
    "BACKENDS",
    "Array",
    "BackendUnavailableError",
    "add_at",
    "array_namespace",
    "backend_name",
    "device",
    "dtype_name",
    "from_host",
    "library_name",
    "load_backend",
    "lower_at",
    "to_backend",
    "to_numpy",
]

Array = Any  # there is no usable array protocol for type checkers yet; shapes live in docstrings

_NAMESPACES = {
    "numpy": "array_api_compat.numpy",
    "cupy": "array_api_compat.cupy",
    "torch": "array_api_compat.torch",
    "jax": "jax.numpy",
    "array_api_strict": "array_api_strict",
}
BACKENDS = tuple(_NAMESPACES)
_FLOATING = ("float32", "float64", "complex64", "complex128")

_INSTALL = {
    "cupy": 'pip install "cupy-cuda13x[ctk]" (with a driver before 580: "cupy-cuda12x[ctk]")',
    "torch": "pip install torch",
    "jax": "pip install jax",
    "array_api_strict": "pip install array-api-strict",
}


class BackendUnavailableError(ValueError):
    """The backend asked for is not installed, or there is no device for it."""


def add_at(total: Array, region: Any, value: Array) -> Array:
    """Add ``value`` to ``total[region]`` and return the result: in place, except for JAX's immutable arrays."""
    if is_jax_array(total):
        return total.at[region].add(value)
    total[region] += value
    return total


def lower_at(lowest: Array, region: Any, value: Array) -> Array:
    """Take the minimum of ``lowest[region]`` and ``value``: in place, except for JAX's immutable arrays."""
    if is_jax_array(lowest):
        return lowest.at[region].min(value)
    before = lowest[region]
    if is_torch_array(lowest):  # autograd keeps what the minimum was taken of, and refuses to find it changed
        before = before.clone()
    lowest[region] = array_namespace(lowest).minimum(before, value)
    return lowest


def backend_name(x: Array) -> str:
    """Name of the library an array belongs to, as in `BACKENDS`."""
    return library_name(array_namespace(x))


def library_name(xp: Any) -> str:
    """Name of a namespace, as in `BACKENDS`; its own name for a library that is not there."""
    named = {namespace: library for library, namespace in _NAMESPACES.items()}
    return named.get(xp.__name__, str(xp.__name__))


def dtype_name(dtype: Any) -> str:
    """Name of a dtype of any library: ``"float32"`` for ``numpy.float32``, ``torch.float32``, ``jnp.float32``, ..."""
    if isinstance(dtype, np.dtype):
        return _numpy_name(dtype)
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return str(dtype).rsplit(".", maxsplit=1)[-1]


@cache
def _numpy_name(dtype: np.dtype[Any]) -> str:
    """The same for NumPy, which puts a name together anew each time: every array that comes in is asked for its own."""
    return str(dtype.name)


def load_backend(name: str) -> tuple[Any, Any]:
    """Namespace and device for ``"numpy"``, ``"cupy"``, ... or ``"name:device"``, as in ``"cupy:1"``.

    Raises
    ------
    ValueError
        If there is no such backend.
    BackendUnavailableError
        If it is not installed, cannot be imported, or has no device here; the message has the line that installs it.
    """
    library, _, where = name.partition(":")
    if library not in BACKENDS:
        msg = f"backend must be one of {', '.join(BACKENDS)} (or 'name:device'), got {name!r}"
        raise ValueError(msg)
    try:
        xp = importlib.import_module(_NAMESPACES[library])
    except Exception as error:  # a library that is there and does not fit the system fails in many ways
        raise BackendUnavailableError(_why_not_imported(library, error)) from error
    if library == "cupy" and not xp.cuda.is_available():  # importing CuPy succeeds without a GPU
        msg = (
            "backend 'cupy' is installed, but no CUDA device is available; it needs an NVIDIA GPU with a driver, and "
            f"the package that fits the driver: {_INSTALL['cupy']}"
        )
        raise BackendUnavailableError(msg)
    try:
        place = _find_device(library, xp, where)
        xp.asarray(0.0, dtype=xp.float32, device=place)  # array-api-compat's zeros overlooks CuPy's device
    except Exception as error:  # every library has its own error for a device that is not there
        what = f"no device {where!r} here" if where else "no device here that it can use"
        wish = os.environ.get("JAX_PLATFORMS") if library == "jax" else None
        what += f" (JAX_PLATFORMS={wish})" if wish else ""
        msg = f"backend {library!r} has {what}: {_first_line(error)}"
        raise BackendUnavailableError(msg) from error
    return xp, place


def _why_not_imported(library: str, error: Exception) -> str:
    """Not installed, or installed and broken: what helps is not the same."""
    install = _INSTALL.get(library, library)
    if isinstance(error, ModuleNotFoundError) and error.name in (library, _NAMESPACES[library], None):
        return f"backend {library!r} is not installed ({error}); install it with: {install}"
    broken = f"backend {library!r} is installed, but cannot be imported ({_first_line(error)})"
    return f"{broken}; install one that fits: {install}"


def _first_line(error: Exception) -> str:
    """The kind of an error, and the first line of what it says, if it says anything."""
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {said}".removesuffix(": ")


def _find_device(library: str, xp: Any, where: str) -> Any:
    """The device object that ``where`` names; None is the default device."""
    if not where:
        return None
    if library == "cupy":
        return xp.cuda.Device(int(where))
    if library == "jax":
        kind, _, index = where.partition(":")
        return importlib.import_module("jax").devices(kind)[int(index or 0)]
    if library == "array_api_strict":
        return xp.Device(where)
    return where


def to_numpy(x: Array) -> np.ndarray:
    """Copy an array of any library to host NumPy: the only way from a device to the host in this package."""
    if is_torch_array(x):
        host: np.ndarray = x.detach().numpy(force=True)  # conj and neg views resolved
        return np.array(host) if x.device.type == "cpu" else host  # from a device it is a copy already
    if is_cupy_array(x):
        copy: np.ndarray = x.get()
        return copy
    if backend_name(x) == "array_api_strict":
        xp = array_namespace(x)
        return np.array(np.asarray(to_device(x, xp.Device("CPU_DEVICE"))))
    return np.array(x)


def from_host(x: np.ndarray, xp: Any, place: Any, dtype: str | None = None) -> Array:
    """Copy a host array to a namespace and device, keeping its dtype unless ``dtype`` names another precision."""
    is_float = np.issubdtype(x.dtype, np.inexact)
    if dtype is not None and is_float:
        x = x.astype(np.result_type(dtype, np.complex64) if np.iscomplexobj(x) else dtype)
    x = x.astype(x.dtype.newbyteorder("="), copy=False)  # the order of the bytes is NumPy's own affair
    kind = dtype_name(x.dtype)
    if not hasattr(xp, kind):
        advice = "pass dtype='float64' or 'float32'" if is_float else "cast it first"
        msg = f"{library_name(xp)} has no {kind}; {advice}"
        raise TypeError(msg)
    if xp.__name__ == "jax.numpy":
        _check_jax_width(x)
    try:
        return xp.asarray(x, dtype=getattr(xp, kind), device=place, copy=True)
    except ValueError as error:  # array-api-strict's device without float64
        msg = f"device {place} cannot hold {kind}: {error} Pass dtype='float32'"
        raise ValueError(msg) from error


def _check_jax_width(x: np.ndarray) -> None:
    """Refuse 64 bits where JAX would silently make 32 of them."""
    held = importlib.import_module("jax").dtypes.canonicalize_dtype(x.dtype)
    if held == x.dtype:
        return
    is_float = np.issubdtype(x.dtype, np.inexact)
    advice = "pass dtype='float32'" if is_float else f"cast it first (x.astype({held.name!r}) in NumPy)"
    msg = (
        f"JAX would turn {x.dtype.name} into 32 bits silently; {advice}, or let it hold 64 bits: "
        "jax.config.update('jax_enable_x64', True)"
    )
    raise ValueError(msg)


def to_backend(tree: Any, like_or_name: Any, dtype: Any = None) -> Any:
    """Copy an array, or a dict of arrays, to another array library or device.

    Parameters
    ----------
    tree : array or dict of arrays
        What to copy; a dict comes back as a dict with the same keys.
    like_or_name : array or str
        An array gives its namespace, its device and, if it is floating, its floating dtype; one of half precision needs
        a `dtype`.  A name, one of `BACKENDS` or ``"name:device"`` (``"cupy:1"``, ``"array_api_strict:device1"``), keeps
        the dtype.
    dtype : dtype or str, optional
        Floating dtype to convert to, ``"float32"`` for instance.  Integer and boolean arrays keep theirs.

    Returns
    -------
    array or dict of arrays
        Always a copy.

    Raises
    ------
    TypeError
        If ``tree`` holds something that is not a plain array of numbers or booleans, or a dtype that NumPy or the
        library asked for does not have, or if ``like_or_name`` is neither an array nor a name, or is of half precision.
    ValueError
        If the backend or the dtype is unknown, if the backend is not usable here, or would lose precision silently (JAX
        without x64).

    Notes
    -----
    Goes through host memory: one copy there, one copy back.

    References
    ----------
    Python array API standard, v2025.12: what the libraries have in common.

    Examples
    --------
    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> x = np.asarray([1.0, 2.0])
    >>> nl.to_backend({"x": x}, "numpy", dtype="float32")
    {'x': array([1., 2.], dtype=float32)}
    """
    xp, place, name = _read_target(like_or_name, dtype)

    def move(x: Any) -> Array:
        return from_host(to_numpy(_fit_for_host(x, name)), xp, place, name)

    if isinstance(tree, dict):
        return {key: move(x) for key, x in tree.items()}
    return move(tree)


def _read_target(like_or_name: Any, dtype: Any) -> tuple[Any, Any, str | None]:
    """Namespace, device, and name of the floating dtype to convert to, if any."""
    name = None if dtype is None else dtype_name(dtype)
    if name not in (None, *_FLOATING):
        msg = f"dtype must be one of {', '.join(_FLOATING)}, got {dtype!r}"
        raise ValueError(msg)
    if isinstance(like_or_name, str):
        return *load_backend(like_or_name), name
    if not is_array_api_obj(like_or_name):
        msg = f"like_or_name must be an array or one of {', '.join(BACKENDS)}, got {type(like_or_name).__name__}"
        raise TypeError(msg)
    xp, kind = array_namespace(like_or_name), dtype_name(like_or_name.dtype)
    if name is None and kind in _FLOATING:
        name = kind
    elif name is None and xp.isdtype(like_or_name.dtype, ("real floating", "complex floating")):
        msg = (
            f"like_or_name is {kind}, which nothing here computes in; pass dtype='float32' or 'float64' to go to its "
            "library and device alone"
        )
        raise TypeError(msg)
    return xp, device(like_or_name), name


def _fit_for_host(x: Any, name: str | None) -> Array:
    """``x`` as NumPy can hold it: half precision becomes float32 where a dtype is asked for, which loses nothing."""
    if not is_array_api_obj(x):
        msg = f"tree must be an array or a dict of arrays, got {type(x).__name__}"
        raise TypeError(msg)
    xp, kind = array_namespace(x), dtype_name(x.dtype)
    if isinstance(x, np.ma.MaskedArray) or not xp.isdtype(x.dtype, ("numeric", "bool")):
        msg = f"tree must hold plain arrays of numbers or booleans, got {type(x).__name__} of {kind}"
        raise TypeError(msg)
    if not xp.isdtype(x.dtype, "real floating") or xp.finfo(x.dtype).bits >= np.finfo(np.float32).bits:
        return x
    if name is not None:
        return xp.astype(x, xp.float32)
    if not hasattr(np, kind):
        msg = f"tree holds {kind}, which NumPy, the way between the libraries, does not have; pass dtype='float32'"
        raise TypeError(msg)
    return x
