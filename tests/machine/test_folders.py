"""What is left of a text when the folders are gone."""

import pytest

from nonlocal_ref.machine.folders import last_name_of_argument, without_folders


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
        ("/home/a=b/x.json", "x.json"),
        ("1x8x8x64x64", "1x8x8x64x64"),
        ("-3", "-3"),
    ],
)
def test_a_word_of_a_command_line_is_one_path(word, left):
    assert last_name_of_argument(word) == left
