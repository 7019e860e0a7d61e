"""``nonlocal-ref vectors``: the file is written whole, checked, and what differs is named."""

import errno
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nonlocal_ref import vectors
from nonlocal_ref.testing.npz import npz_bytes, read_npz
from nonlocal_ref.vectors import checking, writing
from nonlocal_ref.vectors.cases import all_cases
from tests.cli.helpers import refusal, run


@pytest.fixture(autouse=True)
def two_cases(monkeypatch):
    """A file of two cases; all of them take seconds."""
    some = all_cases()[:2]
    for module in (writing, checking):
        monkeypatch.setattr(module, "all_cases", lambda: some)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vectors.npz"
    vectors.write_vectors(path)
    return path


def test_what_is_written_is_right(capsys, tmp_path):
    path = tmp_path / "vectors.npz"
    code, out, err = run(capsys, "vectors", path)
    assert (code, err) == (0, "")
    assert out.startswith(f"written: {path} (")
    code, out, err = run(capsys, "vectors", "--check", path)
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: right (2 cases, ")
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_arrays_that_differ_are_named(capsys, file):
    arrays, manifest = read_npz(file, "manifest.json")
    wrong = {name: array * 1.5 if name.endswith(("/z", "/dx")) else array for name, array in arrays.items()}
    file.write_bytes(npz_bytes(wrong, {"manifest.json": manifest}))
    code, out, _ = run(capsys, "vectors", "--check", file)
    first, *others = [name for name in arrays if name.endswith(("/z", "/dx"))]
    assert code == 1
    assert out.startswith(f"{file}: WRONG: {first}: ")
    assert [line.split(":")[0].strip() for line in out.splitlines()[3:]] == others


def test_no_more_than_ten_differences_are_listed(capsys, file):
    arrays, manifest = read_npz(file, "manifest.json")
    file.write_bytes(npz_bytes({name: array + 1 for name, array in arrays.items()}, {"manifest.json": manifest}))
    _, out, _ = run(capsys, "vectors", "--check", file)
    assert out.splitlines()[1] == f"and {len(arrays) - 1} more arrays"
    assert len(out.splitlines()) == 3 + 9


def test_a_full_disk_leaves_the_file_that_was_there(capsys, monkeypatch, file):
    before = file.read_bytes()

    def fill(self, data):
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_bytes", fill)
    assert os.strerror(errno.ENOSPC) in refusal(capsys, "vectors", file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_cut_file_is_refused(capsys, file):
    file.write_bytes(file.read_bytes()[:-100])
    assert "is not a whole .npz file" in refusal(capsys, "vectors", "--check", file)


def test_a_hostile_header_is_one_line(capsys, tmp_path):
    path = tmp_path / "hostile.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", b"\x93NUMPY\x01\x00\x08\x00{'descr':")
    assert "member 'w.npy' has a header that is not one" in refusal(capsys, "vectors", "--check", path)


def test_another_npz_is_refused(capsys, tmp_path):
    np.savez(tmp_path / "other.npz", x=np.ones(2))
    assert "it is not a file of golden vectors" in refusal(capsys, "vectors", "--check", tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "one of the arguments OUT.npz --check is required"),
        (["vectors.npz", "--check", "vectors.npz"], "not allowed with argument"),
        (["vectors.zip"], "argument OUT.npz: path must end in .npz, got 'vectors.zip'"),
        (["nowhere/vectors.npz"], "argument OUT.npz: must be in a folder that exists"),
        (["--check", "nowhere.npz"], "argument --check: cannot read 'nowhere.npz': No such file"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(capsys, monkeypatch, tmp_path, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(capsys, "vectors", *argv)
    assert list(tmp_path.iterdir()) == []
