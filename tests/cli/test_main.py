"""The program itself: version, help, unknown commands, light imports, exit codes."""

import subprocess
import sys

import pytest

import nonlocal_ref as nl
from nonlocal_ref.cli import main, tour_command
from nonlocal_ref.cli.usage import TOUR, need
from tests.cli.helpers import refusal, run


def python(*argv):
    return subprocess.run([sys.executable, "-W", "error", *argv], capture_output=True, text=True, check=False)


def test_python_dash_m_is_the_program():
    done = python("-m", "nonlocal_ref", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"nonlocal-ref {nl.__version__}\n", "")


def test_the_commands_import_their_libraries_only_when_they_run():
    heavy = ("matplotlib", "skimage", "jinja2", "tqdm", "PIL", "tifffile", "cupy")
    done = python("-c", f"import sys, nonlocal_ref.cli; print(set({heavy!r}) & set(sys.modules))")
    assert done.stdout.strip() == "set()"


COMMANDS = ("tour", "denoise", "gradcheck", "check", "vectors", "compare", "doctor")


def test_the_version_is_printed(capsys):
    assert run(capsys, "--version") == (0, f"nonlocal-ref {nl.__version__}\n", "")


def test_the_help_lists_the_commands(capsys):
    _, out, _ = run(capsys, "--help")
    assert all(f"\n    {command}" in out for command in COMMANDS)


@pytest.mark.parametrize("command", [(), *((command,) for command in COMMANDS)])
def test_help_fits_a_terminal_of_80_columns(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, *command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: nonlocal-ref")
    assert max(len(line) for line in out.splitlines()) <= 80


def test_a_paragraph_of_the_help_is_filled_and_a_table_kept(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run(capsys, "check", "--help")
    assert "against this package: its value, and its gradients if it has any." in out
    assert "\n  (theta, phi, g)    an operation" in out
    assert "\n  nonlocal-ref check my_block:attention" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "command"),
        (["dance"], "invalid choice: 'dance'"),
        (["tour", "--qui"], "unrecognized arguments: --qui"),
        (["denoise", "in.png", "out.png"], "--sigma"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(capsys, argv, message):
    assert message in refusal(capsys, *argv)


@pytest.mark.parametrize("library", ["matplotlib", "jinja2", "tqdm", "PIL", "skimage"])
def test_a_missing_library_names_the_line_that_installs_it(capsys, monkeypatch, tmp_path, library):
    monkeypatch.setitem(sys.modules, library, None)
    line = refusal(capsys, "tour", "--quick", "--out", tmp_path / "out")
    assert library in line
    assert f"pip install {TOUR}" in line
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_there_but_broken_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_library.py").write_text("raise ImportError('no such symbol')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Exception, match=r"broken_library cannot be imported \(no such symbol\)"):
        need("tour", "broken_library")


def test_an_interruption_ends_with_130_and_leaves_nothing(capsys, monkeypatch, tmp_path):
    def interrupt(photograph, args):
        raise KeyboardInterrupt

    monkeypatch.setattr(tour_command, "take", interrupt)
    code = main(["tour", "--quick", "--out", str(tmp_path / "a" / "b")])
    assert (code, capsys.readouterr().err) == (130, "nonlocal-ref: interrupted\n")
    assert list(tmp_path.iterdir()) == []
