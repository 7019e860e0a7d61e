"""Arrays in .npz files: written to the same bytes every time, read without trusting the file.

An .npz is a zip of .npy members, each a header (dtype, order, shape) and the numbers.  Nothing is unpickled, nothing is
allocated before the sizes that header, zip directory and file declare are known to agree.
"""

import os
import warnings
import zipfile
from collections.abc import Mapping
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

LARGEST = 2**33  # bytes of all arrays together
DEFLATE_LIMIT = 1040  # deflate cannot shrink by more than this factor
KINDS = "biufc"  # booleans and numbers: no objects, strings, dates or records
MOST_AXES = 32  # what every NumPy can hold
SAID = 200  # characters that a file may add to a message


def npz_bytes(arrays: Mapping[str, np.ndarray], texts: Mapping[str, str] | None = None) -> bytes:
    """The content of an .npz file, with further members of plain text: the same arrays give the same bytes."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, text in (texts or {}).items():
            archive.writestr(_member(name), text)
        for name, array in arrays.items():
            data = BytesIO()
            np.lib.format.write_array(data, np.array(array, order="C"), version=(1, 0), allow_pickle=False)
            archive.writestr(_member(f"{name}.npy"), data.getvalue())
    return content.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every system
    return info


def read_npz(path: str | os.PathLike[str], text: str | None = None) -> tuple[dict[str, np.ndarray], str | None]:
    """All arrays of an .npz file, and the text of one further member.

    ValueError names the file, the member and what is wrong with it; OSError where the file cannot be opened.
    """
    place = Path(path)
    with place.open("rb") as file:
        try:
            arrays, found = _read_archive(file, place.stat().st_size, text)
        except ValueError as error:
            msg = f"{str(place)!r} cannot be read: {shortened(error)}"
            raise ValueError(msg) from error
        except Exception as error:  # zip, deflate and struct have their own errors, and a file may provoke any
            msg = f"{str(place)!r} is not a whole .npz file: {shortened(error)}"
            raise ValueError(msg) from error
    return arrays, found


def _read_archive(file: IO[bytes], size: int, text: str | None) -> tuple[dict[str, np.ndarray], str | None]:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        _check_directory(infos, size)
        found = archive.read(text).decode() if text is not None and text in archive.namelist() else None
        arrays = {
            info.filename.removesuffix(".npy"): _read_member(archive, info) for info in infos if info.filename != text
        }
    return arrays, found


def _check_directory(infos: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse a directory that promises more than the file can hold."""
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        msg = "it has two members of the same name"
        raise ValueError(msg)
    stored = sum(info.compress_size for info in infos)
    if stored > size:
        msg = f"its members declare {stored} stored bytes, the file has {size}"
        raise ValueError(msg)
    for info in infos:
        possible = info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else DEFLATE_LIMIT)
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} or info.file_size > possible:
            msg = f"member {info.filename!r} declares {info.file_size} bytes out of {info.compress_size} stored ones"
            raise ValueError(msg)
    total = sum(info.file_size for info in infos)
    if total > LARGEST:
        msg = f"its arrays declare {total} bytes, more than {LARGEST}"
        raise ValueError(msg)


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array, after its header was found to fit the size of the member."""
    if not info.filename.endswith(".npy"):
        msg = f"member {info.filename!r} is no .npy array"
        raise ValueError(msg)
    with archive.open(info) as member:
        shape, fortran, dtype = _read_header(member, info.filename)
        held = info.file_size - member.tell()
        declared = prod(shape) * dtype.itemsize
        if declared != held:
            msg = f"member {info.filename!r} declares shape {shape} of {dtype}, {declared} bytes, and holds {held}"
            raise ValueError(msg)
        values = np.frombuffer(member.read(), dtype=dtype)
    if values.nbytes != declared:
        msg = f"member {info.filename!r} ends after {values.nbytes} of {declared} bytes"
        raise ValueError(msg)
    array = values.reshape(shape, order="F" if fortran else "C")
    return np.array(array, dtype=dtype.newbyteorder("="), order="C")  # a copy: writable, native


def _read_header(member: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype of a .npy; its header is a literal that NumPy parses without running it."""
    try:
        version = np.lib.format.read_magic(member)
    except ValueError as error:  # NumPy prints the bytes
        msg = f"member {name!r} does not begin as a .npy array"
        raise ValueError(msg) from error
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        msg = f"member {name!r} has .npy version {version}; known are 1.0 and 2.0"
        raise ValueError(msg)
    shape, fortran, dtype = _parse_header(readers[version], member, name)
    if dtype.kind not in KINDS or dtype.hasobject:
        msg = f"member {name!r} holds {shortened(dtype, 60)}, not numbers; objects are never loaded"
        raise ValueError(msg)
    if len(shape) > MOST_AXES or any(isinstance(size, bool) or size < 0 for size in shape):
        msg = f"member {name!r} declares shape {shortened(shape, 60)}"
        raise ValueError(msg)
    return shape, fortran, dtype


def _parse_header(read: Any, member: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """What NumPy makes of a header.  Its parsers raise what they like, and quote the header, of any length."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, about what stands there
            header: tuple[tuple[int, ...], bool, np.dtype] = read(member)
    except Exception as error:
        msg = f"member {name!r} has a header that is not one of a .npy array ({type(error).__name__})"
        raise ValueError(msg) from error
    return header


def shortened(text: object, most: int = SAID) -> str:
    """What there is to say, and no more of it than a line holds."""
    said = " ".join(str(text).split())
    return said if len(said) <= most else f"{said[: most - 4]} ..."
