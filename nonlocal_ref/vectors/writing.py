"""`write_vectors`: the golden vectors as one .npz file."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nonlocal_ref import __version__
from nonlocal_ref.machine.whole_files import write_whole
from nonlocal_ref.testing.magnitudes import LIMIT, Values
from nonlocal_ref.testing.npz import npz_bytes
from nonlocal_ref.vectors.cases import Case, all_cases
from nonlocal_ref.vectors.computation import Outputs, compute_outputs, draw_inputs

FORMAT = "nonlocal_ref golden vectors"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"


def write_vectors(path: str | os.PathLike[str]) -> None:
    """Write inputs, parameters, outputs and gradients of every kind of block to one .npz file, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.npz``; an existing file is replaced.

    Raises
    ------
    ValueError
        For another ending.
    OSError
        If the file cannot be written.

    Notes
    -----
    240 cases, float64, 5.5 MB, in about two seconds.  The same bytes for the same version of this package, of NumPy and
    of its BLAS; another BLAS may round the last digit of an output otherwise.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nonlocal_ref.vectors import check_vectors, write_vectors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "vectors.npz")
    ...     write_vectors(path)
    ...     report = check_vectors(path)
    >>> bool(report), report.cases
    (True, 240)
    """
    if Path(path).suffix != ".npz":
        msg = f"path must end in .npz, got {os.fspath(path)!r}"
        raise ValueError(msg)
    write_whole({Path(path): vectors_bytes(all_cases())})


def vectors_bytes(cases: Iterable[Case]) -> bytes:
    """The content of the file for these cases."""
    arrays: Values = {}
    described: dict[str, Any] = {}
    for case in cases:
        inputs = draw_inputs(case)
        outputs = compute_outputs(case, inputs)
        arrays |= {f"{case.name}/{name}": value for name, value in (inputs | outputs.values).items()}
        described[case.name] = describe(case) | {"magnitudes": magnitudes_of(outputs)}
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "nonlocal_ref": __version__,
        "error_ratio": LIMIT,
        "cases": described,
        "sha256": {name: checksum(array) for name, array in arrays.items()},
    }
    return npz_bytes(arrays, {MANIFEST: json.dumps(manifest)})


def describe(case: Case) -> dict[str, Any]:
    """A case in words that any language can read."""
    config = case.config
    scale, kernel = config.scale_factor, config.kernel
    spelled = {"inner_channels": config.inner, "scale": scale, "subsample": None if kernel is None else list(kernel)}
    return {"config": asdict(config) | spelled, "training": case.training}


def magnitudes_of(outputs: Outputs) -> dict[str, float]:
    """The largest magnitude of each output, in three digits: |difference| <= 30 ε magnitude is right."""
    return {name: float(f"{size.max():.3g}") for name, size in outputs.magnitudes.items()}


def checksum(array: np.ndarray) -> str:
    """sha256 of the numbers, row by row, little-endian."""
    return hashlib.sha256(np.array(array, dtype=array.dtype.newbyteorder("<"), order="C").tobytes()).hexdigest()
