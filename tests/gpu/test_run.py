"""The GPU run as a command, as far as it can be tried without one."""

import sys

import pytest

from nonlocal_ref.machine import find_gpu
from tests.gpu import run


@pytest.mark.parametrize("quick", [False, True])
def test_every_step_names_files_that_exist_and_a_folder_to_write_to(quick, tmp_path):
    steps = {name: words for name, words, _ in run.steps(quick, tmp_path)}
    assert list(steps) == ["tests", "comparison", *([] if quick else ["large"])]
    tests = [word for word in steps["tests"] if word.startswith("tests/")]
    assert tests
    assert all((run.ROOT / file).exists() for file in tests)
    written = [word for words in steps.values() for word in words if word.startswith(str(tmp_path))]
    assert len(set(written)) == len(written) <= 7  # and tests.txt


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
