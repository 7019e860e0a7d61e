"""The paths that only a GPU takes, run with NumPy under CuPy's name: they are whole, whatever a GPU would say."""

import json
import os
import sys
import types

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.backend import load_backend, to_numpy
from nonlocal_ref.cli import main
from nonlocal_ref.comparison import compare, comparing, devices, one_case, to_html, to_markdown, to_terminal
from nonlocal_ref.comparison.cases import Case, Size
from nonlocal_ref.comparison.measurement import Subject
from nonlocal_ref.machine import find_gpu
from nonlocal_ref.machine.launches import NoCountError
from tests.gpu import run, stand_in, targets

pytestmark = pytest.mark.usefixtures("stand_in_gpu")

TF32 = {"rows": [], "speed": [], "reason": "not measured: a test"}


@pytest.fixture
def asked_for_tf32(monkeypatch):
    """No process with CUPY_TF32=1; what it would have been asked for."""
    asked = []
    monkeypatch.setattr(comparing, "measure_with_tf32", lambda *words: asked.append(words) or TF32)
    return asked


def small(**options):
    return compare(["dot_product"], [8], ["float32"], ["numpy", "cupy"], quick=True, **options)


def test_every_variant_passes_and_everything_is_measured(asked_for_tf32):
    report = compare(sizes=[8], backends=["numpy", "cupy"], quick=True)
    assert report["ok"], report["headline"]
    assert report["gpu"] == {"found": True, "name": stand_in.NAME, "reason": ""}
    assert report["devices"] == {"numpy": None, "cupy": stand_in.NAME}
    timed = [entry for entry in report["speed"] if entry["backend"] == "cupy"]
    assert {entry["clock"] for entry in timed} == {"CUDA events"}
    assert all(entry["to_device_s"] > 0 and entry["from_device_s"] > 0 and entry["median_s"] > 0 for entry in timed)
    memory = [entry for entry in report["memory"] if entry["backend"] == "cupy"]
    assert {entry["how"] for entry in memory} == {"a fresh memory pool"}
    assert all(entry["measured_bytes"] > 0 for entry in memory)
    assert {(top["backend"], top["dtype"]) for top in report["ceilings"]} >= {("cupy", "float32"), ("cupy", "float64")}
    assert len(report["wins"]) == 16
    assert [words[3] for words in asked_for_tf32] == ["cupy"]


def test_the_report_shows_what_only_a_gpu_has(asked_for_tf32):
    report = small()
    report["tf32"] = {"rows": [row | {"ratio": 900.0} for row in report["rows"] if row["backend"] == "cupy"]}
    text = to_terminal(report)
    assert text.startswith("Same numbers on numpy and cupy")
    for words in (
        "cupy is ",
        "Transfers come on top",
        "Where the GPU wins",
        "Launches",
        "TF32",
        "cupy on Stand-in GPU",
    ):
        assert words in text
    assert "900" in text
    assert "Roofline" in to_html(report)
    assert "## Where the GPU wins" in to_markdown(report)


def test_tf32_that_changed_no_bit_is_said_to_have_changed_none(asked_for_tf32):
    report = small()
    same = [row for row in report["rows"] if row["backend"] == "cupy"]
    report["tf32"] = TF32 | {"rows": same}
    words = "CUPY_TF32 changed no bit: CuPy's batched products do not use it."
    assert words in to_terminal(report)
    report["tf32"] = TF32 | {"rows": [*same[1:], same[0] | {"bits": "another"}]}
    assert words not in to_terminal(report)
    report["tf32"] = TF32 | {"rows": [row | {"bits": None} for row in same]}
    assert words not in to_terminal(report)


def test_launches_are_reported_where_they_are_counted(asked_for_tf32, monkeypatch):
    class Counter:
        def count(self, call, wait):
            call()
            wait()
            return 17

    monkeypatch.setattr("nonlocal_ref.comparison.measurement.launch_counter", Counter)
    report = small()
    counted = {(entry["backend"], entry["launches"], entry["launches_how"]) for entry in report["speed"]}
    assert counted == {("numpy", None, "not counted: no GPU"), ("cupy", 17, "CUPTI")}
    assert " 17\n" in to_terminal(report)


def test_launches_that_cannot_be_counted_have_a_reason(asked_for_tf32, monkeypatch):
    def refuses():
        msg = "CUPTI is not here"
        raise NoCountError(msg)

    monkeypatch.setattr("nonlocal_ref.comparison.measurement.launch_counter", refuses)
    report = small()
    assert {e["launches_how"] for e in report["speed"] if e["backend"] == "cupy"} == {"not counted: CUPTI is not here"}
    assert "kernels a call  not counted: CUPTI is not here" in to_terminal(report)


def test_a_counter_that_breaks_has_a_reason(asked_for_tf32, monkeypatch):
    def has_no_such_name():
        msg = "undefined symbol: cuptiActivityRegisterCallbacks"
        raise AttributeError(msg)

    monkeypatch.setattr("nonlocal_ref.comparison.measurement.launch_counter", has_no_such_name)
    report = small()
    assert report["ok"], report["headline"]
    assert "launches  AttributeError: undefined symbol" in to_terminal(report)


def test_the_default_pool_is_empty_before_a_fresh_one_is_measured(monkeypatch):
    case, told = Case("dot_product", Size.parse(8)), []
    subject = Subject(case, devices.Backend("cupy"), "float32", case.draw(0))
    right = stand_in.MemoryPool
    monkeypatch.setattr(devices.Backend, "give_back", lambda self: told.append("given back"))
    monkeypatch.setattr(sys.modules["cupy.cuda"], "MemoryPool", lambda: told.append("a fresh pool") or right())
    subject.peak_bytes()
    assert told == ["given back", "a fresh pool"]


def test_a_gpu_that_is_lost_fails_its_rows_and_the_report_is_whole(asked_for_tf32, monkeypatch):
    right = Subject.both

    def lost(self):
        if self.backend.library == "cupy":
            msg = "cudaErrorIllegalAddress: an illegal memory access was encountered"
            raise RuntimeError(msg)
        return right(self)

    def lost_too(backend, dtype):
        raise RuntimeError("cudaErrorIllegalAddress")

    monkeypatch.setattr(Subject, "both", lost)
    monkeypatch.setattr(one_case, "ceilings", lost_too)
    report = small()
    (row,) = [row for row in report["rows"] if row["backend"] == "cupy"]
    assert (row["stage"], row["pass"]) == ("run", False)
    assert row["reason"].startswith("RuntimeError: cudaErrorIllegalAddress")
    assert {top["reason"] for top in report["ceilings"]} == {"not measured: RuntimeError: cudaErrorIllegalAddress"}
    assert report["complete"]
    assert "not measured: RuntimeError" in to_terminal(report)


def test_require_gpu_is_met(capsys, asked_for_tf32):
    words = ["--variants", "dot_product", "--sizes", "4", "--dtype", "float64", "--quick"]
    assert main(["compare", "--require-gpu", "--backends", "cupy", *words]) == 0
    assert capsys.readouterr().out.startswith("Same numbers on cupy")


def test_require_gpu_is_not_met_where_no_row_of_a_gpu_was_judged(capsys, asked_for_tf32, monkeypatch):
    monkeypatch.setattr(
        devices.Backend, "free_bytes", lambda backend: 0 if backend.library == "cupy" else stand_in.MEMORY
    )
    words = ["--variants", "dot_product", "--sizes", "4", "--dtype", "float64", "--quick", "--require-gpu"]
    assert main(["compare", *words]) == 3
    out = capsys.readouterr().out
    assert "does not fit" in out
    assert out.endswith("No GPU compared: no row of cupy could be tried, see the reasons above.\n")


def test_require_gpu_is_not_met_by_backends_without_one(capsys):
    assert main(["compare", "--require-gpu", "--backends", "numpy", "--sizes", "4"]) == 3
    assert capsys.readouterr().out.startswith("No GPU asked for: ")


def test_a_gpu_whose_numbers_are_wrong_is_exit_code_1_and_not_3(asked_for_tf32, monkeypatch):
    right = Subject.both
    monkeypatch.setattr(Subject, "both", lambda self: tuple(1.001 * x for x in right(self)))
    words = ["--variants", "dot_product", "--sizes", "4", "--dtype", "float64", "--quick"]
    assert main(["compare", "--require-gpu", "--backends", "cupy", *words]) == 1


def test_a_device_that_is_not_there_is_refused_at_the_door():
    with pytest.raises(ValueError, match=r"backend 'cupy' has no device '1' here: .*cudaErrorInvalidDevice"):
        load_backend("cupy:1")


def test_arrays_of_the_device_do_not_become_arrays_of_the_host():
    x = nl.to_backend(np.ones(3), "cupy")
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(x)
    with pytest.raises(TypeError, match="Unsupported type"):
        x + np.ones(3)
    np.testing.assert_array_equal(to_numpy(x + x), [2, 2, 2])


def test_by_default_the_gpu_is_compared_with_numpy_and_with_pytorch_on_it(monkeypatch):
    def names():
        return [backend.name for backend in devices.default_backends(find_gpu())[0]]

    assert names() == ["numpy", "cupy"]  # this PyTorch sees no GPU, or is not here
    monkeypatch.setattr(devices, "importable", lambda name: True)
    right = devices.load_backend
    monkeypatch.setattr(devices, "load_backend", lambda name: (None, None) if name.startswith("torch") else right(name))
    assert names() == ["numpy", "cupy", "torch:cuda"]


def test_a_gpu_without_numpy_beside_it_is_not_said_to_be_none(asked_for_tf32):
    report = compare(["dot_product"], [8], ["float32"], ["cupy"], quick=True)
    assert "cupy was not timed beside numpy: no speed-up is known" in report["headline"]
    assert "no GPU" not in report["headline"]


@pytest.fixture
def small_targets(monkeypatch):
    monkeypatch.setattr(targets, "SIZES", [(1, 8, 8, 4)])
    monkeypatch.setattr(targets, "ROUNDS", 1)
    monkeypatch.setitem(targets.PICTURE, "side", 16)


def test_the_targets_keep_what_they_have_where_the_last_one_fails(small_targets, monkeypatch, tmp_path):
    def lost(backend):
        msg = "cudaErrorIllegalAddress"
        raise RuntimeError(msg)

    monkeypatch.setattr(targets, "denoiser", lost)
    assert targets.main([str(tmp_path / "a.json")]) == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["complete"]
    assert [found["case"] for found in report["cells"] if found["to_products"] > 0] == [
        found["case"] for found in report["cells"]
    ]
    assert report["denoiser"] == {"case": targets.DENOISER, "reason": "not measured: RuntimeError"}


def test_the_targets_keep_what_they_have_when_they_are_interrupted(small_targets, monkeypatch, tmp_path):
    def interrupted(backend):
        raise KeyboardInterrupt

    monkeypatch.setattr(targets, "denoiser", interrupted)
    with pytest.raises(KeyboardInterrupt):
        targets.main([str(tmp_path / "a.json")])
    report = json.loads((tmp_path / "a.json").read_text())
    assert (report["complete"], len(report["cells"]), report["denoiser"]) == (False, 3, None)


def test_a_numbered_gpu_is_the_current_device_while_it_computes():
    backend = devices.Backend("cupy:0")
    assert backend.device == stand_in.Device(0)
    assert backend.device_name() == stand_in.NAME
    with backend.holding("float32") as held:
        assert held == backend.device
    assert backend.free_bytes() == stand_in.MEMORY


def test_pytorchs_gpu_is_asked_on_its_own_device(monkeypatch):
    asked = []
    cuda = types.SimpleNamespace(
        synchronize=lambda place: asked.append(("synchronize", place)),
        empty_cache=lambda: asked.append("empty_cache"),
        mem_get_info=lambda place: (7, 9) if place == "cuda:1" else None,
        get_device_name=lambda place: f"GPU of {place}",
    )
    monkeypatch.setattr(devices, "load_backend", lambda name: (None, name.partition(":")[2]))
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    backend = devices.Backend("torch:cuda:1")
    assert backend.on_gpu
    backend.wait(())
    backend.give_back()
    assert asked == [("synchronize", "cuda:1"), "empty_cache"]
    assert (backend.free_bytes(), backend.device_name()) == (7, "GPU of cuda:1")


def test_every_kind_of_pytorchs_devices_is_waited_for_by_its_own_functions(monkeypatch):
    asked = []
    torch = types.SimpleNamespace(
        mps=types.SimpleNamespace(synchronize=lambda: asked.append("mps"), empty_cache=lambda: asked.append("emptied")),
        xpu=types.SimpleNamespace(synchronize=lambda place: asked.append(place)),
    )
    monkeypatch.setattr(devices, "load_backend", lambda name: (None, name.partition(":")[2]))
    monkeypatch.setitem(sys.modules, "torch", torch)
    mps, xpu = devices.Backend("torch:mps"), devices.Backend("torch:xpu:1")
    mps.wait(())
    xpu.wait(())
    mps.give_back()
    assert asked == ["mps", "xpu:1", "emptied"]
    assert [mps.free_bytes(), mps.device_name(), xpu.free_bytes()] == [None] * 3


def test_pytorch_says_itself_how_much_memory_it_took_at_most(monkeypatch):
    case = Case("dot_product", Size.parse(8))
    subject = Subject(case, devices.Backend("numpy"), "float32", case.draw(0))
    results = sum(x.nbytes for x in subject.both())
    cuda = types.SimpleNamespace(
        synchronize=lambda place: None,
        memory_allocated=lambda place: 1000,
        reset_peak_memory_stats=lambda place: None,
        max_memory_allocated=lambda place: 1000 + results + 77,
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    subject.backend.library, subject.backend.place = "torch", "cuda"
    assert subject.peak_bytes() == (77, "max_memory_allocated")


def test_pytorch_on_the_host_does_not_say_how_much_memory_it_took():
    pytest.importorskip("torch")
    subject = Subject(Case("dot_product", Size.parse(8)), devices.Backend("torch"), "float32", {})
    assert subject.peak_bytes() == (None, "not measured: torch does not say on this device")


def test_what_comes_from_the_device_is_copied_once(monkeypatch):
    x, host = nl.to_backend(np.ones(3), "cupy"), np.ones(3)
    monkeypatch.setattr(stand_in.ndarray, "get", lambda self: host)
    assert to_numpy(x) is host


SITE = """
from tests.gpu import stand_in
stand_in.install()
from nonlocal_ref.comparison import cases, measurement
measurement.PRODUCT_SIDE[True] = measurement.COPY_COUNT[True] = 16
cases.SIZES[True, True] = (8,)
"""


@pytest.mark.slow
def test_the_gpu_run_passes_and_writes_no_more_than_it_may(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SITE)  # for the processes that it starts
    search = [str(tmp_path), str(run.ROOT), os.environ.get("PYTHONPATH")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, search)))
    monkeypatch.setitem(run.SECONDS, True, 3600)  # this machine may be slow and busy
    out = tmp_path / "out"
    assert run.main(["--quick", "--out", str(out)]) == 0, (out / "tests.txt").read_text()
    written = [file for file in out.rglob("*") if file.is_file()]
    assert {file.name for file in written} == run.FILES[True]
    assert len(run.FILES[False]) <= 8
    assert all(file.stat().st_size < 16 * 2**20 and file.parent == out for file in written)
    assert str(tmp_path) not in "".join(file.read_text(encoding="utf-8") for file in written)
