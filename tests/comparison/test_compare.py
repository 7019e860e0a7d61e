"""compare: what it judges, what it measures, and what it says when something goes wrong."""

import json
import math
import os

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.backend import load_backend
from nonlocal_ref.comparison import (
    cases,
    compare,
    comparing,
    cost_tables,
    devices,
    measurement,
    one_case,
    to_html,
    to_terminal,
)
from nonlocal_ref.comparison.accuracy_tables import verdict
from nonlocal_ref.comparison.cases import Size
from nonlocal_ref.comparison.comparing import Comparison
from nonlocal_ref.comparison.headline import first_lasting, memory_in_words, wins
from nonlocal_ref.comparison.measurement import Subject, same_bits
from nonlocal_ref.machine.gpu import Gpu
from tests.comparison.helpers import SIZE, one_row, small_report

GRADIENTS = {"y", "dtheta", "dphi", "dg"}


def test_every_stage_has_a_row_and_passes():
    report = small_report()
    stages = {variant: {r["stage"] for r in report["rows"] if r["variant"] == variant} for variant in nl.VARIANTS}
    softmax = GRADIENTS | {"logits", "max", "exp", "sum", "weights"}
    assert stages == {
        "gaussian": softmax,
        "embedded_gaussian": softmax,
        "dot_product": GRADIENTS | {"weights"},
        "concatenation": GRADIENTS | {"weights", "dw_f"},
    }
    assert all(row["pass"] is True for row in report["rows"])
    assert report["ok"]
    assert report["headline"].startswith("Same numbers on numpy: all ")


def test_a_row_has_the_keys_of_the_schema():
    report = small_report()
    assert (report["schema"], report["schema_version"], report["seed"]) == ("nonlocal_ref compare", 1, 0)
    assert {"variant", "size", "backend", "dtype", "stage", "ratio", "limit", "pass", "same_bits", "reason"} <= set(
        report["rows"][0]
    )
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_a_row_passes_at_30_and_at_twice_the_ratio_of_numpy_in_float32_or_6():
    for row in small_report()["rows"]:
        assert row["limit"] == pytest.approx(min(30, max(2 * row["numpy_float32_ratio"], 6)), rel=1e-3)


def test_a_wrong_number_fails_its_row_and_the_report(monkeypatch):
    right = Subject.both

    def slightly_off(self):
        y, *gradients = right(self)
        return y, *(1.001 * dx for dx in gradients)

    monkeypatch.setattr(Subject, "both", slightly_off)
    report = compare(["dot_product"], [SIZE], ["float64"], ["numpy"], quick=True)
    assert one_row(report, stage="y")["pass"] is True
    assert one_row(report, stage="dphi")["pass"] is False
    assert not report["ok"]
    assert report["headline"].startswith("NOT the same numbers: 3 of 5 rows fail, first at numpy dot_product dtheta")


def test_a_sample_of_queries_is_judged_as_all_of_them_are(monkeypatch):
    monkeypatch.setattr(cases, "CHECKED_PAIRS", 3 * SIZE[0] * SIZE[2])
    report = compare(sizes=[SIZE], backends=["numpy"], quick=True)
    assert report["ok"], report["headline"]
    right = Subject.both
    monkeypatch.setattr(Subject, "both", lambda self: tuple(1.001 * x for x in right(self)))
    assert not compare(["dot_product"], [SIZE], ["float32"], ["numpy"], quick=True)["ok"]


def test_nan_is_no_number_and_fails(monkeypatch):
    monkeypatch.setattr(Subject, "forward", lambda self: (math.nan,))
    right = Subject.both
    monkeypatch.setattr(Subject, "both", lambda self: tuple(x * np.float32("nan") for x in right(self)))
    row = one_row(compare(["dot_product"], [SIZE], ["float32"], ["numpy"], quick=True), stage="y")
    assert (row["ratio"], row["pass"]) == (None, False)
    assert "not a finite number" in row["reason"]


def test_bits_that_differ_from_run_to_run_are_seen():
    x = np.asarray([1.0, np.nan, 0.0])
    assert same_bits(x, x.copy())
    assert not same_bits(x, np.asarray([np.nextafter(1, 2), np.nan, 0.0]))
    assert not same_bits(x, np.asarray([1.0, np.nan, -0.0]))


def test_sizes_that_do_not_fit_are_not_tried_and_the_run_goes_on(monkeypatch):
    monkeypatch.setattr(devices.Backend, "free_bytes", lambda self: 2**20)
    report = compare(["dot_product"], [512, 8], ["float32"], ["numpy"], quick=True)
    row = one_row(report, size="512")
    assert (row["stage"], row["pass"], row["ratio"]) == ("run", None, None)
    assert row["reason"].startswith("does not fit, needs ")
    assert report["ok"]
    assert "1 cases not tried" in report["headline"]


def test_a_size_too_large_for_the_host_is_not_even_drawn():
    report = compare(["embedded_gaussian"], [10**9], ["float32"], ["numpy"], quick=True)
    assert one_row(report, stage="run")["reason"].startswith("does not fit, needs ")
    assert not report["ok"]
    assert report["headline"].startswith("Nothing was compared (1 cases not tried)")


def test_an_oracle_that_breaks_fails_its_rows(monkeypatch):
    def broken(case, x, stop):
        raise MemoryError

    monkeypatch.setattr(one_case.oracle, "exact_operation", broken)
    row = one_row(compare(["dot_product"], [8], ["float32"], ["numpy"], quick=True), stage="run")
    assert (row["pass"], row["reason"]) == (False, "the oracle: MemoryError: ")


def test_an_oracle_that_runs_over_the_time_is_not_tried_and_no_failure(monkeypatch):
    comparison = Comparison(["dot_product"], [8], ["float32"], ["numpy"], seconds=-100.0)
    monkeypatch.setattr(comparison, "is_over", lambda late=0.0: False)  # there was time left to begin
    row = one_row(comparison.run().report(), stage="run")
    assert (row["pass"], row["reason"]) == (None, one_case.OVER)


def test_a_device_lost_in_the_middle_fails_its_row_and_the_run_goes_on(monkeypatch):
    right, calls = Subject.both, []

    def lost(self):
        calls.append(self.case.variant)
        if self.case.variant == "dot_product" and len(calls) > 6:
            msg = "CUDA error in /usr/local/cuda/lib/libcudart.so: unspecified launch failure"
            raise RuntimeError(msg)
        return right(self)

    monkeypatch.setattr(Subject, "both", lost)
    report = compare(["dot_product", "gaussian"], [SIZE], ["float32", "float64"], ["numpy"], quick=True)
    failed = [row for row in report["rows"] if row["pass"] is False]
    assert failed
    assert {row["stage"] for row in failed} == {"run"}
    assert failed[0]["reason"] == "RuntimeError: CUDA error in libcudart.so: unspecified launch failure"
    assert any(row["variant"] == "gaussian" and row["pass"] for row in report["rows"])


@pytest.mark.parametrize(
    ("measurement_of", "entries", "key", "what"),
    [
        ("warm_seconds", "speed", "reason", "speed"),
        ("launches", "speed", "launches_how", "launches"),
        ("transfers", "speed", "transfers_reason", "transfers"),
        ("peak_bytes", "memory", "how", "memory"),
    ],
)
def test_a_measurement_that_breaks_takes_nothing_from_the_numbers(monkeypatch, measurement_of, entries, key, what):
    def broken(self, *words):
        msg = "out of memory"
        raise MemoryError(msg)

    monkeypatch.setattr(Subject, measurement_of, broken)
    report = compare(["dot_product"], [SIZE], ["float32"], ["numpy"], quick=True)
    assert report["ok"], report["headline"]
    assert report["headline"].startswith("Same numbers on numpy: all 5 rows pass")
    assert {entry[key] for entry in report[entries]} == {"it broke: MemoryError: out of memory"}
    assert f"{what}  MemoryError: out of memory" in to_terminal(report)


def test_memory_is_given_back_where_a_case_broke(monkeypatch):
    case, backend, told = one_case.Case("dot_product", Size.parse(SIZE)), devices.Backend("numpy"), []
    prepared = one_case.prepare(case, 0)
    monkeypatch.setattr(devices.Backend, "give_back", lambda self: told.append("given back"))
    monkeypatch.setattr(Subject, "first_calls", lambda self, directions: told.append("broke") or 1 / 0)
    found = one_case.Found([], [], [])
    one_case.compare_case(case, backend, "float32", prepared, ["both"], 0.0, found)
    assert told == ["broke", "given back"]
    assert [row["reason"] for row in found.rows] == ["ZeroDivisionError: division by zero"]


def test_memory_is_measured_where_it_can_be_and_never_0_elsewhere():
    pytest.importorskip("array_api_strict")
    report = compare(["dot_product"], [64], ["float32"], ["numpy", "array_api_strict:device1"], quick=True)
    host, device = report["memory"]
    assert host["planned_bytes"] > 0
    assert 0 < host["measured_bytes"] < 10 * host["planned_bytes"]
    assert device["measured_bytes"] is None
    assert device["how"].startswith("not measured")


def test_a_stand_in_keeps_no_time_and_gives_the_bits_of_numpy():
    pytest.importorskip("array_api_strict")
    report = compare(["embedded_gaussian"], [SIZE], ["float32"], ["numpy", "array_api_strict:device1"], quick=True)
    assert all(
        (entry["median_s"] is None) == (entry["backend"] != "numpy")
        and (entry["reason"] == "") == (entry["backend"] == "numpy")
        for entry in report["speed"]
    )
    ratios = [
        {row["stage"]: row["ratio"] for row in report["rows"] if row["backend"] == backend}
        for backend in ("numpy", "array_api_strict:device1")
    ]
    assert ratios[0] == ratios[1]


def test_jax_computes_in_float64_without_being_told_globally():
    jax = pytest.importorskip("jax")
    report = compare(["dot_product"], [SIZE], ["float64"], ["jax"], quick=True)
    assert report["ok"], report["headline"]
    assert not jax.config.jax_enable_x64


def test_speed_says_what_was_measured():
    for entry in small_report()["speed"]:
        assert 0 < entry["fastest_s"] <= entry["median_s"]
        assert entry["calls"] >= 1
        assert (entry["gflop_per_s"] is None) == (entry["direction"] == "forward")
        assert entry["to_device_s"] is None  # the memory is the host's


def subject(variant="dot_product", dtype="float64", backend="numpy"):
    case = one_case.Case(variant, Size.parse(SIZE))
    return Subject(case, devices.Backend(backend), dtype, case.draw(0))


def test_the_first_call_of_forward_has_no_backward(monkeypatch):
    called = []
    for name in ("forward", "both"):
        right = getattr(Subject, name)
        monkeypatch.setattr(Subject, name, lambda self, name=name, right=right: called.append(name) or right(self))
    seconds, results = subject().first_calls(["both", "forward"])
    assert called == list(seconds) == ["forward", "both"]
    assert len(results) == 4
    called.clear()
    seconds, results = subject().first_calls(["forward"])
    assert list(seconds) == ["forward"]
    assert len(results) == 4


def test_a_first_call_that_is_a_repeat_is_marked():
    variants = ["gaussian", "dot_product", "embedded_gaussian"]
    report = compare(variants, [SIZE], ["float32", "float64"], ["numpy"], ["forward"], quick=True)
    repeats = {(e["variant"], e["dtype"]) for e in report["speed"] if e["first_call_repeats"]}
    assert repeats == {(variant, "float32") for variant in variants} | {("embedded_gaussian", "float64")}
    assert " r | " in to_terminal(report)


@pytest.mark.parametrize(("direction", "there", "back"), [("forward", 3, 1), ("both", 4, 4)])
def test_transfers_are_those_of_the_direction(monkeypatch, direction, there, back):
    on_gpu = subject()
    on_gpu.backend.on_gpu = True
    sent, fetched = [], []
    from_host, on_host = measurement.from_host, Subject.on_host
    monkeypatch.setattr(measurement, "from_host", lambda *words: sent.append(1) or from_host(*words))
    monkeypatch.setattr(
        Subject, "on_host", lambda self, results: fetched.append(len(results)) or on_host(self, results)
    )
    found = on_gpu.transfers(on_gpu.case.draw(0), direction)
    assert len(sent) == there * measurement.TRANSFERS
    assert set(fetched) == {back}
    assert found["to_device_s"] > 0
    assert found["from_device_s"] > 0


HOST = ("numpy", "torch", "torch:cpu", "jax:cpu:0", "array_api_strict:device1")
NOT_HOST = ("cupy:1", "torch:cuda:1", "torch:mps", "torch:xpu", "jax:gpu", "jax:tpu:1")


@pytest.mark.parametrize("name", [*HOST, *NOT_HOST])
def test_every_device_but_the_cpu_has_a_memory_and_a_clock_of_its_own(monkeypatch, name):
    monkeypatch.setattr(devices, "load_backend", lambda name: (None, None))
    assert devices.Backend(name).on_gpu is (name in NOT_HOST)


def entry(backend, n, seconds, moving=None):
    label = {"variant": "gaussian", "dtype": "float32", "direction": "both", "size": str(n), "B": 1, "N": n, "M": n}
    moved = {"on_gpu": moving is not None, "to_device_s": moving, "from_device_s": moving}
    return label | {"backend": backend, "median_s": seconds} | moved


def test_the_gpu_wins_from_the_size_from_which_on_it_always_does():
    speed = [entry("numpy", n, n**2) for n in (1, 2, 4, 8)]
    speed += [entry("cupy", n, seconds, 3) for n, seconds in {1: 0.5, 2: 5, 4: 11, 8: 20}.items()]
    (won,) = wins(speed)
    assert (won["size"], won["factor"]) == ("8", 3.2)
    assert (won["from_size"], won["from_size_with_transfers"]) == ("4", "8")
    assert first_lasting([entry("cupy", 8, 70)], {("gaussian", "8", "float32", "both"): 64.0}, transfers=False) is None


def test_the_environment_names_no_folder_and_no_machine(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "/srv/secret/core")
    words = ["nonlocal-ref", "compare", "--json=/srv/secret/a.json", "--md", "secret/b.md"]
    words += ["--html", "/home/o'secret/the, secret/c d.html"]
    found = Comparison(["dot_product"], [4], ["float32"], ["numpy"], command=words).report()["environment"]
    assert found["command"] == "nonlocal-ref compare --json=a.json --md b.md --html 'c d.html'"
    assert "secret" not in json.dumps(found)
    assert {"python", "packages", "processor", "blas", "gpu", "variables", "git_commit"} <= set(found)
    assert "CUPY_TF32" in found["variables"]


def test_time_that_is_over_begins_no_more_cases():
    report = Comparison(["dot_product"], [4], ["float32"], ["numpy"], seconds=-1.0).run().report()
    assert one_row(report, stage="run")["reason"].startswith("not tried: the time was over")


def test_the_second_softmax_comes_last_and_shares_the_oracle_of_the_first(monkeypatch):
    drawn = []
    right = comparing.prepare
    monkeypatch.setattr(
        comparing, "prepare", lambda case, seed, stop: drawn.append(str(case.size)) or right(case, seed)
    )
    report = compare(["gaussian", "embedded_gaussian", "dot_product"], [4, 8], ["float32"], ["numpy"], quick=True)
    order = list(dict.fromkeys((row["variant"], row["size"]) for row in report["rows"]))
    assert order[:3] == [("gaussian", "4"), ("dot_product", "4"), ("embedded_gaussian", "4")]
    assert order[3:] == [("gaussian", "8"), ("dot_product", "8"), ("embedded_gaussian", "8")]
    assert drawn == ["4", "4", "8", "8"]


NAMES = ["numpy", devices.STAND_IN, "torch", "jax"]


@pytest.fixture
def everything_here(monkeypatch):
    """A machine with every library and no GPU; nothing of it is imported."""
    monkeypatch.setattr(devices, "load_backend", lambda name: (None, None))
    monkeypatch.setattr(devices, "usable", lambda name: False)
    monkeypatch.setattr(devices, "importable", lambda name: True)
    monkeypatch.setattr(devices.Backend, "on_gpu", False)
    monkeypatch.setattr(comparing, "find_gpu", lambda: Gpu(reason="a test"))


def test_every_variant_on_every_backend_is_tried_once_before_anything_else(everything_here):
    steps = Comparison().steps()
    first = [(case.variant, backend.name) for case, backend, _ in steps[: 4 * len(NAMES)]]
    assert set(first) == {(variant, name) for variant in nl.VARIANTS for name in NAMES}
    assert [name for _, name in first[-4:]] == 4 * ["jax"]
    assert first[-1] == ("concatenation", "jax")
    assert {(str(case.size), dtype) for case, _, dtype in steps[:16]} == {("128", "float32")}
    assert {(str(case.size), dtype) for case, backend, dtype in steps if backend.library == "jax"} == {
        ("128", "float32")
    }


def test_what_was_asked_for_is_not_thinned_out(everything_here):
    steps = Comparison(sizes=[4, 8], backends=NAMES).steps()
    assert len(steps) == len(set(steps)) == 2 * 4 * 2 * len(NAMES)
    assert len(Comparison(sizes=[4, 8]).steps()) == 2 * 4 * 2 * 3 + 4 * 2  # JAX at the smallest size alone


def test_the_ceilings_are_of_what_was_compared(everything_here, monkeypatch):
    asked = []
    monkeypatch.setattr(comparing, "prepare", lambda case, seed, stop: one_case.Refused("a test", failed=False))
    monkeypatch.setattr(comparing, "ceilings_of", lambda backend, dtype: asked.append((backend.name, dtype)))
    Comparison().run()
    assert asked == [(name, dtype) for name in ("numpy", "torch") for dtype in ("float32", "float64")] + [
        ("jax", "float32")
    ]


@pytest.mark.parametrize("library", ["torch", "jax", "array_api_strict"])
def test_a_library_that_cannot_be_used_is_left_out_and_the_report_says_why(everything_here, monkeypatch, library):
    def broken(name):
        if name.startswith(library):
            msg = f"backend {library!r} is installed, but cannot be imported (OSError: /home/alice/libcudnn.so.9)"
            raise nl.BackendUnavailableError(msg)
        return right(name)

    right = load_backend
    monkeypatch.setattr(devices, "load_backend", broken)
    monkeypatch.setattr(devices, "importable", lambda name: name == library)
    report = Comparison(["dot_product"], [4], ["float32"], quick=True).run().report()
    assert report["ok"]
    (left_out,) = report["left_out"]
    assert left_out["backend"].startswith(library)
    assert left_out["reason"].endswith("cannot be imported (OSError: libcudnn.so.9)")
    assert f"Left out: backend '{library}' is installed, but" in to_terminal(report)
    assert 'class="lead part"' in to_html(report)
    with pytest.raises(nl.BackendUnavailableError, match="cannot be imported"):
        Comparison(["dot_product"], [4], ["float32"], [library])


def test_a_gpu_that_pytorch_alone_can_use_is_a_gpu(everything_here, monkeypatch):
    monkeypatch.setattr(devices, "usable", lambda name: name == "torch:cuda")
    monkeypatch.setattr(devices.Backend, "on_gpu", property(lambda self: self.place == "cuda"))
    monkeypatch.setattr(devices.Backend, "device_name", lambda self: "A GPU" if self.on_gpu else None)
    report = Comparison().report()
    assert report["asked"]["backends"] == ["numpy", "torch:cuda"]
    assert report["gpu"] == {"found": True, "name": "A GPU", "reason": "CuPy cannot use it: a test"}
    assert report["environment"]["gpu"]["found"]
    assert report["tf32"]["reason"] == "not measured: it is a setting of CuPy, which is not compared here"
    assert "A GPU; CuPy cannot use it: a test" in to_terminal(report)
    assert not to_terminal(report).startswith("No GPU found")


def test_jax_leaves_the_others_memory_on_a_gpu(everything_here, monkeypatch):
    name = "XLA_PYTHON_CLIENT_PREALLOCATE"
    monkeypatch.setenv(name, "true")
    devices.Backend("jax")
    assert os.environ[name] == "true"
    monkeypatch.delenv(name)
    devices.Backend("jax:gpu")
    assert os.environ[name] == "false"


def test_tf32_has_the_reason_that_holds(monkeypatch):
    def reason(dtype, backend):
        return Comparison(["dot_product"], [4], [dtype], [backend]).report()["tf32"]["reason"]

    assert "a setting of CuPy" in reason("float32", "numpy")
    monkeypatch.setattr(devices, "load_backend", lambda name: (None, None))
    monkeypatch.setattr(devices.Backend, "device_name", lambda self: "A GPU")
    assert reason("float64", "cupy") == "not measured: no float32 was asked for"
    assert reason("float32", "cupy") == "not measured: the run ended before"


def test_transfers_that_were_not_measured_are_not_free():
    speed = [entry("numpy", 8, 10.0), entry("cupy", 8, 1.0, 3) | {"to_device_s": None, "transfers_reason": "it broke"}]
    (won,) = wins(speed)
    assert (won["from_size"], won["from_size_with_transfers"], won["transfers_reason"]) == ("8", None, "it broke")
    (row,) = cost_tables.wins([won]).rows
    assert row[-1] == "not measured"


def test_a_slow_backend_is_not_0_times_as_fast():
    (won,) = wins([entry("numpy", 8, 0.00123456), entry("torch", 8, 1.0)])
    assert won["factor"] == 0.00123


def test_a_group_of_which_a_size_was_not_tried_passes_partly():
    rows = [{"variant": "v", "backend": "b", "dtype": "d", "pass": found} for found in (True, None)]
    assert verdict(rows, ("v", "b", "d")) == "partly"
    assert verdict(rows[:1], ("v", "b", "d")) == "PASS"
    assert verdict([*rows, rows[0] | {"pass": False}], ("v", "b", "d")) == "FAIL"


@pytest.mark.parametrize(
    ("wish", "error", "message"),
    [
        ({"variants": ["cosine"]}, ValueError, "variants must be"),
        ({"variants": "gaussian"}, ValueError, "variants must be a list"),
        ({"variants": []}, ValueError, "variants must be a list"),
        ({"sizes": [0]}, ValueError, "sizes"),
        ({"sizes": ["12x"]}, ValueError, "BxNxMxDxE"),
        ({"sizes": [(1, 2)]}, ValueError, "BxNxMxDxE"),
        ({"sizes": [1.5]}, TypeError, "sizes"),
        ({"sizes": []}, ValueError, "sizes"),
        ({"sizes": "64"}, ValueError, "sizes must be a list of N or .*, got '64'"),
        ({"sizes": 64}, ValueError, "sizes must be a list of N or .*, got 64"),
        ({"dtypes": ["float16"]}, ValueError, "dtypes must be"),
        ({"directions": ["sideways"]}, ValueError, "directions must be"),
        ({"backends": ["tensorflow"]}, ValueError, "backend must be one of"),
        ({"backends": []}, ValueError, "backends must be a list"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(wish, error, message):
    with pytest.raises(error, match=message):
        compare(**wish)


def test_sizes_are_written_as_they_are_read():
    for text in ("1024", "8x784x196x512x512"):
        assert str(Size.parse(text)) == text
    assert Size.parse(16) == Size.parse((1, 16, 16, 64, 64))


def test_a_size_is_taken_once_however_it_is_written():
    sizes = Comparison(["dot_product"], ["8", 8, "1x8x8x64x64", 4], ["float32"], ["numpy"]).sizes
    assert sizes == [Size.square(8), Size.square(4)]


def test_a_slow_case_is_timed_once(monkeypatch):
    case = one_case.Case("dot_product", Size.parse(SIZE))
    subject = Subject(case, devices.Backend("numpy"), "float32", case.draw(0))
    assert len(subject.warm_seconds("both", 1e-9)[0]) == measurement.FEWEST
    monkeypatch.setattr(measurement, "TOO_SLOW", 0.0)
    assert len(subject.warm_seconds("both", 1.0)[0]) == 1


def test_headline_forgets_memory_that_is_mostly_python_objects():
    entries = [{"measured_bytes": 900, "planned_bytes": 100}]
    assert memory_in_words(entries) == "memory not measured, or too little of it"
    assert memory_in_words([]) == ""


@pytest.mark.parametrize(("default", "on_gpu"), [("cpu", False), ("gpu", True)])
def test_jax_is_on_a_gpu_where_it_goes_there_by_itself(monkeypatch, default, on_gpu):
    jax = pytest.importorskip("jax")
    monkeypatch.setattr(jax, "default_backend", lambda: default)
    assert devices.Backend("jax").on_gpu is on_gpu
    assert not devices.Backend("jax:cpu").on_gpu


def test_ceilings_that_cannot_be_measured_have_a_reason_and_no_picture(monkeypatch):
    def too_large(backend, dtype):
        raise MemoryError

    monkeypatch.setattr(one_case, "ceilings", too_large)
    report = compare(["dot_product"], [SIZE], ["float32"], ["numpy"], quick=True)
    (top,) = report["ceilings"]
    assert (top["gflop_per_s"], top["reason"]) == (None, "not measured: MemoryError: ")
    assert "Roofline" not in to_html(report)


def test_the_ceilings_product_has_three_axes_as_the_operations_own():
    (top,) = compare(["dot_product"], [SIZE], ["float32"], ["numpy"], ["forward"], quick=True)["ceilings"]
    assert top["product"] == "1 x 16 x 16"


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_the_ceilings_copy_moves_what_was_written_into_memory_that_is_there(name):
    pytest.importorskip(name)
    backend = devices.Backend(name)
    xp = backend.namespace
    x, out = xp.ones(3), xp.zeros(3)
    copy = measurement.copied(x, out, backend)
    np.testing.assert_array_equal(np.asarray(copy), 1)
    assert (copy is out) == (name != "jax")


@pytest.mark.parametrize(("gibi", "text"), [(12.34, "12.3 GiB"), (2.5e15, "2.5e+15 GiB")])
def test_memory_is_written_so_that_one_can_read_it(gibi, text):
    assert one_case.gibibytes(gibi * 2**30) == text


def test_jax_on_the_host_waits_for_its_arrays():
    class Pending:
        waited = False

        def block_until_ready(self):
            self.waited = True

    pytest.importorskip("jax")
    x = Pending()
    devices.Backend("jax").wait((x,))
    assert x.waited


def test_the_time_that_is_over_begins_nothing_new():
    comparison = Comparison(["dot_product"], [SIZE], ["float32"], ["numpy"], seconds=-100.0).run()
    report = comparison.report()
    (row,) = report["rows"]
    assert (row["pass"], report["ceilings"]) == (None, [])
    assert row["reason"].startswith("not tried: the time was over")
