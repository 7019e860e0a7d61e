"""What passes, and what must not: numbers that are a little wrong, stages missing, of another kind, or spare."""

import json

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.comparison import compare, judging, oracle
from nonlocal_ref.comparison.cases import Case, Size
from nonlocal_ref.comparison.judging import Score, judged, scores, verdict
from nonlocal_ref.comparison.measurement import Subject
from nonlocal_ref.comparison.one_case import prepare
from nonlocal_ref.comparison.oracle import Exact
from tests.comparison.helpers import SIZE, one_row, small_report

MANY = Size(1, 2048, 2048, 8, 8)  # the error ratio of dw_f lets 1e-3 pass there


def on_numpy(variant="dot_product", **options):
    return compare([variant], [SIZE], ["float32"], ["numpy"], quick=True, **options)


def test_a_gradient_off_by_a_thousandth_fails_however_large_its_magnitude():
    exact = {"dw_f": Exact(np.ones(8), np.full(8, 1e5))}
    wrong = {"dw_f": np.full(8, 1.001, dtype=np.float32)}
    (row,) = judged(wrong, exact, {"dw_f": Score(0.01, 1.0)}, "float32")
    assert row["ratio"] < row["limit"]
    assert row["pass"] is False
    assert row["reason"].startswith("off by 8.39e+03 eps of its norm, at most 100 passes")


def test_a_wrong_factor_of_dw_f_fails_among_many_queries():
    case = Case("concatenation", MANY)
    prepared = prepare(case, seed=0)
    right = {name: exact.value.astype(np.float32) for name, exact in prepared.exact.items()}
    wrong = right | {"dw_f": right["dw_f"] * np.float32(1.001)}
    failing = [row["stage"] for row in judged(wrong, prepared.exact, prepared.own, "float32") if not row["pass"]]
    assert failing == ["dw_f"]


def test_a_norm_passes_at_ten_times_numpys_own_or_at_a_hundred_eps():
    def passes(whole, own):
        return verdict(Score(1.0, whole), Score(1.0, own))["pass"]

    assert passes(99.0, 1.0)
    assert not passes(101.0, 1.0)
    assert passes(990.0, 99.0)
    assert not passes(1010.0, 99.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_gradient_that_cancels_entirely_is_not_held_to_its_norm(dtype):
    case = Case("gaussian", Size(1, 4, 1, 3, 2))  # one key: its weight is 1 whatever theta and phi are
    prepared = prepare(case, seed=0)
    noise = {name: exact.value.astype(dtype) for name, exact in prepared.exact.items()}
    rounding = np.finfo(dtype).eps * prepared.exact["dtheta"].magnitude
    noise["dtheta"] = (noise["dtheta"] + rounding).astype(dtype)
    (row,) = [row for row in judged(noise, prepared.exact, prepared.own, dtype) if row["stage"] == "dtheta"]
    assert (row["pass"], row["norm_ratio"], row["norm_limit"]) == (True, None, None)


@pytest.mark.parametrize("backend", ["numpy", "torch", "array_api_strict:device1"])
def test_every_library_is_far_from_the_limit_of_the_norm(backend):
    pytest.importorskip(backend.partition(":")[0])
    for row in compare(sizes=[SIZE], backends=[backend], quick=True)["rows"]:
        assert row["norm_ratio"] is None or row["norm_ratio"] < row["norm_limit"] / 10


def test_nothing_that_overflows_without_the_shift_passes():
    case = Case("gaussian", Size(2, 6, 40, 8, 3))
    prepared = prepare(case, seed=0)
    theta, phi, g = (prepared.x[name].astype(np.float32) for name in ("theta", "phi", "g"))
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(theta @ phi.mT)
        unshifted = {"y": e / e.sum(axis=-1, keepdims=True) @ g}
    (row,) = [row for row in judged(unshifted, prepared.exact, prepared.own, "float32") if row["stage"] == "y"]
    assert (row["pass"], row["reason"]) == (False, "not a finite number")


def test_the_logits_of_one_query_reach_a_hundred_under_a_softmax():
    x = Case("embedded_gaussian", Size(3, 5, 40, 8, 3)).draw(0)
    logits = x["theta"] @ x["phi"].mT
    np.testing.assert_allclose(logits[:, 0].max(axis=1), 100, rtol=1e-5)
    assert np.abs(logits[:, 0]).max() < 100.01
    assert np.abs(logits[:, 1:]).max() < 20


def test_a_backward_that_returns_one_gradient_alone_fails(monkeypatch):
    right = Subject.both
    monkeypatch.setattr(Subject, "both", lambda self: right(self)[:2])
    report = on_numpy()
    assert one_row(report, stage="dtheta")["pass"]
    for stage in ("dphi", "dg"):
        row = one_row(report, stage=stage)
        assert (row["pass"], row["reason"]) == (False, "it did not come back")


def test_a_gradient_that_nobody_asked_for_fails(monkeypatch):
    right = Subject.both
    monkeypatch.setattr(Subject, "both", lambda self: (*right(self), right(self)[0]))
    row = one_row(on_numpy(), stage="result 5")
    assert (row["pass"], row["reason"]) == (False, "nobody asked for it")


def test_taps_that_are_never_called_fail(monkeypatch):
    monkeypatch.setattr(Subject, "stages", lambda self: {})
    report = on_numpy("gaussian")
    missing = [row["stage"] for row in report["rows"] if row["reason"] == "it did not come back"]
    assert missing == ["logits", "max", "exp", "sum", "weights"]
    assert not report["ok"]


def test_double_precision_for_a_call_in_single_precision_fails(monkeypatch):
    right = Subject.both
    monkeypatch.setattr(Subject, "both", lambda self: tuple(x.astype(np.float64) for x in right(self)))
    row = one_row(on_numpy(), stage="y")
    assert (row["pass"], row["reason"]) == (False, "came back in float64, not float32")


def test_another_shape_fails(monkeypatch):
    right = Subject.both
    monkeypatch.setattr(Subject, "both", lambda self: tuple(x[None] for x in right(self)))
    row = one_row(on_numpy(), stage="y")
    assert (row["pass"], row["ratio"], row["reason"]) == (False, None, "came back in shape (1, 2, 6, 3), not (2, 6, 3)")


@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_rows_stand_in_the_order_of_computation(variant):
    case = Case(variant, Size.parse(SIZE))
    x = case.draw(0)
    exact = oracle.exact_stages(case, x) | oracle.exact_operation(case, x)
    results = ["y", *(f"d{name}" for name in case.names)]
    assert list(exact)[-len(results) :] == results
    backwards = {name: exact[name].value for name in reversed(list(exact))}
    rows = judged(backwards, exact, scores(backwards, exact, "float64"), "float64")
    assert [row["stage"] for row in rows] == list(exact)


def test_the_rule_stands_in_the_report():
    report = small_report()
    assert report["rule"] == judging.RULE
    assert {"norm_ratio", "norm_limit"} <= set(report["rows"][0])
    assert "norm_ratio" in json.dumps(report["rule"])
