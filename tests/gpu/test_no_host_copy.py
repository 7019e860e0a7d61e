"""Between arguments and results nothing goes through the host: on a GPU that would be slow, and would hide mistakes.

array-api-strict's `device1` refuses implicit copies by itself.  Here the explicit ones are refused as well, and those
that look like no copy: float(x), bool(x), an index.  CuPy refuses the implicit ones.
"""

import contextlib
from functools import partial

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.backend import to_numpy
from tests.cases import every_operation
from tests.helpers import library, named_configs, normal, open_backend, random_params, trainable

WAYS_TO_THE_HOST = ("__array__", "__bool__", "__complex__", "__float__", "__index__", "__int__", "to_device")

on_a_device = pytest.mark.parametrize("xp", [library("strict-device1"), library("cupy")], indirect=True)


@contextlib.contextmanager
def no_way_to_the_host(xp):
    """While this is on, an array of array-api-strict cannot leave its device."""

    def refused(self, *arguments, **options):
        msg = "a copy to the host"
        raise AssertionError(msg)

    with pytest.MonkeyPatch.context() as patch:
        if xp.name.startswith("strict"):
            kind = type(xp.asarray([0.0]))
            for name in WAYS_TO_THE_HOST:
                patch.setattr(kind, name, refused, raising=name != "__array__")
        yield


def staying(xp, op):
    """The operation and its way back, each without a way to the host."""

    def run(*arguments, **options):
        with no_way_to_the_host(xp):
            y, backward = op(*arguments, **options)

        def staying_backward(dy):
            with no_way_to_the_host(xp):
                return backward(dy)

        return y, staying_backward

    return run


@pytest.mark.parametrize("leave", [float, bool, int, to_numpy], ids=["float", "bool", "int", "to_numpy"])
def test_a_copy_to_the_host_would_be_seen(leave):
    xp = open_backend("strict-device1")
    x = xp.asarray(np.asarray(1.0))
    with no_way_to_the_host(xp), pytest.raises(AssertionError, match="a copy to the host"):
        leave(x)
    leave(x)


@on_a_device
@every_operation
def test_every_operation_stays_on_its_device(case, xp, rng):
    arrays, constants = case.draw(rng)
    arguments = [xp.asarray(x) for x in arrays]
    y, backward = staying(xp, case.op)(*arguments, **{name: xp.asarray(x) for name, x in constants.items()})
    backward(xp.asarray(normal(rng, *y.shape)))


@on_a_device
@pytest.mark.parametrize(("config", "shape"), named_configs())
def test_the_block_stays_on_its_device_when_it_trains(config, shape, xp, rng):
    params = {key: xp.asarray(value) for key, value in random_params(config, rng).items()}
    x = xp.asarray(normal(rng, *shape))
    z, backward = staying(xp, partial(nl.block, training=True))(x, params, config)
    _, grads = backward(xp.asarray(normal(rng, *z.shape)))
    assert sorted(grads) == sorted(trainable(params))


@on_a_device
@pytest.mark.parametrize("method", ["shift", "global"])
def test_the_denoiser_stays_on_its_device(method, xp, rng):
    image = xp.asarray(rng.random((9, 11)))
    with no_way_to_the_host(xp):
        denoised = nl.non_local_means(image, h=0.3, patch_size=3, patch_distance=2, method=method)
    assert denoised.shape == image.shape


@on_a_device
@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_the_checker_leaves_the_operation_on_its_device(variant, xp, rng):
    shapes = [(1, 3, 2), (1, 4, 2), (1, 4, 3), *([(4,)] if variant == "concatenation" else [])]
    arguments = [xp.asarray(normal(rng, *shape)) for shape in shapes]
    nl.check_gradients(staying(xp, partial(nl.nonlocal_op, variant)), *arguments, rng=rng)
