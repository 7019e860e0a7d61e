"""How often the operation is run: a verdict is cheap, and a diagnosis ends."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.checker import jacobians
from tests.checker.diagnosis.wrong_operations import attention, linear, normal, spoiled


class Counted:
    """An operation that counts its runs."""

    def __init__(self, op):
        self.op, self.runs = op, 0

    def __call__(self, *args):
        self.runs += 1
        return self.op(*args)


def runs(op, *args, **options):
    """How often it was run, and the report."""
    counted = Counted(op)
    names = [f"a{i}" for i in range(len(args))]
    report = nl.gradcheck(counted, *args, rng=0, names=names, **options)
    return counted.runs, report


def random_backward(op):
    """Wrong for every array, and nothing explains it."""

    def spoil(found, dy, y, *args):
        return tuple(np.tensordot(dy, normal(*y.shape, *x.shape), y.ndim) for x in args)

    return spoiled(op, spoil)


def max_pool_that_gives_to_both(x):
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    return pairs.max(axis=-1), lambda dy: (np.repeat(dy / 2, 2, axis=-1),)


WRONG = {
    "dx transposed": (spoiled(linear, lambda found, dy, y, x, w: (dy @ w.T, found[1])), normal(5, 4), normal(4, 4)),
    "both cells": (max_pool_that_gives_to_both, normal(3, 8)),
    "random": (random_backward(attention), normal(1, 4, 4), normal(1, 4, 4), normal(1, 4, 4)),
    "large": (spoiled(linear, lambda found, dy, y, x, w: (dy @ w.T, found[1])), normal(40, 40), normal(40, 40)),
}
MOST = {"dx transposed": 180, "both cells": 350, "random": 900, "large": 450}  # it was 511, 2263, thousands


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_costs_no_more_runs_than_the_docstring_says(name):
    op, *args = WRONG[name]
    made, report = runs(op, *args)
    assert report.status == "wrong"
    assert report["a0"].worst is not None
    assert made <= MOST[name]


def test_without_a_diagnosis_there_is_the_verdict_alone():
    op, *args = WRONG["random"]
    made, report = runs(op, *args, diagnose=False)
    more, with_diagnosis = runs(op, *args)
    assert made < more / 2
    assert report.diagnosis == {}
    for leaf, other in zip(report, with_diagnosis, strict=True):
        assert (leaf.analytic, leaf.numeric, leaf.status) == (other.analytic, other.numeric, "wrong")
        assert leaf.worst is None


def test_check_gradients_takes_it_as_well():
    op, *args = WRONG["both cells"]
    with pytest.raises(nl.GradientError, match="wrong") as caught:
        nl.check_gradients(op, *args, rng=0, diagnose=False)
    assert caught.value.report.diagnosis == {}


def test_an_answer_that_is_neither_yes_nor_no_is_refused():
    with pytest.raises(ValueError, match="diagnose"):
        nl.gradcheck(linear, normal(2, 2), normal(2, 2), diagnose="yes")


@pytest.mark.parametrize(("limit", "most"), [("MOST_RUNS", 60), ("MOST_SECONDS", 0.0)])
def test_a_diagnosis_that_takes_too_long_is_cut_short_and_says_so(limit, most, monkeypatch):
    op, *args = WRONG["random"]
    verdict_alone, _ = runs(op, *args, diagnose=False)
    monkeypatch.setattr(jacobians, limit, most)
    made, report = runs(op, *args)
    assert made <= verdict_alone + 60 + 3 * 75
    assert report.status == "wrong"
    assert "note: the diagnosis was cut short after" in " ".join(str(report).split())


def test_what_needs_few_runs_is_still_found_with_few(monkeypatch):
    monkeypatch.setattr(jacobians, "MOST_RUNS", 40)
    op = spoiled(linear, lambda found, dy, y, x, w: (2 * found[0], found[1]))
    _, report = runs(op, normal(20, 20), normal(20, 20))
    assert report["a0"].diagnosis[0].name == "constant_factor"
