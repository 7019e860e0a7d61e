"""A function by its name, from the current directory too."""

import sys

import pytest

from nonlocal_ref.testing import load_user_function


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current directory with some modules in it, forgotten afterwards."""
    (tmp_path / "their_block.py").write_text(
        "import math\nfrom pathlib import Path\n\n"
        "def forward(x):\n    return 2 * x\n\nclass Block:\n    run = forward\n\nsize = 3\n"
    )
    (tmp_path / "their_broken_block.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "their_leaving_block.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "their_misspelt_block.py").write_text("def forward(x:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_function_in_the_current_directory_is_found(here):
    assert load_user_function("their_block:forward")(3) == 6


def test_a_name_may_have_dots(here):
    assert load_user_function("their_block:Block.run")(3) == 6


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("their_block", "must be given as MODULE:NAME"),
        (None, "must be given as MODULE:NAME, as in my_block:forward, got None"),
        (":forward", "must be given as MODULE:NAME"),
        ("their_block:", "must be given as MODULE:NAME"),
        (".their_block:forward", "must be given as MODULE:NAME"),
        ("no_such_block:forward", "module 'no_such_block' cannot be imported: ModuleNotFoundError"),
        ("their_broken_block:forward", "cannot be imported: .*nothing_of_that_name"),
        ("their_misspelt_block:forward", "cannot be imported: SyntaxError"),
        ("their_leaving_block:forward", "cannot be imported: SystemExit: 3"),
        ("their_block:backward", "has no 'backward'; it has Block, forward$"),
        ("their_block:math.sine", "has no 'math.sine'"),
        ("their_block:size", "'their_block:size' must be callable, got int"),
    ],
)
def test_what_is_not_there_is_refused_by_name(here, path, message):
    with pytest.raises(ValueError, match=message):
        load_user_function(path)
