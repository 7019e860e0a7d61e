"""Damaged and hostile files are a clear error that names the file, and nothing in them is run."""

import contextlib
import io
import json
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from nonlocal_ref.testing import load_weights
from nonlocal_ref.testing.npz import read_npz

ARRAYS = {"theta.weight": np.random.default_rng(0).normal(size=(3, 4)), "flags": np.array([True, False])}


def npy(header, data=b""):
    text = header.encode("latin1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def zipped(content, name="w.npy", method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def header(shape, descr="<f8"):
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"


def pickled():
    file = io.BytesIO()
    np.savez(file, w=np.array([{"a": 1}], dtype=object))
    return file.getvalue()


def twice():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w.npy", npy(header((0,))))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("w.npy", npy(header((0,))))
    return file.getvalue()


def declaring(whole, size, field=24):
    """The same zip, with another size in its directory; field is the offset in the directory's entry."""
    at = whole.rindex(b"PK\x01\x02") + field
    return whole[:at] + struct.pack("<I", size) + whole[at + 4 :]


def declaring_more(whole, field):
    return declaring(whole, 2**31 - 1, field)


ONE = npy(header((1,)), bytes(8))
HOSTILE_NPZ = {
    "empty": (b"", "not a whole .npz file"),
    "text": (b"no zip at all" * 10, "not a whole .npz file"),
    "truncated": (zipped(ONE)[:-30], "not a whole .npz file"),
    "flipped-bit": (zipped(ONE[:-1] + b"\x01").replace(ONE[:-1] + b"\x01", ONE), "not a whole .npz file: Bad CRC-32"),
    "header-declares-more": (zipped(npy(header((2**40,)), bytes(8))), "declares shape .* bytes, and holds 8"),
    "header-declares-less": (zipped(npy(header((1,)), bytes(16))), "8 bytes, and holds 16"),
    "header-overflows": (zipped(npy(header((2**62, 8)), bytes(8))), "and holds 8"),
    "negative-shape": (zipped(npy(header((-1, -1)), bytes(8))), "declares shape"),
    "objects": (pickled(), "holds object, not numbers; objects are never loaded"),
    "records": (
        zipped(npy("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }", bytes(8))),
        "not numbers",
    ),
    "strings": (zipped(npy(header((1,), "<U2"), bytes(8))), "not numbers"),
    "code-in-header": (zipped(npy("__import__('os').system('false')", bytes(8))), "cannot be read"),
    "unclosed-brace": (
        zipped(npy("{'descr':", bytes(8))),
        "member 'w.npy' has a header that is not one of a .npy array",
    ),
    "flag-for-a-size": (zipped(npy(header("(True,)"), bytes(8))), r"declares shape \(True,\)"),
    "indented": (zipped(npy("  {\n 1\n   :2\n  3", bytes(8))), "has a header that is not one"),
    "nested": (zipped(npy("-" * 9_000 + "1", bytes(8))), "has a header that is not one"),
    "long-header": (zipped(npy(header((1,)) + " " * 20_000, bytes(8))), "has a header that is not one"),
    "many-axes": (zipped(npy(header((1,) * 2000), bytes(8))), r"declares shape \(1, 1, .* \.\.\."),
    "long-record": (
        zipped(npy(f"{{'descr': {[(f'f{i}', '<f8') for i in range(400)]}, 'fortran_order': False, 'shape': (1,), }}")),
        "not numbers",
    ),
    "no-npy": (zipped(b"hello", "readme.txt"), "'readme.txt' is no .npy array"),
    "no-magic": (zipped(b"hello, this is no array"), "cannot be read"),
    "short-magic": (zipped(b"\x93NUM"), "cannot be read"),
    "version-9": (zipped(b"\x93NUMPY\x09\x00" + bytes(60)), "version"),
    "two-of-a-name": (twice, "two members of the same name"),
    "directory-declares-more": (declaring_more(zipped(ONE), 24), "declares 2147483647 bytes out of"),
    "declares-far-more-than-numbers-shrink": (
        lambda: declaring_more(zipped(np.random.default_rng(0).bytes(2_100_000), method=zipfile.ZIP_DEFLATED), 24),
        "declare 2147483647 bytes, more than 268435456; 'w.npy' alone 2147483647",
    ),
    "directory-declares-less": (lambda: declaring_less(1), "not a whole .npz file: Bad CRC-32"),
    "directory-and-header-declare-less": (lambda: declaring_less(2**21), "not a whole .npz file: Bad CRC-32"),
    "long-header-of-spaces": (
        lambda: zipped(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**25) + b" " * 2**25, method=zipfile.ZIP_DEFLATED),
        "has a header that is not one",
    ),
    "directory-stores-more": (declaring_more(zipped(ONE), 20), "stored bytes, the file has"),
    "encrypted": (
        zipped(ONE).replace(b"\x14\x00\x00\x00\x00\x00", b"\x14\x00\x01\x00\x00\x00"),
        "not a whole .npz file",
    ),
    "bad-deflate": (lambda: bad_deflate(), "not a whole .npz file"),
    "other-compression": (zipped(ONE, method=zipfile.ZIP_LZMA), "declares"),
}


def bad_deflate():
    whole = zipped(npy(header((64,)), bytes(512)), method=zipfile.ZIP_DEFLATED)
    packed = zlib.compressobj(wbits=-15)
    stream = packed.compress(npy(header((64,)), bytes(512))) + packed.flush()
    assert stream in whole
    return whole.replace(stream, b"\xff" * len(stream))


HUGE = 2**25  # bytes of zeros, a thousandth of which are stored


def declaring_less(count):
    """32 MB of zeros, compressed, of which directory and header declare so many numbers."""
    begin = npy(header((count,)))
    whole = zipped(begin + bytes(HUGE), method=zipfile.ZIP_DEFLATED)
    return declaring(whole, len(begin) + 8 * count)


@pytest.fixture
def peak():
    """The most memory that was held at a time since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def test_no_more_is_read_than_the_directory_declares(tmp_path, peak):
    path = tmp_path / "w.npz"
    path.write_bytes(declaring_less(1))
    tracemalloc.reset_peak()
    with pytest.raises(ValueError, match="Bad CRC-32"):
        load_weights(path)
    assert peak() < HUGE / 8


@pytest.mark.parametrize("declared", [100, HUGE])
def test_no_more_text_is_read_than_fits(tmp_path, peak, declared):
    path = tmp_path / "w.npz"
    path.write_bytes(declaring(zipped(b" " * HUGE, "text", method=zipfile.ZIP_DEFLATED), declared))
    tracemalloc.reset_peak()
    with pytest.raises(ValueError, match="Bad CRC-32" if declared < HUGE else "33554432 bytes of text, more than"):
        read_npz(path, "text")
    assert peak() < HUGE / 8


def test_an_array_is_held_once_while_it_is_read(tmp_path, peak):
    path = tmp_path / "w.npz"
    np.savez_compressed(path, w=np.zeros(HUGE // 8))
    tracemalloc.reset_peak()
    load_weights(path)
    assert peak() < 1.25 * HUGE


@pytest.mark.parametrize(("content", "message"), [pytest.param(*case, id=key) for key, case in HOSTILE_NPZ.items()])
def test_a_damaged_or_hostile_npz_is_a_clear_error(tmp_path, content, message):
    path = tmp_path / "w.npz"
    path.write_bytes(content() if callable(content) else content)
    with pytest.raises(ValueError, match=message) as caught:
        load_weights(path)
    assert "w.npz" in str(caught.value)


@pytest.mark.parametrize("content", [pytest.param(case[0], id=key) for key, case in HOSTILE_NPZ.items()])
def test_what_is_said_of_a_hostile_npz_is_short_and_does_not_advise_to_trust_it(tmp_path, content):
    path = tmp_path / "w.npz"
    path.write_bytes(content() if callable(content) else content)
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the line above has the texts
        load_weights(path)
    said = str(caught.value).removeprefix(repr(str(path)))
    assert len(said) < 300
    assert "allow_pickle" not in said


@pytest.mark.parametrize("seed", range(3))
def test_any_header_is_a_value_error_or_harmless(tmp_path, seed):
    path, rng = tmp_path / "w.npz", np.random.default_rng(seed)
    pieces = [
        *"{}()[]:,'-+*~#\\\n 019",
        "'descr':",
        "'<f8'",
        "'shape':",
        "'fortran_order':",
        "True",
        "(1,)",
        "1e999",
        "None",
    ]
    for _ in range(150):
        text = "".join(rng.choice(pieces, size=rng.integers(1, 12)))
        if rng.random() < 0.5:
            whole = header((1,))
            at = rng.integers(len(whole))
            text = whole[:at] + text + whole[at + rng.integers(3) :]
        path.write_bytes(zipped(npy(text, bytes(8))))
        with contextlib.suppress(ValueError):
            load_weights(path)


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_is_a_value_error_or_harmless(tmp_path, seed):
    path, rng = tmp_path / "w.npz", np.random.default_rng(seed)
    np.savez_compressed(path, **ARRAYS)
    whole = path.read_bytes()
    for _ in range(100):
        damaged = bytearray(whole[: rng.integers(len(whole))] if rng.random() < 0.2 else whole)
        for at in rng.integers(max(len(damaged), 1), size=3) if damaged else ():
            damaged[at] = rng.integers(256)
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(ValueError):
            loaded = load_weights(path)
            assert loaded.keys() <= ARRAYS.keys()  # damage to the directory of a zip can hide a member
            assert all(np.array_equal(value, ARRAYS[key]) for key, value in loaded.items())


def tensors(header, data=b""):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    return struct.pack("<Q", len(text)) + text + data


HOSTILE_SAFETENSORS = {
    "empty": b"",
    "header-longer-than-the-file": struct.pack("<Q", 2**40) + b"{}",
    "no-json": tensors(b"{no json"),
    "declares-more": tensors({"w": {"dtype": "F64", "shape": [2**30], "data_offsets": [0, 2**33]}}, bytes(8)),
    "shape-does-not-fit": tensors({"w": {"dtype": "F64", "shape": [3], "data_offsets": [0, 8]}}, bytes(8)),
    "overlapping": tensors({name: {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]} for name in "ab"}, bytes(8)),
    "bfloat16": tensors({"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}, bytes(8)),
    "unknown-dtype": tensors({"w": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
}


@pytest.mark.parametrize("name", HOSTILE_SAFETENSORS)
def test_a_damaged_or_hostile_safetensors_file_is_a_clear_error(tmp_path, name):
    pytest.importorskip("safetensors")
    path = tmp_path / "weights.safetensors"
    path.write_bytes(HOSTILE_SAFETENSORS[name])
    with pytest.raises(ValueError, match=r"weights.safetensors' is not a whole"):
        load_weights(path)
