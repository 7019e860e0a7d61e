"""The comparison of gradient checkers runs; the page shows what the file has.  No times are judged."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.gradient_checkers import checkers, command, measure, page
from tests.benchmarks.gradient_checkers.functions import FUNCTIONS, GROUPS, planted

DOCS = Path(__file__).resolve().parents[2] / "docs"


def drawn(name, scale=1.0):
    function = FUNCTIONS[name]
    return function.op, function.draw(np.random.default_rng(0), scale)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torch", "torch_fast", "torch_tight", "jax", "jax_tight", "taught_0.0001"])
def test_a_peer_accepts_the_right_gradient_and_rejects_a_wrong_sign(name):
    known = checkers.checkers({"torch": 1e-6, "jax": 1e-6})
    if name not in known:
        pytest.skip("PyTorch is not installed")
    op, arrays = drawn("linear")
    assert known[name].check(op, arrays, seed=0) == "right"
    assert known[name].check(planted(op, 1, -2.0), arrays, seed=0) == "wrong"


def test_the_taught_check_finds_what_its_threshold_says():
    op, arrays = drawn("linear")
    assert checkers.taught(planted(op, 0, 1e-3), arrays, seed=0, threshold=1e-4) == "wrong"
    assert checkers.taught(planted(op, 0, 1e-5), arrays, seed=0, threshold=1e-4) == "right"


def test_the_smallest_rejected_error_is_the_first_on_the_ladder():
    def at_least(least):
        def check(op, arrays, seed):
            gradient = op(arrays[0])[1](np.ones(1))[0]
            return "wrong" if gradient[0] - 1 >= least else "right"

        return check

    def identity(x):
        return x, lambda dy: (dy,)

    function = FUNCTIONS["linear"]._replace(op=identity, draw=lambda rng, scale: [np.ones(1)])
    assert measure.smallest_rejected(at_least(2e-7), function, 1.0, draws=2) == 3e-7
    assert measure.smallest_rejected(at_least(1e3), function, 1.0, draws=2) is None
    assert measure.smallest_rejected(at_least(0.0), function, 1.0, draws=2) == "alarm"


@pytest.mark.parametrize("group", GROUPS)
def test_ours_calls_the_first_cases_of_each_group_right(group):
    for seed in range(5):
        op, arrays = GROUPS[group][1](np.random.default_rng([seed, 3]))
        assert checkers.ours(op, arrays, seed=seed) == "right"


@pytest.mark.slow
def test_all_of_it_runs_and_fills_the_page(tmp_path, monkeypatch, capsys):
    ours_alone = {"ours": checkers.Checker("nonlocal_ref", "defaults", checkers.ours)}
    monkeypatch.setattr(command, "checkers", lambda tight: ours_alone)
    monkeypatch.setattr(measure, "tightest", lambda cases: {})
    path, text = tmp_path / "results.json", tmp_path / "page.md"
    text.write_text((DOCS / "gradient_checkers.md").read_text(encoding="utf-8"), encoding="utf-8")
    assert command.main(["--quick", "--json", str(path), "--page", str(text)]) == 0
    results = json.loads(path.read_text(encoding="utf-8"))
    assert len(results["accuracy"]) == sum(len(function.scales) for function in FUNCTIONS.values())
    filled = text.read_text(encoding="utf-8")
    assert "A quick run" in filled
    assert "| softmax attention | 1 |" in filled
    command.main(["--section", "--json", str(path), "--page", str(text)])
    assert text.read_text(encoding="utf-8") == filled


def test_the_page_shows_the_committed_numbers():
    text = (DOCS / "gradient_checkers.md").read_text(encoding="utf-8")
    results = command.load(DOCS / "gradient_checkers.json")
    assert not results["settings"]["quick"]
    assert sorted(re.findall(r"<!-- begin generated: ([\w-]+) -->", text)) == sorted(page.sections(results))
    assert page.fill(text, results) == text
