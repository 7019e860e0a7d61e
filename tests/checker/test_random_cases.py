"""A thousand right cases, none called wrong; and mistakes of two parts in ten million, all called wrong."""

import pytest

import nonlocal_ref as nl
from tests.checker.random_cases import random_case, spoil
from tests.checker.samples import SMOOTH

CHUNK = 50


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 1000, CHUNK))
def test_no_right_case_is_called_wrong_at_any_scale_in_either_precision(start):
    for seed in range(start, start + CHUNK):
        case = random_case(seed)
        report = case.check(seed)
        assert report, f"{case.label}\n{report}"


@pytest.mark.parametrize("name", SMOOTH)
def test_two_parts_in_ten_million_are_rejected_in_every_gradient_of_ordinary_size(name):
    op, args = SMOOTH[name]
    names = [leaf.name for leaf in nl.gradcheck(op, *args, rng=0, directions=1)]
    for position, name_of_wrong in enumerate(names):
        report = nl.gradcheck(spoil(op, position, 1 + 2e-7), *args, rng=position, directions=1)
        assert [leaf.status for leaf in report].index("wrong") == position, name_of_wrong
