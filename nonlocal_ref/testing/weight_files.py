"""Parameters in files: .safetensors (extra "weights") and .npz, neither of which can run code when it is read."""

import importlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from nonlocal_ref.backend import dtype_name, to_numpy
from nonlocal_ref.machine.whole_files import write_whole
from nonlocal_ref.testing.npz import npz_bytes, read_npz

ENDINGS = (".npz", ".safetensors")


def save_weights(path: str | os.PathLike[str], arrays: Mapping[Any, Any]) -> None:
    """Write a dict of arrays to a .npz or .safetensors file, whole or not at all.

    Parameters
    ----------
    path : path
        Its ending says which format.
    arrays : mapping of str to array
        Parameters, a state dict; arrays of any library.

    Raises
    ------
    TypeError, ValueError
        For what is not a named array of numbers, or an unknown ending.
    ImportError
        For .safetensors without the package, with the line that installs it.

    Notes
    -----
    The NumPy writer of safetensors stores the memory of an array as it lies there: of a transposed or sliced view it
    writes the wrong numbers, without a word.  Arrays are made contiguous first.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from nonlocal_ref.testing import load_weights, save_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "block.npz")
    ...     save_weights(path, {"theta.weight": np.eye(2)})
    ...     load_weights(path)
    {'theta.weight': array([[1., 0.],
           [0., 1.]])}
    """
    ending = _ending(path)
    hosts = {name: _contiguous(name, array, ending) for name, array in _items(arrays)}
    write_whole({Path(path): npz_bytes(hosts) if ending == ".npz" else _safetensors().save(hosts)})


def load_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read all arrays of a .npz or .safetensors file; no pickle, no code.

    Parameters
    ----------
    path : path
        Its ending says which format.

    Returns
    -------
    dict of str to numpy.ndarray
        For `read_state_dict`, or our parameters as they are.

    Raises
    ------
    ValueError
        For a corrupt, truncated or hostile file (a header that declares more than the file holds, arrays of objects,
        more than 256 MB that are 16 times as large as the file), with the name of the file and what is wrong with it.
    OSError
        If there is no such file.
    ImportError
        For .safetensors without the package, with the line that installs it.

    Examples
    --------
    See `save_weights`.
    """
    if _ending(path) == ".npz":
        arrays, _ = read_npz(path)
        return arrays
    reader, content = _safetensors(), Path(path).read_bytes()
    try:
        return {name: np.array(array) for name, array in reader.load(content).items()}
    except Exception as error:  # the library has its own errors, and KeyError for a dtype that NumPy does not have
        reason = f"dtype {error} is not one of NumPy's" if isinstance(error, KeyError) else str(error)
        msg = f"{os.fspath(path)!r} is not a whole .safetensors file that NumPy can hold: {reason}"
        raise ValueError(msg) from error


def _items(arrays: Any) -> Iterable[tuple[Any, Any]]:
    """Names and arrays of a mapping."""
    if not isinstance(arrays, Mapping):
        msg = f"arrays must map names to arrays, got {type(arrays).__name__}"
        raise TypeError(msg)
    return arrays.items()


def _contiguous(name: Any, array: Any, ending: str) -> np.ndarray:
    """One array as a file of that kind can hold it: on the host, row by row, in the byte order of this machine."""
    if not isinstance(name, str) or not is_array_api_obj(array):
        msg = f"arrays must map names to arrays, got {name!r}: {type(array).__name__}"
        raise TypeError(msg)
    try:
        host = to_numpy(array)
    except Exception as error:  # NumPy has no bfloat16, and a library may refuse to copy
        hint = "; widen it first: x.float()" if dtype_name(array.dtype) == "bfloat16" else f": {error}"
        msg = f"{name} is {dtype_name(array.dtype)} and cannot become a NumPy array{hint}"
        raise TypeError(msg) from error
    if host.dtype.kind not in "biufc":
        msg = f"{name} must hold numbers, got {host.dtype}"
        raise TypeError(msg)
    if ending == ".safetensors" and (host.dtype.kind == "c" or host.dtype.itemsize > 8):
        msg = f"{name} is {host.dtype}, which .safetensors does not hold; a .npz file does"
        raise TypeError(msg)
    return np.array(host, dtype=host.dtype.newbyteorder("="), order="C")


def _ending(path: str | os.PathLike[str]) -> str:
    ending = Path(path).suffix
    if ending not in ENDINGS:
        msg = f"path must end in {' or '.join(ENDINGS)}, got {os.fspath(path)!r}"
        raise ValueError(msg)
    return ending


def _safetensors() -> Any:
    try:
        return importlib.import_module("safetensors.numpy")
    except ImportError as error:
        msg = f".safetensors files need the package safetensors: pip install safetensors ({error})"
        raise ImportError(msg) from error
