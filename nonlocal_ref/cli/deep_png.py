"""PNG files with 16 bits a channel and more than one channel, which Pillow reads as 8 bits without a word.

A PNG file is a signature and chunks (length, name, data, checksum).  IHDR says what the picture is; the IDAT chunks
hold, compressed, one row after another: a byte that names the filter, then what is left of the row when a prediction is
taken off each byte.  With a the byte one pixel to the left, b the one above and c the one above a, the predictions are

    0: 0    1: a    2: b    3: (a + b) // 2    4: the one of a, b, c that is nearest to a + b - c

PNG specification, third edition, sections 5, 9 and 11.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 4: 2, 6: 4}  # of the colour types RGB, LA, RGBA
COLOUR_TYPES = {channels: colour_type for colour_type, channels in CHANNELS.items()}


def is_deep_png(start: bytes) -> bool:
    """Whether the first 29 bytes of a file are those of a PNG with 16 bits a channel and several channels."""
    return start.startswith(SIGNATURE) and len(start) >= 29 and start[24] == 16 and start[25] in CHANNELS


def decode(file: bytes) -> tuple[np.ndarray, bytes | None]:
    """The picture (H, W, channels) uint16 and its colour profile; ValueError for a damaged or interlaced file."""
    header, profile, packed = b"", None, []
    for name, data in _chunks(file):
        if name == b"IHDR":
            header = data
        elif name == b"iCCP":
            profile = zlib.decompress(data.split(b"\0", 1)[1][1:])
        elif name == b"IDAT":
            packed.append(data)
    width, height, _, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if interlaced:
        msg = "it is interlaced; save it without"
        raise ValueError(msg)
    stride = 2 * CHANNELS[colour_type]
    size = height * (1 + width * stride)
    rows = zlib.decompressobj().decompress(b"".join(packed), size)
    if len(rows) != size:
        msg = "it ends too early"
        raise ValueError(msg)
    table = np.frombuffer(rows, dtype=np.uint8).reshape(height, 1 + width * stride)
    samples = _unfilter(table[:, 0], table[:, 1:].reshape(height, width, stride))
    return samples.reshape(height, -1).view(">u2").reshape(height, width, -1).astype(np.uint16), profile


def encode(picture: np.ndarray, profile: bytes | None = None) -> bytes:
    """A PNG file of a picture (H, W, channels) uint16."""
    height, width, channels = picture.shape
    samples = np.ascontiguousarray(picture, dtype=">u2").view(np.uint8).reshape(height, width, 2 * channels)
    left = np.zeros_like(samples)
    left[:, 1:] = samples[:, :-1]
    table = np.full((height, 1 + width * 2 * channels), 1, dtype=np.uint8)  # filter 1 in every row
    table[:, 1:] = (samples - left).reshape(height, -1)  # bytes wrap around
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(table.tobytes(), 6)), (b"IEND", b"")]
    if profile:
        chunks.insert(1, (b"iCCP", b"ICC\0\0" + zlib.compress(profile)))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and data of the chunks up to IEND."""
    position = len(SIGNATURE)
    while position + 12 <= len(file):
        (length,) = struct.unpack(">I", file[position : position + 4])
        end = position + 8 + length
        name, data, checksum = file[position + 4 : position + 8], file[position + 8 : end], file[end : end + 4]
        if struct.pack(">I", zlib.crc32(name + data)) != checksum:
            msg = "a checksum is wrong"
            raise ValueError(msg)
        if name == b"IEND":
            return
        yield name, data
        position = end + 4
    msg = "it ends too early"
    raise ValueError(msg)


def _unfilter(filters: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Add the predictions back.  filters (H,), rest (H, W, bytes a pixel) uint8 -> the same as rest.

    A pixel needs its left, upper and upper left neighbours only: all pixels of one anti-diagonal can be done at once.
    Column 0 and row 0 of ``done`` are the zeros that stand outside the picture.
    """
    height, width, stride = rest.shape
    done = np.zeros((height + 1, width + 1, stride), dtype=np.uint8)
    for diagonal in range(height + width - 1):
        row = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        column = diagonal - row
        a, b, c = (done[row + 1, column], done[row, column + 1], done[row, column])
        prediction = _predict(filters[row, None], a.astype(np.int16), b.astype(np.int16), c.astype(np.int16))
        done[row + 1, column + 1] = rest[row, column] + prediction.astype(np.uint8)
    return done[1:, 1:]


def _predict(kind: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """One of the five predictions for each pixel."""
    p = a + b - c
    from_a, from_b, from_c = np.abs(p - a), np.abs(p - b), np.abs(p - c)
    paeth = np.where((from_a <= from_b) & (from_a <= from_c), a, np.where(from_b <= from_c, b, c))
    return np.choose(kind, [np.zeros_like(a), a, b, (a + b) // 2, paeth])
