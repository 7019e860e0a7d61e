"""The README keeps its word: its examples run as they stand, its commands are the two, its files are there."""

import re
from pathlib import Path

import numpy as np
import pytest

import nonlocal_ref as nl

ROOT = Path(nl.__file__).parents[1]
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.is_file(), reason="the package is installed without its checkout")


@pytest.fixture(scope="module")
def text():
    return README.read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_first_example_computes_a_gradient_and_checks_it(text, capsys):
    namespace = {}
    exec(compile(blocks(text, "python")[0], "README.md", "exec"), namespace)
    assert "right (3 gradients checked)" in capsys.readouterr().out
    assert namespace["dphi"].shape == namespace["phi"].shape


def test_the_training_loop_learns_and_keeps_running_statistics(text, capsys):
    namespace = {}
    exec(compile(blocks(text, "python")[1], "README.md", "exec"), namespace)
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert losses[-1] < 0.1 * losses[0]
    evaluated = np.mean((namespace["z"] - namespace["target"]) ** 2)
    assert evaluated < 0.1 * losses[0]


def test_there_are_two_examples_of_about_ten_lines(text):
    lengths = [len([line for line in block.splitlines() if line.strip()]) for block in blocks(text, "python")]
    assert len(lengths) == 2
    assert max(lengths) <= 18


def test_there_are_exactly_two_set_up_commands_the_tour_first(text):
    commands = [line for line in text.splitlines() if line.startswith("python3 -m venv")]
    assert commands == [
        'python3 -m venv .venv && .venv/bin/pip install -e ".[tour]" && .venv/bin/nonlocal-ref tour',
        'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/pytest',
    ]
    assert all(f"{command}\n" in blocks(text, "") for command in commands)  # alone in a fenced block


def test_files_that_are_named_are_there(text):
    for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (ROOT / name).is_file()
        assert (ROOT / name).stat().st_size < 500_000
    house = text.split("## What is in the house")[1].split("\n\n")[1]
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", house)[1:]:
        assert (ROOT / "nonlocal_ref" / name).exists(), name
    for name in re.findall(r"`([\w/]+\.(?:md|cff)|LICENSE)`", text):
        assert (ROOT / name).is_file(), name
