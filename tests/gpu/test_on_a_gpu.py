"""What only a GPU can show.  All of it is skipped, with the reason, where there is none."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.backend import to_numpy
from nonlocal_ref.comparison import compare, comparing
from nonlocal_ref.machine import find_gpu

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    found = find_gpu()
    if not found:
        pytest.skip(found.reason)
    # a process with a CUDA context of its own, for each comparison: once is enough, in the comparison itself
    nothing = {"rows": [], "speed": [], "reason": "not measured: a test"}
    monkeypatch.setattr(comparing, "measure_with_tf32", lambda *words: nothing)
    return found


@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_the_numbers_are_those_of_the_oracle(variant):
    report = compare([variant], [64, (2, 300, 200, 48, 32), 1024], backends=["numpy", "cupy"], quick=True)
    assert report["ok"], [row for row in report["rows"] if not row["pass"]]


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_largest_and_smallest_see_infinity(value):
    x = np.zeros((3, 700))
    x[1, 500] = value
    device = nl.to_backend(x, "cupy")
    np.testing.assert_array_equal(to_numpy(device.max(axis=1)), x.max(axis=1))
    np.testing.assert_array_equal(to_numpy(device.min(axis=1)), x.min(axis=1))


@pytest.mark.parametrize("variant", nl.VARIANTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_without_a_candidate_are_zero(variant, dtype):
    rng = np.random.default_rng(0)
    shapes = [(1, 40, 8), (1, 50, 8), (1, 50, 4), *([(16,)] if variant == "concatenation" else [])]
    arguments = [nl.to_backend(rng.standard_normal(shape), "cupy", dtype) for shape in shapes]
    mask = rng.random((1, 40, 50)) < 0.5
    mask[:, ::7] = False
    y, backward = nl.nonlocal_op(variant, *arguments, mask=nl.to_backend(mask, "cupy"))
    dtheta, *_ = backward(nl.to_backend(rng.standard_normal((1, 40, 4)), "cupy", dtype))
    for x in (to_numpy(y), to_numpy(dtheta)):
        assert np.all(np.isfinite(x))
        assert not np.any(x[:, ::7])


def test_a_photograph_is_denoised_as_on_the_host():
    image = np.random.default_rng(0).random((64, 80))
    host = nl.non_local_means(image, h=0.3, patch_size=5, patch_distance=4)
    device = to_numpy(nl.non_local_means(nl.to_backend(image, "cupy"), h=0.3, patch_size=5, patch_distance=4))
    np.testing.assert_allclose(device, host, rtol=1e-12, atol=1e-12)


def test_time_transfers_and_memory_are_measured_on_the_gpu_itself():
    report = compare(["dot_product"], [512], ["float32"], ["numpy", "cupy"], quick=True)
    timed = [entry for entry in report["speed"] if entry["backend"] == "cupy"]
    assert {entry["clock"] for entry in timed} == {"CUDA events"}
    assert all(entry["median_s"] > 0 and entry["to_device_s"] > 0 and entry["from_device_s"] > 0 for entry in timed)
    (memory,) = [entry for entry in report["memory"] if entry["backend"] == "cupy"]
    assert memory["measured_bytes"] > 0
    for entry in timed:  # ten kernels an array operation would be too many, see docs/gpu.md
        assert entry["launches_how"]
        assert entry["launches"] is None or 0 < entry["launches"] < 80
