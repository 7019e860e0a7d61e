"""How many array operations a call takes: on a GPU each is a launch, or a few.

Counted on array-api-strict, whose operators and functions are wrapped for the time of a call.  Views are not counted.
"""

import re
from functools import wraps
from pathlib import Path

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.comparison.cases import Case, Size

strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")

ARRAY = type(strict.zeros(1))
VIEWS = {"broadcast_to", "expand_dims", "finfo", "isdtype", "matrix_transpose", "moveaxis", "permute_dims", "reshape"}
VIEWS |= {"real", "get_array_api_strict_flags"}  # real of real arrays; the library's own question to itself
OPERATORS = ("add", "sub", "mul", "truediv", "matmul", "pow", "and", "or", "neg", "lt", "le", "eq", "ne", "gt", "ge")
PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"


class Counter:
    """Counts while it is on; an operation inside another one is part of it."""

    def __init__(self):
        self.found, self.depth = 0, 0

    def counted(self, function):
        @wraps(function)
        def call(*arguments, **options):
            self.found += self.depth == 0
            self.depth += 1
            try:
                return function(*arguments, **options)
            finally:
                self.depth -= 1

        return call


def operations(variant, n, method, *, backward):
    """Array operations of one call, forward alone or with the way back."""
    case = Case(variant, Size(1, n, n, 4, 4))
    x = {name: strict.asarray(value) for name, value in case.draw(0).items()}
    counter = Counter()
    with pytest.MonkeyPatch.context() as patch:
        for name in strict.__all__:
            value = getattr(strict, name)
            if callable(value) and not isinstance(value, type) and name not in VIEWS:
                patch.setattr(strict, name, counter.counted(value))
        for word in OPERATORS:
            for name in (f"__{word}__", f"__r{word}__", f"__i{word}__"):
                if hasattr(ARRAY, name):
                    patch.setattr(ARRAY, name, counter.counted(getattr(ARRAY, name)))
        _, way_back = nl.nonlocal_op(variant, *(x[name] for name in case.names), method=method)
        if backward:
            way_back(x["dy"])
    return counter.found


FORMS = [
    ("embedded_gaussian", "dense"),
    ("embedded_gaussian", "tiled"),
    ("dot_product", "dense"),
    ("dot_product", "reassociated"),
    ("concatenation", "dense"),
    ("concatenation", "sorted"),
]


@pytest.mark.parametrize(("variant", "method"), FORMS)
def test_no_loop_over_elements(variant, method):
    few, many = (operations(variant, n, method, backward=True) for n in (8, 60))
    assert few == many


@pytest.mark.parametrize(
    ("variant", "method", "more"), [("dot_product", "reassociated", 10), ("concatenation", "sorted", 42)]
)
def test_sums_in_blocks_take_a_few_more_for_100_times_as_many_positions(variant, method, more):
    few, many = (operations(variant, n, method, backward=True) for n in (50, 5000))
    assert many - few == more


@pytest.mark.parametrize(("variant", "method"), FORMS)
def test_the_page_says_how_many(variant, method):
    row = re.search(rf"^\| {variant} \| {method} \| (\d+) \| (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert row is not None
    forward, both = (operations(variant, 50, method, backward=backward) for backward in (False, True))
    assert tuple(map(int, row.groups())) == (forward, both)


def test_an_operation_is_counted_once():
    counter = Counter()
    assert counter.counted(np.add)(1, 2) == 3
    assert counter.found == 1
