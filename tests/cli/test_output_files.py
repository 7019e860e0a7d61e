"""The file that a command writes: refused in one line, or written where it points."""

import os
import threading

import pytest

from nonlocal_ref.cli.output_files import check_file, write_files
from nonlocal_ref.cli.usage import UsageError


@pytest.mark.skipif(os.name != "posix", reason="pipes are those of POSIX")
def test_a_command_writes_into_a_pipe(tmp_path):
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()
    check_file("compare", "--json", path)
    write_files("compare", "--json", {path: b"{}"})
    reader.join(timeout=30)
    assert got == [b"{}"]
    assert path.is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_link_into_a_folder_that_is_not_there_is_refused(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("nowhere/target")
    with pytest.raises(UsageError, match="must be in a folder that exists"):
        check_file("compare", "--json", link)


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(UsageError, match="argument --json: must be"):
        check_file("compare", "--json", tmp_path / ("a" * 5000))
