"""The oracle is the equation, tile by tile or at once."""

import math
from contextlib import nullcontext

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.comparison import cases, oracle
from nonlocal_ref.comparison.cases import Case, Size
from tests import tolerances
from tests.oracles import nonlocal_op

SIZE = Size(2, 7, 5, 4, 3)
EPS = float(np.finfo(np.float64).eps)
every_variant = pytest.mark.parametrize("variant", nl.VARIANTS)


@every_variant
def test_the_oracle_is_the_paper_in_plain_loops(variant):
    case = Case(variant, SIZE)
    x = case.draw(3)
    exact = oracle.exact_operation(case, x)
    y, _ = nonlocal_op(variant, x["theta"], x["phi"], x["g"], x.get("w_f"))
    assert tolerances.error_ratio(exact["y"].value, np.asarray(y, dtype=float), exact["y"].magnitude, EPS) <= 30


@every_variant
def test_the_gradients_of_the_oracle_are_those_of_the_dense_form(variant):
    case = Case(variant, SIZE)
    x = case.draw(4)
    exact = oracle.exact_operation(case, x)
    _, backward = nl.nonlocal_op(variant, *(x[name] for name in case.names), method="dense")
    for name, gradient in zip(case.names, backward(x["dy"]), strict=True):
        assert tolerances.error_ratio(gradient, *exact[f"d{name}"], EPS) <= 30


@every_variant
def test_the_stages_of_the_oracle_are_those_of_the_dense_form(variant):
    case, seen = Case(variant, SIZE), {}
    x = case.draw(5)
    nl.nonlocal_op(variant, *(x[name] for name in case.names), method="dense", tap=seen.__setitem__)
    stages = oracle.exact_stages(case, x)
    assert stages.keys() == seen.keys() - {"y"}
    for name, stage in stages.items():
        assert tolerances.error_ratio(seen[name], *stage, EPS) <= 30


@every_variant
def test_tiles_of_any_height_give_the_same(variant, monkeypatch):
    case = Case(variant, SIZE)
    x = case.draw(6)
    at_once = oracle.exact_operation(case, x)
    monkeypatch.setattr(oracle, "TILE_PAIRS", 2 * SIZE.B * SIZE.M)
    monkeypatch.setattr(oracle, "TILE_QUERIES", 1)
    for name, (value, magnitude) in oracle.exact_operation(case, x).items():
        assert tolerances.error_ratio(value, at_once[name].value, magnitude, EPS) <= 4
        np.testing.assert_allclose(magnitude, at_once[name].magnitude, rtol=1e-12)


@every_variant
def test_of_very_many_pairs_a_sample_of_queries_is_exact_and_so_is_every_gradient(variant, monkeypatch):
    monkeypatch.setattr(cases, "CHECKED_PAIRS", 3 * SIZE.B * SIZE.M)
    case = Case(variant, SIZE)
    x, queries = case.draw(4), SIZE.checked_queries
    assert len(set(queries)) == 3
    assert queries[0] == 0
    y, backward = nl.nonlocal_op(variant, *(x[name] for name in case.names), method="dense")
    values = {"y": y} | {f"d{name}": dx for name, dx in zip(case.names, backward(x["dy"]), strict=True)}
    exact = oracle.exact_operation(case, x)
    assert exact["y"].value.shape == (SIZE.B, 3, SIZE.E)
    for name, value in case.checked(values).items():
        assert tolerances.error_ratio(value, *exact[name], EPS) <= 30
    assert np.any(x["dy"][:, queries])
    assert not np.any(np.delete(x["dy"], queries, axis=1))
    assert not np.any(np.delete(values["dtheta"], queries, axis=1))


def test_a_tile_has_enough_queries_to_be_worth_its_sums_and_no_more_than_there_are():
    assert [oracle.tile_rows(Size.square(n)) for n in (8, 1024, 65536)] == [8, 256, 32]
    assert oracle.tile_rows(Size(64, 784, 784, 8, 8)) == 5


def test_every_query_has_an_oracle_where_there_is_time_for_it():
    assert len(Size.square(16384).checked_queries) == 16384
    assert len(Size.square(65536).checked_queries) == 4096


@pytest.mark.parametrize(
    ("stop", "outcome"), [(-math.inf, pytest.raises(oracle.OverTimeError)), (math.inf, nullcontext())]
)
def test_the_oracle_stops_when_its_time_is_over(stop, outcome):
    case = Case("dot_product", SIZE)
    with outcome:
        oracle.exact_operation(case, case.draw(0), stop)


def test_no_pair_of_the_concatenation_is_near_its_kink():
    case = Case("concatenation", Size(1, 300, 200, 8, 2))
    x = case.draw(0)
    a, b = x["theta"] @ x["w_f"][:8], x["phi"] @ x["w_f"][8:]
    assert np.min(np.abs(a[:, :, None] + b[:, None, :])) > 1e-4


@every_variant
def test_what_goes_in_is_the_same_in_float32(variant):
    for x in Case(variant, SIZE).draw(1).values():
        np.testing.assert_array_equal(x, x.astype(np.float32))
