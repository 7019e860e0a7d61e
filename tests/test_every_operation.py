"""What every (y, backward) = op(*arrays) of the core must do."""

import dataclasses

import numpy as np
import pytest

from tests.cases import every_operation
from tests.helpers import NUMPY, library, normal, same_kind
from tests.tolerances import assert_ratio, largest

# That a map is linear and pure is algebra, the same on every library: on inputs that nobody can write to, in single
# precision, and on a GPU, which adds up in an order of its own, it is enough.
on_three_libraries = pytest.mark.parametrize(
    "xp", [library(name) for name in ("numpy-read-only", "strict-no-float64", "cupy")], indirect=True
)


@every_operation
def test_value_and_gradients_have_the_shape_dtype_namespace_and_device_of_what_went_in(case, xp, rng):
    arguments, y, backward, dy = case.run(xp, rng)
    assert same_kind(y, dy)
    for gradient, argument in zip(backward(dy), arguments, strict=True):
        assert same_kind(gradient, argument)


@every_operation
def test_single_precision_stays_single_where_a_new_array_would_be_double(case, rng):
    _, y, backward, dy = case.run(dataclasses.replace(NUMPY, precision="float32"), rng)
    assert {x.dtype.name for x in (y, *backward(dy))} == {"float32"}


@every_operation
def test_every_library_gives_the_numbers_of_numpy(case, xp, rng):
    _, y, backward, dy = case.run(xp, rng)
    _, host_y, host_backward, host_dy = case.run(NUMPY, np.random.default_rng(20180618))
    host_gradients = host_backward(host_dy)
    assert_ratio(xp.to_numpy(y), host_y, largest(host_y), xp.eps)
    for gradient, host_gradient in zip(backward(dy), host_gradients, strict=True):
        # held to the largest gradient of all: some are sums that cancel to nothing, as d phi.bias of eq. (3)
        assert_ratio(xp.to_numpy(gradient), host_gradient, largest(*host_gradients), xp.eps)


@on_three_libraries
@every_operation
def test_backward_of_zero_is_zero(case, xp, rng):
    _, _, backward, dy = case.run(xp, rng)
    for gradient in backward(dy * 0):
        assert not np.any(xp.to_numpy(gradient))


@on_three_libraries
@every_operation
def test_backward_is_linear_in_dy(case, xp, rng):
    _, _, backward, u = case.run(xp, rng)
    v = xp.asarray(normal(rng, *u.shape))
    of_sum, of_u, of_v = ([xp.to_numpy(d) for d in backward(dy)] for dy in (0.75 * u - 1.5 * v, u, v))
    for d_sum, d_u, d_v in zip(of_sum, of_u, of_v, strict=True):
        assert_ratio(d_sum, 0.75 * d_u - 1.5 * d_v, largest(*of_u, *of_v), xp.eps)


@on_three_libraries
@every_operation
def test_backward_gives_the_same_twice(case, xp, rng):
    _, _, backward, dy = case.run(xp, rng)
    for first, second in zip(backward(dy), backward(dy), strict=True):
        np.testing.assert_array_equal(xp.to_numpy(first), xp.to_numpy(second))


@on_three_libraries
@every_operation
def test_forward_and_backward_leave_the_arguments_and_dy_untouched(case, xp, rng):
    arguments, _, backward, dy = case.run(xp, rng)
    before = [xp.to_numpy(x) for x in (*arguments, dy)]
    backward(dy)
    for x, kept in zip((*arguments, dy), before, strict=True):
        np.testing.assert_array_equal(xp.to_numpy(x), kept)
