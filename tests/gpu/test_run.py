"""The GPU run as a command, as far as it can be tried without one."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.comparison import comparing
from nonlocal_ref.comparison.cases import Size
from nonlocal_ref.machine import find_gpu
from nonlocal_ref.machine.gpu import Gpu
from tests.benchmarks.cases import SIZES, Case
from tests.gpu import run, targets


@pytest.mark.parametrize("quick", [False, True])
def test_every_step_names_files_that_exist_and_a_folder_to_write_to(quick, tmp_path):
    steps = {name: words for name, words, _ in run.steps(quick, tmp_path)}
    assert list(steps) == ["tests", "comparison", *([] if quick else ["targets", "large"])]
    tests = [word for word in steps["tests"] if word.startswith("tests/")]
    assert tests
    assert all((run.ROOT / file).exists() for file in tests)
    written = [word for words in steps.values() for word in words if word.startswith(str(tmp_path))]
    assert sorted([*(Path(file).name for file in written), "tests.txt"]) == sorted(run.FILES[quick])
    assert len(run.FILES[quick]) <= 8


def test_without_a_gpu_nothing_is_run_or_written(tmp_path, capsys):
    if find_gpu():
        pytest.skip("there is a GPU")
    assert run.main(["--out", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().out.startswith("No GPU found: ")
    assert not list(tmp_path.iterdir())


def test_a_step_whose_time_is_over_is_interrupted_and_keeps_its_log(tmp_path):
    code = "import time\nprint('begun', flush=True)\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('written')"
    log = tmp_path / "tests.txt"
    assert run.run_step([sys.executable, "-c", code], 2, log) == 0
    assert log.read_text() == "begun\nwritten\n"
    assert run.run_step([sys.executable, "-c", "import sys; sys.exit(7)"], 30) == 7


def fake_steps(monkeypatch, tmp_path, reason):
    """A run whose steps cost nothing and report one row; the words and the seconds of each."""
    asked = {}

    def step(command, seconds, log=None):
        names = [Path(word) for word in command if str(word).endswith(".json")]
        for file in names:
            file.write_text(json.dumps({"rows": [{"reason": reason}]}), encoding="utf-8")
        asked["tests" if log else names[0].stem] = (command, seconds)
        return 0

    monkeypatch.setattr(run, "run_step", step)
    monkeypatch.setattr("nonlocal_ref.machine.find_gpu", lambda: Gpu(backend="cupy", name="GPU"))
    return asked


@pytest.mark.parametrize("quick", [False, True])
def test_the_limits_of_a_comparison_fit_within_its_step(monkeypatch, tmp_path, quick):
    asked = fake_steps(monkeypatch, tmp_path, "")
    assert run.main(["--out", str(tmp_path), *(["--quick"] if quick else [])]) == 0
    for name in {"comparison", "large"} & set(asked):
        words, seconds = asked[name]
        cases = float(words[words.index("--seconds") + 1])
        assert cases + cases / 2 < 0.95 * seconds  # TF32 has half as much at most
    assert sum(seconds for name, (_, seconds) in asked.items() if name == "tests") < run.SECONDS[quick] / 2


def test_cases_that_had_no_time_are_not_passed_over(monkeypatch, tmp_path, capsys):
    fake_steps(monkeypatch, tmp_path, comparing.OVER)
    assert run.main(["--quick", "--out", str(tmp_path)]) == 1
    assert "comparison: the time was over before 1 cases" in capsys.readouterr().out


def test_the_large_sizes_are_those_of_the_benchmark_and_one_more():
    assert [Size.parse(text) for text in run.LARGE] == [Size(b, n, m, d, d) for b, n, m, d in SIZES] + [
        Size.square(65536)
    ]


@pytest.mark.parametrize("kind", ["softmax", "dot_product", "concatenation"])
def test_what_pytorch_computes_beside_us_is_the_same_operation(kind):
    pytest.importorskip("torch", reason="torch is not installed")
    case = Case(kind, 2, 6, 6, 4)
    x = case.draw()
    names = ["y", *(f"d{name}" for name in case.names)]
    theirs = [value.detach().numpy() for value in targets.eager(kind, x, "cpu")()]
    for name, got, exact in zip(names, theirs, reference(case, x), strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-5, err_msg=name)  # short sums of numbers about 1


def reference(case, x):
    exact = {name: value.astype(np.float64) for name, value in x.items()}
    y, backward = nl.nonlocal_op(case.variant, *(exact[name] for name in case.names), method="dense")
    return [y, *backward(exact["dy"])]
