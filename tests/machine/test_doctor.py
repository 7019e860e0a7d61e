"""``nonlocal-ref doctor``: what it finds, and that it never fails for what it finds."""

import importlib
import json
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest

from nonlocal_ref import backend
from nonlocal_ref.cli.usage import TOUR
from nonlocal_ref.machine import blas_kernels, diagnose, diagnosis, find_gpu, gpu, hardware, matrix_product, software
from nonlocal_ref.machine.blas_kernels import Kernel, verdict
from tests.cli.helpers import run


@pytest.fixture
def modules(monkeypatch):
    """CuPy as it is handed in: an error, or a module."""
    right = importlib.import_module

    def put(cupy):
        def replaced(name, package=None):
            if name != "cupy":
                return right(name, package)
            if isinstance(cupy, Exception):
                raise cupy
            return cupy

        monkeypatch.setattr(importlib, "import_module", replaced)

    return put


def cupy_with(**cuda):
    return types.SimpleNamespace(cuda=types.SimpleNamespace(**cuda))


def test_it_says_what_there_is_and_ends_with_0(capsys, modules):
    modules(ModuleNotFoundError("cupy"))
    code, out, err = run(capsys, "doctor")
    assert (code, err) == (0, "")
    assert out.isascii()
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert {"python", "processor", "memory", "GPU", "BLAS", "workers", "found"} <= set(lines)
    assert lines["GPU"].startswith("none: CuPy is not installed")


def test_what_is_missing_comes_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(diagnosis, "version", lambda name, module: None)
    missing = {entry["name"]: entry["install"] for entry in diagnose()["missing"]}
    assert missing["safetensors"] == "pip install safetensors"
    assert missing["numpy"] == "pip install numpy"


def test_the_lines_that_install_name_the_packages_of_the_extras():
    """This package is not on PyPI: no line may ask pip for an extra of it."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        extra: [requirement.partition(">")[0] for requirement in requirements]
        for extra, requirements in project["optional-dependencies"].items()
    }
    assert TOUR.split() == extras["tour"]
    assert [[gpu.cupy_for(12)], [gpu.cupy_for(13)]] == [extras["cuda12"], extras["cuda13"]]
    lines = [line for *_, line in diagnosis.OPTIONAL.values()] + [gpu.install_line(), *backend._INSTALL.values()]
    assert not [line for line in lines if "nonlocal-ref" in line]


def refuses(*arguments, **options):
    msg = "cudaErrorInsufficientDriver: CUDA driver version is insufficient"
    raise RuntimeError(msg)


@pytest.mark.parametrize(
    ("cupy", "reason"),
    [
        (ModuleNotFoundError("No module named 'cuda'", name="cuda"), "is installed without what it needs"),
        (ImportError("libcuda.so.1: cannot open\nmore"), "cannot be imported (ImportError: libcuda.so.1: cannot open)"),
        (
            cupy_with(is_available=lambda: False, runtime=types.SimpleNamespace(getDeviceCount=refuses)),
            "it sees no CUDA device (RuntimeError: cudaErrorInsufficientDriver: CUDA driver version is insufficient)",
        ),
        (
            cupy_with(is_available=lambda: False, runtime=types.SimpleNamespace(getDeviceCount=lambda: 0)),
            "it sees 0 CUDA devices",
        ),
        (cupy_with(is_available=lambda: True), "the device does not answer (AttributeError"),
        (OSError("/home/alice/env/lib/libnvrtc.so.12: cannot open"), "(OSError: libnvrtc.so.12: cannot open)"),
        (OSError("libnvrtc.so.12"), '"cupy-cuda13x[ctk]"'),  # broken, and what would help
    ],
)
def test_why_there_is_no_gpu(modules, cupy, reason):
    modules(cupy)
    assert reason in find_gpu().reason
    assert not find_gpu()


def a_gpu(ones):
    """CuPy on a machine with a GPU; what it computes with."""
    runtime = types.SimpleNamespace(
        getDeviceProperties=lambda index: {"name": b"A GPU", "multiProcessorCount": 132},
        driverGetVersion=lambda: 12040,
        runtimeGetVersion=lambda: 12030,
    )
    device = types.SimpleNamespace(id=0, compute_capability="90", mem_info=(1, 2**36))
    cupy = cupy_with(is_available=lambda: True, Device=lambda: device, runtime=runtime)
    cupy.ones, cupy.float32 = ones, np.float32
    return cupy


def test_a_gpu_is_described(modules, monkeypatch, tmp_path):
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n")
    monkeypatch.setattr(gpu, "DRIVER", driver)
    modules(a_gpu(np.ones))
    found = diagnose()
    assert found["gpu"]["found"]
    line = "GPU        A GPU, 64.0 GiB, driver 550.54.15 (CUDA 12.4), CUDA runtime 12.3, compute capability 9.0"
    assert line in diagnosis.in_words(found)


def test_a_gpu_that_cannot_compute_is_none(modules):
    modules(a_gpu(refuses))
    assert "CuPy sees A GPU, but cannot compute on it (RuntimeError: cudaErrorInsufficientDriver" in find_gpu().reason
    modules(a_gpu(np.zeros))
    assert "is not 3 there" in find_gpu().reason


def test_devices_that_are_hidden_are_said_to_be(modules, monkeypatch):
    modules(cupy_with(is_available=lambda: False))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES hides every CUDA device from it" in find_gpu().reason


@pytest.mark.parametrize(
    ("driver", "extra"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024", "cuda12"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build", "cuda13"),
    ],
)
def test_the_line_that_installs_cupy_fits_the_driver(modules, monkeypatch, tmp_path, driver, extra):
    (tmp_path / "version").write_text(driver)
    monkeypatch.setattr(gpu, "DRIVER", tmp_path / "version")
    modules(ModuleNotFoundError("cupy"))
    assert find_gpu().reason.endswith(f'is loaded; install what fits it with: pip install "cupy-{extra}x[ctk]"')


def test_a_quota_lowers_the_recommended_workers(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "CGROUP", tmp_path)
    monkeypatch.setattr(hardware, "available_workers", lambda: 8)
    monkeypatch.setattr(diagnosis, "available_workers", lambda: 8)
    assert diagnosis.recommended_workers()[0] == 8
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    workers, reason = diagnosis.recommended_workers()
    assert workers == 2
    assert "pass workers=2" in reason


def test_a_limit_of_the_container_is_the_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1048576\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert (hardware.total_memory(), hardware.free_memory()) == (1048576, 48576)


def test_nothing_is_known_where_nobody_says(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "CGROUP", tmp_path)
    monkeypatch.setattr(hardware, "PROC", tmp_path)
    assert (hardware.total_memory(), hardware.free_memory(), hardware.processor_flags()) == (None, None, set())
    assert hardware.processor_name()
    assert "memory     unknown, unknown free" in diagnosis.in_words(diagnose())


def test_without_threadpoolctl_the_blas_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert software.blas_libraries() == []
    assert "BLAS       unknown" in diagnosis.in_words(diagnose())


def test_a_matrix_product_is_measured():
    found = matrix_product.measure(side=32, seconds=0.01)
    assert found["float32"] > 0
    assert found["float64"] > 0


def test_kernels_are_measured_in_processes_of_their_own(monkeypatch):
    asked = []

    def answer(command, env, **options):
        setting = env.get("OPENBLAS_CORETYPE")
        asked.append(setting)
        speed = 20.0 if setting == "SKYLAKEX" else 10.0
        found = {"kernel": setting or "Haswell", "float32": speed, "float64": speed}
        return types.SimpleNamespace(returncode=-4 if setting == "ZEN" else 0, stdout=json.dumps(found))

    monkeypatch.setenv("OPENBLAS_CORETYPE", "PRESCOTT")
    monkeypatch.setattr(blas_kernels.subprocess, "run", answer)
    flags = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"}
    monkeypatch.setattr(blas_kernels, "processor_flags", lambda: flags)
    kernels = blas_kernels.measure_kernels()
    assert asked == 2 * [None, "HASWELL", "ZEN", "SKYLAKEX"]
    assert "ended with -4" in str(kernels[2])
    assert (
        verdict(kernels) == "OPENBLAS_CORETYPE=SKYLAKEX gives 2.00x in float32, 2.00x in float64: set it before Python"
    )


def test_the_same_kernels_by_another_name_gain_nothing():
    chosen = Kernel(None, "Haswell", 10, 10)
    assert "picked well" in verdict([chosen, Kernel("ZEN", "Haswell", 12, 12)])
    assert "picked well" in verdict([chosen, Kernel("X", "X", 12, 5)])
    assert "picked well" in verdict([chosen, Kernel("ZEN", "Haswell", 12, 12), Kernel("X", "X", 12, 12)])


def test_on_a_busy_machine_there_is_no_verdict():
    chosen, twin = Kernel(None, "Haswell", 10, 10), Kernel("HASWELL", "Haswell", 21.8, 10)
    for other in (Kernel("X", "X", 13.5, 10), Kernel("X", "X", 30, 30)):
        said = verdict([chosen, twin, other])
        assert said == "too noisy to tell: equal kernels differed by 2.18x; measure again when nothing else runs"


def test_a_little_noise_raises_what_a_gain_must_be():
    chosen, twin = Kernel(None, "Haswell", 10, 10), Kernel("HASWELL", "Haswell", 12, 10)
    assert verdict([chosen, twin, Kernel("X", "X", 13.5, 10)]).startswith(
        "OpenBLAS picked well: no other setting gains 20 % or more"
    )
    assert verdict([chosen, twin, Kernel("X", "X", 20, 20)]).startswith("OPENBLAS_CORETYPE=X gives 1.67x")


def test_kernels_without_time_are_said_not_to_have_been_measured(monkeypatch):
    flags = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"}
    monkeypatch.setattr(blas_kernels, "processor_flags", lambda: flags)
    clock = iter(range(100))
    monkeypatch.setattr(blas_kernels.time, "monotonic", lambda: 4.0 * next(clock))
    monkeypatch.setattr(blas_kernels, "measure_one", lambda setting, left: Kernel(setting, "Haswell", 10, 10))
    kernels = blas_kernels.measure_kernels(seconds=9.0)
    assert [kernel.problem for kernel in kernels] == ["", "", *2 * [blas_kernels.OVER]]
    assert verdict(kernels).startswith("no other setting that was measured gains 10 % or more; the time was over")
    assert verdict(kernels[:2]).endswith("; some were measured once, the time was over")


def test_a_process_ends_with_its_time(monkeypatch):
    ended = blas_kernels.subprocess.TimeoutExpired("python", 1)
    monkeypatch.setattr(blas_kernels.subprocess, "run", lambda *words, **options: (_ for _ in ()).throw(ended))
    assert blas_kernels.measure_one("ZEN", 1.0) == Kernel("ZEN", problem=blas_kernels.OVER)


def test_without_a_measurement_there_is_no_verdict():
    assert "no verdict" in verdict([Kernel(None, problem="crashed"), Kernel("X", "X", 12, 12)])


def test_deep_prints_each_kernel_and_a_verdict(capsys, monkeypatch):
    libraries = [{"name": "openblas", "version": "1", "kernel": "X", "threads": 1, "used_by": "numpy"}]
    monkeypatch.setattr(diagnosis, "blas_libraries", lambda: libraries)
    monkeypatch.setattr(blas_kernels, "measure_one", lambda setting, left: Kernel(setting, setting, 1, 1))
    code, out, _ = run(capsys, "doctor", "--deep")
    assert code == 0
    assert "kernels    OpenBLAS picked well" in out
    monkeypatch.setattr(diagnosis, "blas_libraries", list)
    assert "not measured: the BLAS is unknown" in run(capsys, "doctor", "--deep")[1]
    monkeypatch.setattr(diagnosis, "blas_libraries", lambda: [libraries[0] | {"name": "mkl"}])
    assert "not measured: this is no OpenBLAS" in run(capsys, "doctor", "--deep")[1]
