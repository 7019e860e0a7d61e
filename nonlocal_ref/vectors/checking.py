"""`check_vectors`: whether a file of golden vectors is whole and agrees with the reference."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nonlocal_ref.testing.judgement import compare
from nonlocal_ref.testing.magnitudes import LIMIT, Values
from nonlocal_ref.testing.npz import Form, read_npz, shortened
from nonlocal_ref.vectors.cases import Case, all_cases
from nonlocal_ref.vectors.computation import compute_outputs, draw_inputs
from nonlocal_ref.vectors.writing import FORMAT, FORMAT_VERSION, MANIFEST, checksum, describe, magnitudes_of

EPS = float(np.finfo(np.float64).eps)
FORM = Form(most=2**24, plain=True)  # `write_vectors` writes 4.3 MB in all


class Difference(NamedTuple):
    """An array that is not as it should be, and how."""

    array: str
    what: str


@dataclass(frozen=True, repr=False)
class VectorsReport:
    """What was found in a file of golden vectors; true when every array is whole and agrees with the reference.

    Attributes
    ----------
    path : str
    cases, arrays : int
        How many were compared.
    differences : tuple of Difference
        Arrays that are missing, damaged, or off, in the order of the file; ``first`` is the first or None.
    worst : float
        The largest error ratio of an output.
    written_by : str
        The version of this package that wrote the file.
    """

    path: str
    cases: int
    arrays: int
    differences: tuple[Difference, ...]
    worst: float
    written_by: str

    def __bool__(self) -> bool:
        return not self.differences

    @property
    def first(self) -> Difference | None:
        """The first array that differs."""
        return self.differences[0] if self.differences else None

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        if self.first is None:
            return f"{self.path}: right ({self.cases} cases, {self.arrays} arrays, error ratio {self.worst:.2g})"
        more = len(self.differences) - 1
        lines = [f"{self.path}: WRONG: {self.first.array}: {self.first.what}"]
        lines += [f"and {more} more {'array' if more == 1 else 'arrays'}"] if more else []
        return "\n".join([*lines, f"written by nonlocal_ref {self.written_by}"])


def check_vectors(path: str | os.PathLike[str]) -> VectorsReport:
    """Verify the checksums of a file of golden vectors, compute everything again from its inputs, and compare.

    Parameters
    ----------
    path : path
        What `write_vectors` wrote, here or elsewhere.

    Returns
    -------
    VectorsReport
        True when all is well; ``first`` names the first array that differs, ``str`` explains.

    Raises
    ------
    ValueError
        If it is no such file: corrupt, truncated, without a manifest, of another format version, larger than the
        golden vectors are, with arrays that are compressed, big-endian or column by column.
    OSError
        If it cannot be opened.

    Notes
    -----
    Nothing in the file is trusted: sizes are checked before arrays are made, which blocks to compute is taken from this
    package, and nothing is unpickled.  It may hold 16 MB, whatever its size on the disk.

    Examples
    --------
    See `write_vectors`.
    """
    return check_cases(path, all_cases())


def check_cases(path: str | os.PathLike[str], cases: Sequence[Case]) -> VectorsReport:
    """`check_vectors` for a file that has these cases."""
    arrays, text = read_npz(path, MANIFEST, FORM)
    manifest = read_manifest(os.fspath(path), text)
    differences = _other_limit(manifest) + _damaged(arrays, manifest["sha256"])
    worst = 0.0
    for case in cases:
        found, ratio = _compare_case(case, arrays, manifest["cases"])
        differences += found
        worst = max(worst, ratio)
    unknown = sorted(set(manifest["cases"]) - {case.name for case in cases})
    differences += [Difference(name, "is a case that this version does not know") for name in unknown]
    first_word: dict[str, Difference] = {}
    for difference in differences:
        first_word.setdefault(difference.array, difference)
    order = {name: i for i, name in enumerate(arrays)}
    kept = tuple(sorted(first_word.values(), key=lambda difference: order.get(difference.array, -1)))
    return VectorsReport(os.fspath(path), len(cases), len(arrays), kept, worst, str(manifest["nonlocal_ref"]))


def read_manifest(path: str, text: str | None) -> Any:
    """The manifest, if it is one of this format."""
    if text is None:
        msg = f"{path!r} has no {MANIFEST}: it is not a file of golden vectors"
        raise ValueError(msg)
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"the {MANIFEST} of {path!r} is not JSON: {error}"
        raise ValueError(msg) from error
    needs = {"format": str, "format_version": int, "nonlocal_ref": str, "cases": dict, "sha256": dict}
    for key, kind in needs.items():
        if not isinstance(manifest, dict) or not isinstance(manifest.get(key), kind):
            msg = f"the {MANIFEST} of {path!r} must be an object with a {kind.__name__} under {key!r}"
            raise ValueError(msg)
    if (manifest["format"], manifest["format_version"]) != (FORMAT, FORMAT_VERSION):
        came = f"{manifest['format']!r} version {manifest['format_version']}"
        msg = f"{path!r} has the format {came}; this version reads {FORMAT!r} version {FORMAT_VERSION}"
        raise ValueError(msg)
    return manifest


def _other_limit(manifest: Mapping[str, Any]) -> list[Difference]:
    """The limit by which others judge with this file must be the one that it is judged by here."""
    came = manifest.get("error_ratio")
    if isinstance(came, float | int) and came == LIMIT:
        return []
    said = "none" if came is None else shortened(repr(came), 60)
    return [Difference(MANIFEST, f"must have an error_ratio of {LIMIT:g}, got {said}")]


def _damaged(arrays: Values, sums: Mapping[str, Any]) -> list[Difference]:
    """Arrays that the manifest does not know, or knows otherwise."""
    found = [Difference(name, "is in the manifest but not in the file") for name in sums if name not in arrays]
    for name, array in arrays.items():
        if name not in sums:
            found.append(Difference(name, "is in the file but not in the manifest"))
        elif checksum(array) != sums[name]:
            found.append(Difference(name, "has another sha256 than the manifest says; the file was changed"))
    return found


def _compare_case(case: Case, arrays: Values, described: Mapping[str, Any]) -> tuple[list[Difference], float]:
    """Compute one case again from the inputs in the file, and compare."""
    if case.name not in described:
        return [Difference(case.name, "is a case that the file does not have")], 0.0
    entry = described[case.name]
    wanted = describe(case)
    if not isinstance(entry, dict) or any(entry.get(key) != value for key, value in wanted.items()):
        return [Difference(case.name, f"is another block than here, {wanted}")], 0.0
    inputs = {}
    for name, like in draw_inputs(case).items():
        what = _unusable(arrays.get(f"{case.name}/{name}"), like)
        if what is not None:
            return [Difference(f"{case.name}/{name}", what)], 0.0
        inputs[name] = arrays[f"{case.name}/{name}"]
    outputs = compute_outputs(case, inputs)
    found, worst = [], 0.0
    for name, exact in outputs.values.items():
        got = arrays.get(f"{case.name}/{name}")
        what = _unusable(got, exact)
        if got is not None and what is None:
            row = compare(name, got, exact, outputs.magnitudes[name], EPS)
            worst = max(worst, row.ratio)
            if not row.right:
                what = (
                    f"is {row.got!r} at {list(row.index)}, computed {row.expected!r}: ratio {row.ratio:.2g} > {LIMIT:g}"
                )
        if what is not None:
            found.append(Difference(f"{case.name}/{name}", what))
    if not found and not _close(entry.get("magnitudes"), magnitudes_of(outputs)):
        found = [Difference(case.name, "has other magnitudes in the manifest than computed here")]
    return found, worst


def _close(came: Any, wanted: Mapping[str, float]) -> bool:
    """Whether the magnitudes of the manifest are these, but for their last digit."""
    if not isinstance(came, dict) or came.keys() != wanted.keys():
        return False
    return all(
        isinstance(came[name], float | int) and abs(came[name] - size) <= 0.02 * size for name, size in wanted.items()
    )


def _unusable(array: np.ndarray | None, like: np.ndarray) -> str | None:
    """Why an array of the file cannot be computed with."""
    if array is None:
        return "is missing"
    if array.shape != like.shape or array.dtype != like.dtype:
        return f"must be {like.dtype} of shape {like.shape}, got {array.dtype} of shape {array.shape}"
    return None if np.all(np.isfinite(array)) else "is not finite"
