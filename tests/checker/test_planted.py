"""Mistakes as people make them: each is rejected by name, no right twin is, and the diagnosis says what it is.

A row counts as diagnosed where the first proposal for the first wrong argument, in the order of the report, has the
expected name.  Rows that only break the contract (a changed dy, say) have no expected name and are not counted.
"""

import re
from functools import cache

import numpy as np
import pytest

import nonlocal_ref as nl
from tests.checker.planted import HELD_OUT, PLANTED

ROWS = {mistake.name: mistake for mistake in (*PLANTED, *HELD_OUT)}
TWINS = {f"{mistake.right.__name__}-{'-'.join(mistake.names)}": mistake for mistake in ROWS.values()}
SEED = 3
LEAST_DIAGNOSED = 0.9
RIGHT_CASES = 1000


def rows(table):
    """pytest parameters; those that were held out are slow, and our whole block, of which each entry costs a run."""
    held_out = {mistake.name for mistake in HELD_OUT}
    return [
        pytest.param(name, marks=pytest.mark.slow if name in held_out or "config" in mistake.names else ())
        for name, mistake in table.items()
    ]


def check(op, arguments, seed):
    return nl.gradcheck(op, *arguments.values(), rng=seed, names=list(arguments))


@cache
def report_on(name, seed=SEED):
    mistake = ROWS[name]
    return check(mistake.op, mistake.draw(np.random.default_rng(seed)), seed)


def called_wrong(report):
    """Whatever the report names: wrong gradients, and arguments that a broken promise is told of."""
    culprits = {problem.culprit for problem in report.problems}
    return {leaf.name for leaf in report if leaf.status == "wrong" or leaf.name in culprits}


def first_proposal(mistake, seed):
    """The name of the likeliest proposal for the first wrong argument, or "nothing"."""
    proposals = report_on(mistake.name, seed)[mistake.wrong[0]].diagnosis
    return proposals[0].name if proposals else "nothing"


def misses(mistakes, seed):
    """The mistakes that the first proposal calls something else, and what it calls them."""
    came = {mistake.name: first_proposal(mistake, seed) for mistake in mistakes}
    return [(mistake, came[mistake.name]) for mistake in mistakes if came[mistake.name] not in mistake.accepted]


def table(title, mistakes, missed):
    hits = len(mistakes) - len(missed)
    lines = [f"{title}: {hits} of {len(mistakes)} first proposals are right ({hits / len(mistakes):.0%})"]
    return [*lines, *(f"    {mistake.name:50} expected {mistake.label:16}, came {came}" for mistake, came in missed)]


def flat(values, gradients):
    """The gradients by the names of the report."""
    named = zip([key for key, value in values.items() if differentiated(value)], gradients, strict=True)
    return {
        f"{key}.{inner}" if inner else key: part
        for key, dx in named
        for inner, part in (dx.items() if isinstance(dx, dict) else [("", dx)])
    }


def differentiated(value):
    return isinstance(value, dict) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def alike(dx, right):
    return np.shape(dx) == np.shape(right) and np.allclose(dx, right, rtol=1e-9, atol=1e-12)


def scaled(value, scale):
    """Float arrays in other units, all else as it is."""
    return value * scale if differentiated(value) and not isinstance(value, dict) else value


def test_no_two_mistakes_share_a_name():
    assert len(ROWS) == len(PLANTED) + len(HELD_OUT) >= 60


@pytest.mark.parametrize("name", rows(ROWS))
def test_a_mistake_is_rejected_and_exactly_the_wrong_arguments_and_broken_promises_are_named(name):
    mistake, report = ROWS[name], report_on(name)
    assert report.status == "wrong"
    assert called_wrong(report) == set(mistake.wrong), str(report)
    told = [f"{problem.culprit} {problem.message}" for problem in report.problems]
    assert any(re.match(mistake.breaks, text) for text in told) if mistake.breaks else not told


@pytest.mark.parametrize("name", ROWS)
def test_a_mistake_has_the_forward_of_its_twin_and_its_gradients_but_for_those_in_the_table(name):
    mistake, rng = ROWS[name], np.random.default_rng(SEED)
    values = mistake.draw(rng)
    (y, backward), (right_y, right_backward) = (op(*values.values()) for op in (mistake.op, mistake.right))
    np.testing.assert_array_equal(y, right_y)
    if mistake.label:  # without one a promise is broken, and which gradient comes depends on the calls before
        dy = rng.normal(size=y.shape)
        got, wanted = flat(values, backward(dy)), flat(values, right_backward(dy))
        assert [key for key in wanted if not alike(got[key], wanted[key])] == list(mistake.wrong)


@pytest.mark.parametrize("name", rows(TWINS))
def test_the_right_twin_passes(name):
    assert check(TWINS[name].right, TWINS[name].draw(np.random.default_rng(SEED)), SEED)


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_no_right_twin_alarms_in_a_thousand_cases_of_all_scales(name):
    for seed in range(RIGHT_CASES // len(TWINS) + 1):
        rng = np.random.default_rng(seed)
        scale = 10.0 ** rng.uniform(-3, 3)
        arguments = {key: scaled(value, scale) for key, value in TWINS[name].draw(rng).items()}
        report = check(TWINS[name].right, arguments, seed)
        assert report.status != "wrong", f"scale {scale:g}, seed {seed}\n{report}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED, 11])
def test_nine_first_proposals_of_ten_are_right(seed):
    in_sight, held_out = ([m for m in mistakes if m.label] for mistakes in (PLANTED, HELD_OUT))
    missed, missed_of_held_out = misses(in_sight, seed), misses(held_out, seed)
    lines = [*table("in sight", in_sight, missed), *table("held out", held_out, missed_of_held_out)]
    share = 1 - (len(missed) + len(missed_of_held_out)) / (len(in_sight) + len(held_out))
    assert share >= LEAST_DIAGNOSED, "\n".join(lines)
