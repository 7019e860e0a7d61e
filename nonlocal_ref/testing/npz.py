"""Arrays in .npz files: written to the same bytes every time, read without trusting the file.

An .npz is a zip of .npy members, each a header (dtype, order, shape) and the numbers.  Nothing is unpickled.  The sizes
that header, zip directory and file declare are known to agree before an array is made, and every read has a bound: what
a directory declares need not be what the compressed data hold.
"""

import os
import warnings
import zipfile
from collections.abc import Mapping
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

LARGEST = 2**33  # bytes of all arrays together
SMALL = 2**28  # bytes of all arrays together that any file may have, however small it is: zeros shrink a thousandfold
GROWTH = 16  # above that, how much larger than the file they may be: numbers do not shrink so much
DEFLATE_LIMIT = 1040  # deflate cannot shrink by more than this factor
MOST_TEXT = 2**22  # bytes of the member that is text
HEADER = 2**14  # bytes of a member in which its header ends; NumPy takes none of more than 10,000 characters
PIECE = 2**20  # bytes that are read at a time
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


class Form(NamedTuple):
    """What is asked of an .npz file besides that it is whole."""

    most: int | None = None  # bytes of all members together; None: as many as a file of its size is likely to hold
    plain: bool = False  # not compressed, little-endian, row by row: for readers that know nothing else


ANY = Form()


def read_npz(
    path: str | os.PathLike[str], text: str | None = None, form: Form = ANY
) -> tuple[dict[str, np.ndarray], str | None]:
    """All arrays of an .npz file, and the text of one further member.

    ValueError names the file, the member and what is wrong with it; OSError where the file cannot be opened.
    """
    place = Path(path)
    with place.open("rb") as file:
        try:
            arrays, found = _read_archive(file, place.stat().st_size, text, form)
        except ValueError as error:
            msg = f"{str(place)!r} cannot be read: {shortened(error)}"
            raise ValueError(msg) from error
        except Exception as error:  # zip, deflate and struct have their own errors, and a file may provoke any
            msg = f"{str(place)!r} is not a whole .npz file: {shortened(error)}"
            raise ValueError(msg) from error
    return arrays, found


def _read_archive(file: IO[bytes], size: int, text: str | None, form: Form) -> tuple[dict[str, np.ndarray], str | None]:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        _check_directory(infos, size, form)
        texts = [_read_text(archive, info) for info in infos if info.filename == text]
        arrays = {
            info.filename.removesuffix(".npy"): _read_member(archive, info, form)
            for info in infos
            if info.filename != text
        }
    return arrays, texts[0] if texts else None


def _read_text(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    """The one member that is text."""
    if info.file_size > MOST_TEXT:
        msg = f"member {info.filename!r} declares {info.file_size} bytes of text, more than {MOST_TEXT}"
        raise ValueError(msg)
    with archive.open(info) as member:
        return member.read(info.file_size).decode()


def _check_directory(infos: list[zipfile.ZipInfo], size: int, form: Form) -> None:
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
        if form.plain and info.compress_type != zipfile.ZIP_STORED:
            msg = f"member {info.filename!r} is compressed; the format has no compression"
            raise ValueError(msg)
    total = sum(info.file_size for info in infos)
    most = min(LARGEST, max(SMALL, GROWTH * size)) if form.most is None else form.most
    if total > most:
        largest = max(infos, key=lambda info: info.file_size)
        msg = f"its members declare {total} bytes, more than {most}; {largest.filename!r} alone {largest.file_size}"
        raise ValueError(msg)


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, form: Form) -> np.ndarray:
    """One array, after its header was found to fit the size of the member."""
    if not info.filename.endswith(".npy"):
        msg = f"member {info.filename!r} is no .npy array"
        raise ValueError(msg)
    with archive.open(info) as member:
        start = member.read(HEADER)
        header = BytesIO(start)
        shape, fortran, dtype = _read_header(header, info.filename)
        if form.plain and (fortran or dtype != dtype.newbyteorder("<")):
            what = "column by column" if fortran else "big-endian"
            msg = f"member {info.filename!r} is {what}; the format is little-endian, row by row"
            raise ValueError(msg)
        held = info.file_size - header.tell()
        declared = prod(shape) * dtype.itemsize
        if declared != held:
            msg = f"member {info.filename!r} declares shape {shape} of {dtype}, {declared} bytes, and holds {held}"
            raise ValueError(msg)
        values = _read_numbers(member, header.read(), declared, info.filename).view(dtype)
    array = values.reshape(shape, order="F" if fortran else "C")
    return np.asarray(array, dtype=dtype.newbyteorder("="), order="C")


def _read_numbers(member: IO[bytes], start: bytes, count: int, name: str) -> np.ndarray:
    """So many bytes, the first of which were read already; memory is used up only as they come."""
    numbers = np.empty(count, dtype=np.uint8)
    numbers[: len(start)] = np.frombuffer(start, dtype=np.uint8)
    at = len(start)
    while at < count and (piece := member.read(min(PIECE, count - at))):
        numbers[at : at + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        at += len(piece)
    if at < count:
        msg = f"member {name!r} ends after {at} of {count} bytes"
        raise ValueError(msg)
    return numbers


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
