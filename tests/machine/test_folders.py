"""What is left of a text when the folders are gone."""

import pytest

from nonlocal_ref.machine import folders
from nonlocal_ref.machine.folders import last_name_of_argument, without_folders


@pytest.fixture(autouse=True)
def the_machine_of_carol(monkeypatch):
    """With a home folder in no usual place."""
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "carol")
    monkeypatch.setenv("HOME", "/data/people/carol")
    monkeypatch.setenv("USERPROFILE", "/data/people/carol")
    monkeypatch.setattr(folders.platform, "node", lambda: "carol-pc.example.org")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot open /data/people/carol", "cannot open ~"),
        ("/data/people/carol/lib/x.so", "x.so"),
        ("/data/people/caroline", "caroline"),
        ("host carol-pc:/home/alice/x", "host host:x"),
        ("carol@carol-pc.example.org: carol_x, carols", "user@host: user_x, carols"),
    ],
)
def test_neither_the_home_folder_nor_the_user_nor_the_host_is_named(text, left):
    assert without_folders(text) == left


def test_a_name_that_says_nothing_stays(monkeypatch):
    monkeypatch.setattr(folders.platform, "node", lambda: "localhost")
    monkeypatch.setattr(folders.getpass, "getuser", lambda: "root")
    assert without_folders("the root of localhost") == "the root of localhost"


def test_a_system_that_knows_no_user_and_no_home_is_no_error(monkeypatch):
    def unknown(*words):
        raise OSError

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(folders.getpass, "getuser", unknown)
    monkeypatch.setattr(folders.Path, "home", homeless)
    assert without_folders("carol in /srv/x") == "carol in x"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("results/a.json", "a.json"),
        ("./a/b.json and ../c.json", "b.json and c.json"),
        ("~/x.json, ~alice/y.json", "x.json, y.json"),
        ("/home/john doe/x.json", "x.json"),
        ("/home/o'neil/r.json", "r.json"),
        (
            "[Errno 2] No such file or directory: '/home/john doe/my file.json'",
            "[Errno 2] No such file or directory: 'my file.json'",
        ),
        ("/home/alice/env/lib/libnvrtc.so.12: cannot open", "libnvrtc.so.12: cannot open"),
        ("'/srv/a' and '/srv/b'", "'a' and 'b'"),
        ("/srv/a or /srv/b/", "a or b"),
        ("/opt/x/lib:/opt/y/bin", "lib:bin"),
        (r"C:\Users\John Doe\x.json", "x.json"),
        (r"\\server\share\x.json", "x.json"),
        ("cannot\n  open /srv/x", "cannot open x"),
        ("Permission denied: '/home/alice'", "Permission denied: '~'"),
        (r"C:\Users\alice missing", "~ missing"),
        ("/home/alice,bob/x.so", "x.so"),
        ("/home/alice (work)/lib/x.so", "x.so"),
        ("/home/alice and /srv/b", "~ and b"),
    ],
)
def test_of_a_path_the_last_name_is_left(text, left):
    assert without_folders(text) == left


@pytest.mark.parametrize(
    "text", ["and/or", "12 GFLOP/s, 3 GB/s.", "a / b", "(N M)/2", "1/2", "https://docs.cupy.dev/en/stable/install.html"]
)
def test_what_is_no_path_stays(text):
    assert without_folders(text) == text


@pytest.mark.parametrize(
    ("word", "left"),
    [
        ("compare", "compare"),
        ("results/a.json", "a.json"),
        ("/home/a, b (c)/x.json", "x.json"),
        ("--json=/home/john doe/x.json", "--json=x.json"),
        ("--json=results/", "--json=results"),
        ("--json=/home/alice/", "--json=~"),
        ("carol-pc.json", "host.json"),
        ("/home/a=b/x.json", "x.json"),
        ("1x8x8x64x64", "1x8x8x64x64"),
        ("-3", "-3"),
    ],
)
def test_a_word_of_a_command_line_is_one_path(word, left):
    assert last_name_of_argument(word) == left
