"""16-bit PNG files with several channels, held to the specification's five filters."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from nonlocal_ref.cli import deep_png
from tests.cli.helpers import samples


def filtered_png(picture, filters, interlaced=0):
    """A PNG file written the slow way: row r with filter filters[r], byte by byte as in the specification."""
    height, width, channels = picture.shape
    step = 2 * channels
    rows = [list(row.astype(">u2").tobytes()) for row in picture]
    packed = bytearray()
    for r, kind in enumerate(filters):
        above = rows[r - 1] if r else [0] * (width * step)
        packed.append(kind)
        for k, value in enumerate(rows[r]):
            a = rows[r][k - step] if k >= step else 0
            b = above[k]
            c = above[k - step] if k >= step else 0
            nearest = min((a, b, c), key=lambda x, p=a + b - c: abs(p - x))
            packed.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
    header = struct.pack(">IIBBBBB", width, height, 16, deep_png.COLOUR_TYPES[channels], 0, 0, interlaced)
    data = zlib.compress(bytes(packed))
    chunks = [(b"IHDR", header), (b"IDAT", data[:40]), (b"IDAT", data[40:]), (b"IEND", b"")]
    return deep_png.SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


@pytest.mark.parametrize("mode", ["LA16", "RGB16", "RGBA16"])
@pytest.mark.parametrize(("height", "width"), [(11, 7), (3, 13), (1, 1)])
def test_all_five_filters_are_undone(mode, height, width):
    picture = samples(mode, height, width)
    file = filtered_png(picture, [4 - r % 5 for r in range(height)])
    assert np.array_equal(deep_png.decode(file)[0], picture)


@pytest.mark.parametrize("mode", ["LA16", "RGB16", "RGBA16"])
def test_what_is_written_is_what_is_read_here_and_elsewhere(mode):
    picture = samples(mode)
    file = deep_png.encode(picture, b"profile")
    decoded, profile = deep_png.decode(file)
    assert np.array_equal(decoded, picture)
    assert profile == b"profile"
    with Image.open(io.BytesIO(file)) as image:  # Pillow keeps the upper byte
        assert np.array_equal(np.asarray(image)[..., -1], picture[..., -1] >> 8)
        assert image.info["icc_profile"] == b"profile"


def test_only_deep_colour_is_taken_from_pillow():
    assert deep_png.is_deep_png(deep_png.encode(samples("RGB16"))[:29])
    for mode in ("L", "RGB"):
        file = io.BytesIO()
        Image.fromarray(samples(mode).squeeze()).save(file, format="PNG")
        assert not deep_png.is_deep_png(file.getvalue()[:29])


def test_an_interlaced_file_is_refused():
    with pytest.raises(ValueError, match="interlaced"):
        deep_png.decode(filtered_png(samples("RGB16", 4, 4), [0] * 4, interlaced=1))


def test_a_file_with_rows_missing_is_refused():
    picture = samples("RGB16", 4, 4)
    shorter = filtered_png(picture, [0] * 3)
    with pytest.raises(ValueError, match="ends too early"):
        deep_png.decode(shorter)
