"""``nonlocal-ref compare``: exit codes, files, refusals."""

import errno
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from nonlocal_ref.cli import compare_command, main
from nonlocal_ref.comparison import comparing, interruption, measurement, one_case, tf32, to_json
from nonlocal_ref.comparison.cases import Size
from nonlocal_ref.comparison.comparing import Comparison
from nonlocal_ref.comparison.devices import Backend
from nonlocal_ref.comparison.measurement import Subject
from nonlocal_ref.comparison.tf32 import measure_with_tf32
from nonlocal_ref.machine import gpu
from tests.cli.helpers import refusal, run
from tests.comparison.helpers import small_report
from tests.comparison.test_reading import broken_report

SMALL = ("compare", "--quick", "--sizes", "2x6x5x4x3", "--backends", "numpy", "--variants", "dot_product")


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal; tests that run side by side ignore it otherwise."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, usual)


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine without CuPy, whatever this one has."""
    right = importlib.import_module

    def without_cupy(name, package=None):
        if name.endswith("cupy"):
            raise ModuleNotFoundError(name)
        return right(name, package)

    monkeypatch.setattr(importlib, "import_module", without_cupy)


def test_it_prints_the_report_and_writes_every_file(capsys, tmp_path, no_gpu):
    files = {option: tmp_path / f"report.{option}" for option in ("json", "md", "html")}
    words = [word for option, file in files.items() for word in (f"--{option}", file)]
    code, out, err = run(capsys, *SMALL, *words)
    assert (code, err) == (0, "")
    assert out.startswith("No GPU found: ")
    assert "\nSame numbers on numpy" in out
    assert json.loads(files["json"].read_text())["ok"]
    assert files["md"].read_text().startswith("# nonlocal-ref compare")
    assert files["html"].read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_row_that_fails_is_exit_code_1(capsys, monkeypatch):
    right = Subject.both
    monkeypatch.setattr(Subject, "both", lambda self: tuple(1.001 * x for x in right(self)))
    code, out, _ = run(capsys, *SMALL)
    assert code == 1
    assert "NOT the same numbers" in out


def test_a_gpu_that_is_required_and_not_there_is_exit_code_3(capsys, no_gpu):
    code, out, err = run(capsys, *SMALL, "--require-gpu")
    assert (code, err) == (3, "")
    assert out.startswith("No GPU found: CuPy")


def test_a_gpu_that_is_required_and_asked_for_by_name_is_exit_code_3_as_well(capsys, no_gpu):
    code, out, err = run(capsys, *SMALL[:5], "cupy", "--require-gpu")
    assert (code, err) == (3, "")
    assert out.startswith("No GPU found: CuPy")
    assert "backend 'cupy' is not installed" in out


def test_a_gpu_that_pytorch_alone_can_use_is_enough_for_require_gpu(capsys, monkeypatch, no_gpu):
    monkeypatch.setattr(Backend, "on_gpu", True)
    assert run(capsys, *SMALL, "--require-gpu")[0] == 0


def test_ctrl_c_while_libraries_are_imported_leaves_one_line(capsys, monkeypatch, ctrl_c):
    def dropped(*words, **options):
        with suppress(KeyboardInterrupt):
            ctrl_c()

    monkeypatch.setattr(comparing.Comparison, "__init__", dropped)
    assert run(capsys, *SMALL) == (130, "", "nonlocal-ref: interrupted\n")


def test_a_backend_that_is_not_there_names_the_line_that_installs_it(capsys, no_gpu):
    line = refusal(capsys, "compare", "--backends", "numpy", "cupy")
    assert "backend 'cupy' is not installed" in line
    assert "pip install" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sizes", "-3"], "at least 1"),
        (["--sizes", "0"], "sizes"),
        (["--sizes", "many"], "BxNxMxDxE"),
        (["--variants", "cosine"], "cosine"),
        (["--dtype", "float16"], "float16"),
        (["--seed", "-1"], "seed"),
        (["--seconds", "0"], "argument --seconds: must be more than 0"),
        (["--seconds", "nan"], "argument --seconds: must be more than 0"),
        (["--backends", "numpy", "tensorflow"], "tensorflow"),
        (["--json", "no/such/folder/a.json"], "must be in a folder that exists"),
        (["--html", "."], "must be a file to write"),
        (["--json", "a.txt", "--md", "./a.txt"], "argument --md: must be another file than that of --json"),
    ],
)
def test_a_wrong_wish_is_refused_in_one_line(capsys, words, message):
    assert message in refusal(capsys, "compare", *words)


def test_a_report_that_cannot_be_written_is_kept_elsewhere(capsys, monkeypatch, tmp_path):
    def gone(command, argument, contents):
        (path,) = contents
        compare_command.fail(command, f"argument {argument}: cannot write {path.name!r}: No space left on device")

    monkeypatch.setattr(compare_command, "write_files", gone)
    monkeypatch.setattr(compare_command.tempfile, "tempdir", str(tmp_path))
    code, out, err = run(capsys, *SMALL, "--json", tmp_path / "a.json")
    assert code == 2
    assert "Accuracy" in out
    assert "No space left on device" in err
    (kept,) = tmp_path.glob("nonlocal-ref-compare-*.json")
    assert str(kept) in err
    assert json.loads(kept.read_text())["ok"]


def test_where_no_disk_has_room_the_tables_are_printed_and_one_line_says_so(capsys, monkeypatch, tmp_path):
    def full(*words, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("nonlocal_ref.cli.output_files.write_whole", full)
    monkeypatch.setattr(compare_command.tempfile, "tempdir", str(tmp_path))
    file = tempfile.NamedTemporaryFile

    def small(*words, **options):
        made = file(*words, **options)
        made.write = full
        return made

    for kept in (full, small):  # no folder for it; or a file, and no room in it
        monkeypatch.setattr(compare_command.tempfile, "NamedTemporaryFile", kept)
        code, out, err = run(capsys, *SMALL, "--json", tmp_path / "a.json")
        assert code == 2
        assert "Accuracy" in out
        assert err.count("\n") == 1
        assert "nor can the report be kept elsewhere: No space left on device; what is printed has its tables" in err
        assert not list(tmp_path.iterdir())


def test_an_interruption_writes_what_there_is(capsys, monkeypatch, tmp_path):
    def interrupted(self, tick):
        raise KeyboardInterrupt

    monkeypatch.setattr(Comparison, "run", interrupted)
    code, _, _ = run(capsys, *SMALL, "--json", tmp_path / "a.json")
    assert code == 130
    assert json.loads((tmp_path / "a.json").read_text())["headline"].startswith("Interrupted. Nothing was compared")


def test_an_interruption_that_a_library_drops_ends_the_run_all_the_same(capsys, monkeypatch, tmp_path, ctrl_c):
    right = Subject.forward

    def dropped(self):
        with suppress(KeyboardInterrupt):  # as JAX does in its callbacks
            ctrl_c()
        return right(self)

    monkeypatch.setattr(Subject, "forward", dropped)
    code, _, err = run(capsys, *SMALL, "--json", tmp_path / "a.json")
    assert (code, err) == (130, "nonlocal-ref: interrupted\n")
    report = json.loads((tmp_path / "a.json").read_text())
    assert (report["complete"], report["speed"]) == (False, [])


def test_an_interruption_that_a_library_reports_as_its_own_error_is_no_row(capsys, monkeypatch, tmp_path, ctrl_c):
    def its_own(self):
        try:
            ctrl_c()
        except KeyboardInterrupt as error:
            raise RuntimeError from error

    monkeypatch.setattr(Subject, "forward", its_own)
    assert run(capsys, *SMALL, "--json", tmp_path / "a.json")[0] == 130
    assert json.loads((tmp_path / "a.json").read_text())["failed"] == 0


def test_ctrl_c_means_what_it_did_before_once_the_command_is_over(capsys, ctrl_c):
    run(capsys, *SMALL)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    interruption.check()


def test_a_program_that_ignores_ctrl_c_goes_on_doing_so():
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption.remembered():
            signal.raise_signal(signal.SIGINT)
            interruption.check()
    finally:
        signal.signal(signal.SIGINT, usual)


def test_the_json_is_there_before_the_run_is_over(capsys, monkeypatch, tmp_path):
    right, file, seen = measurement.ceilings, tmp_path / "a.json", []

    def look(*arguments):
        seen.append(json.loads(file.read_text()))
        return right(*arguments)

    monkeypatch.setattr(compare_command, "KEEP", 0.0)
    monkeypatch.setattr(one_case, "ceilings", look)
    assert run(capsys, *SMALL, "--json", file)[0] == 0
    assert seen
    assert all(report["rows"] and not report["complete"] for report in seen)
    assert json.loads(file.read_text())["complete"]


@pytest.mark.skipif(os.name != "posix", reason="pipes are those of POSIX")
def test_a_pipe_gets_one_report(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(compare_command, "KEEP", 0.0)
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(json.loads(path.read_text())), daemon=True)
    reader.start()
    assert run(capsys, *SMALL, "--json", path)[0] == 0
    reader.join(timeout=30)
    assert [report["complete"] for report in got] == [True]


class Full(io.StringIO):
    """A stdout on a device without room."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def fileno(self):
        return self.file.fileno()

    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_stdout_that_is_full_is_exit_code_2_and_the_report_is_written(capsys, monkeypatch, tmp_path):
    with (tmp_path / "stdout").open("w") as file:
        monkeypatch.setattr(sys, "stdout", Full(file))
        code = main([*SMALL, "--json", str(tmp_path / "a.json")])
    assert code == 2
    message = f"nonlocal-ref: error: cannot write to stdout: {os.strerror(errno.ENOSPC)}\n"
    assert capsys.readouterr().err == message
    assert json.loads((tmp_path / "a.json").read_text())["ok"]


def test_a_reader_of_stdout_who_leaves_changes_nothing(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "nonlocal_ref", *SMALL, "--json", str(tmp_path / "a.json")]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "a.json").read_text())["complete"]


def test_a_file_whose_name_the_terminal_cannot_show_is_written(tmp_path):
    command = [sys.executable, "-m", "nonlocal_ref", *SMALL, "--json", str(tmp_path / "mü.json")]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("m?.json\n")
    assert json.loads((tmp_path / "mü.json").read_text())["complete"]


def test_diff_of_two_reports(capsys, tmp_path):
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(to_json(small_report()))
    after.write_text(to_json(broken_report()))
    assert run(capsys, "compare", "--diff", before, before)[0] == 0
    code, out, _ = run(capsys, "compare", "--diff", before, after)
    assert code == 1
    assert out.startswith("1 of ")
    after.write_text("{")
    assert "argument --diff: 'b.json' is not JSON" in refusal(capsys, "compare", "--diff", before, after)


def test_diff_of_reports_without_a_common_row_is_exit_code_1(capsys, tmp_path):
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(to_json(small_report()))
    after.write_text(to_json(small_report() | {"rows": []}))
    code, out, _ = run(capsys, "compare", "--diff", before, after)
    assert code == 1
    assert out.startswith("No row stands in both reports; 0 rows of the second report fail.")


@pytest.mark.parametrize(
    "words", [["--json", "c.json"], ["--html", "c.html"], ["--require-gpu"], ["--sizes", "8"], ["--seed", "0"]]
)
def test_diff_takes_no_other_option(capsys, tmp_path, words):
    line = refusal(capsys, "compare", "--diff", tmp_path / "a.json", tmp_path / "b.json", *words)
    assert f"argument {words[0]}: does not go with --diff" in line


def test_the_report_fits_the_terminal(capsys, monkeypatch, no_gpu):
    monkeypatch.setenv("COLUMNS", "60")
    code, out, _ = run(capsys, *SMALL)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 60
    assert out.count("No GPU found: ") == 1


def test_tf32_runs_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")])))
    monkeypatch.delenv("CUPY_TF32", raising=False)
    (size,) = Comparison(sizes=[4], backends=["numpy"]).sizes
    found = measure_with_tf32(["dot_product"], [size], 0, backend="numpy")
    assert {row["stage"] for row in found["rows"]} == {"weights", "y", "dtheta", "dphi", "dg"}
    assert found["speed"]
    monkeypatch.setenv("CUPY_TF32", "1")
    assert measure_with_tf32(["dot_product"], [size], 0, "cupy")["reason"].startswith("not measured apart")
    monkeypatch.delenv("CUPY_TF32")
    large = Size.parse(10**5)
    assert "too large" in measure_with_tf32(["dot_product"], [large], 0, "cupy")["reason"]
    assert measure_with_tf32(["dot_product"], [size], 0, "none")["reason"] == "not measured: the process ended with 2"
    assert "longer than" in measure_with_tf32(["dot_product"], [size], 0, "numpy", 1e-3)["reason"]


def test_tf32_has_half_of_a_limited_time_and_none_once_it_is_over(monkeypatch):
    asked = []
    monkeypatch.setattr(comparing, "measure_with_tf32", lambda *words: asked.append(words[-1]) or {})
    comparison = Comparison(["dot_product"], [4], ["float32"], ["numpy"])
    for seconds in (None, 1e4, 60.0):
        comparison.seconds = seconds
        comparison.with_tf32("cupy")
    assert asked == [tf32.TIMEOUT, tf32.TIMEOUT, 30.0]
    comparison.seconds = -1.0
    assert comparison.with_tf32("cupy")["reason"].startswith("not tried: the time was over")
    assert len(asked) == 3


def test_no_case_begins_after_the_seconds_that_were_given(capsys):
    code, out, _ = run(capsys, *SMALL, "--seconds", "1e-9")
    assert code == 1
    assert "not tried: the time was over" in out


def test_a_gpu_that_is_required_does_not_lift_the_limit(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(Comparison, "run", lambda self, tick: seen.append(self.seconds))
    monkeypatch.setattr("nonlocal_ref.machine.gpu.find_gpu", lambda: gpu.Gpu(backend="cupy", name="GPU"))
    monkeypatch.setattr(Backend, "on_gpu", True)
    run(capsys, "compare", "--require-gpu", "--variants", "dot_product")
    assert seen[0] in compare_command.SECONDS.values()


BLOCKED = """
import sys
class Blocked:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked)
from nonlocal_ref.cli import main
sys.exit(main({words!r}))
"""


def test_it_needs_no_library_beside_those_of_the_package(tmp_path):
    names = {"tqdm", "jinja2", "matplotlib", "skimage", "torch", "jax", "array_api_strict", "threadpoolctl", "cupy"}
    code = BLOCKED.format(names=names, words=[*SMALL[:-2], "--html", str(tmp_path / "a.html")])
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_gpu_has_a_reason(no_gpu, monkeypatch, tmp_path):
    assert "CuPy is not installed and" in gpu.find_gpu().reason
    monkeypatch.setattr(gpu, "DRIVER", tmp_path)
    assert "an NVIDIA driver is loaded; install it with: pip install" in gpu.find_gpu().reason


def test_help_names_the_exit_codes(capsys):
    assert main(["compare", "--help"]) == 0
    assert "3 --require-gpu" in capsys.readouterr().out


def test_a_cupy_that_does_not_load_leaves_no_folder_in_any_report(capsys, monkeypatch, tmp_path):
    right = importlib.import_module

    def broken(name, package=None):
        if name.endswith("cupy"):
            raise OSError("/home/alice/env/lib/libnvrtc.so.12: cannot open")
        return right(name, package)

    monkeypatch.setattr(importlib, "import_module", broken)
    files = {option: tmp_path / f"report.{option}" for option in ("json", "md", "html")}
    words = [word for option, file in files.items() for word in (f"--{option}", file)]
    _, out, _ = run(capsys, *SMALL, *words)
    for text in (out, *(file.read_text(encoding="utf-8") for file in files.values())):
        assert "libnvrtc.so.12: cannot open" in text
        assert "alice" not in text
