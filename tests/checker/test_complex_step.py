"""The hand-written gradients against the complex step: twelve digits of every one that is well conditioned."""

from functools import partial

import numpy as np
import pytest

from tests import oracles
from tests.cases import BLOCKS, OPERATIONS, PIECES, named_cases
from tests.helpers import normal

TWELVE_DIGITS = 1e-12
REAL_ONLY = ("tiled", "sorted", "reassociated")  # the complex step needs the dense form

dense = named_cases(
    [case for case in (*PIECES, *OPERATIONS) if not any(form in case.name for form in REAL_ONLY)], BLOCKS
)


@pytest.mark.slow
@pytest.mark.parametrize("case", dense)
def test_a_gradient_agrees_with_the_complex_step_to_twelve_digits(case, rng):
    arrays, constants = case.draw(rng)
    y, backward = case.op(*arrays, **constants)
    dy = normal(rng, *y.shape)
    carried = {key: value if value.dtype == bool else value + 0j for key, value in constants.items()}
    exact = oracles.complex_step(lambda *given: partial(case.op, **carried)(*given)[0], arrays, dy)
    largest = max(np.max(np.abs(gradient)) for gradient in exact)
    for gradient, want in zip(backward(dy), exact, strict=True):
        size = np.max(np.abs(want))
        # d phi.bias of eq. (3) and d w_z.bias under batch norm are sums that cancel to nothing: no digit of their own
        held_to = size if size > TWELVE_DIGITS * largest else largest
        assert np.max(np.abs(gradient - want)) <= TWELVE_DIGITS * held_to
