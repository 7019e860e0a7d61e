"""Files that are written whole: what was there before decides where the bytes go."""

import os
import stat
import threading

import pytest

from nonlocal_ref.machine.whole_files import check_writable, write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes are those of POSIX")


@pytest.fixture
def pipe(tmp_path):
    """A named pipe, and what its reader gets: None until all writers have closed it."""
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()

    def received():
        reader.join(timeout=30)
        return got[0] if got else None

    return path, received


@posix
def test_a_pipe_gets_the_bytes_and_stays_a_pipe(pipe):
    path, received = pipe
    check_writable(path)
    write_whole({path: b"after"})
    assert received() == b"after"
    assert stat.S_ISFIFO(path.stat().st_mode)


@posix
def test_checking_a_pipe_does_not_open_it(pipe):
    path, received = pipe
    check_writable(path)
    with path.open("wb") as writer:  # had it been opened and closed, its reader would be gone by now
        writer.write(b"later")
    assert received() == b"later"


@posix
def test_a_link_stays_a_link_and_its_target_gets_the_bytes(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link, twice = tmp_path / "folder" / "target", tmp_path / "link", tmp_path / "twice"
    target.write_bytes(b"before")
    link.symlink_to("folder/target")
    twice.symlink_to("link")
    check_writable(twice)
    write_whole({twice: b"after"})
    assert target.read_bytes() == b"after"
    assert link.is_symlink()
    assert twice.is_symlink()


@posix
def test_a_link_to_nothing_yet_makes_its_target(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("target")
    check_writable(link)
    write_whole({link: b"after"})
    assert (tmp_path / "target").read_bytes() == b"after"
    assert link.is_symlink()


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_file_that_is_replaced_hands_its_mode_on(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    path.chmod(mode)
    write_whole({path: b"after"})
    assert path.read_bytes() == b"after"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_a_new_file_has_the_mode_of_every_new_file(tmp_path):
    ordinary, path = tmp_path / "ordinary", tmp_path / "file"
    ordinary.touch()
    write_whole({path: b"after"})
    assert path.stat().st_mode == ordinary.stat().st_mode


def test_an_error_leaves_every_file_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="none"):
        write_whole({path: b"after", tmp_path / "none" / "file": b"after"})
    assert path.read_bytes() == b"before"
    assert [child.name for child in tmp_path.iterdir()] == ["file"]
