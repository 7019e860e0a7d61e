"""An implementation that breaks its promises gets a report that names the culprit; bad arguments are refused."""

from functools import partial

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing import ConformanceError, check_block, check_operation
from tests.testing.numpy_blocks import plain_block

CONFIG = nl.BlockConfig(4, dims=1, norm=None)


def raising(theta, phi, g):
    message = "not today"
    raise RuntimeError(message)


def of_op(change):
    def wrong(theta, phi, g):
        y, backward = nl.nonlocal_op("dot_product", theta, phi, g)
        return change(y, backward, theta)

    return wrong


def raising_backward(y, backward, theta):
    def broken(dy):
        message = "no way back"
        raise KeyError(message)

    return y, broken


def changing(y, backward, theta):
    theta *= 2
    return y, backward


def changing_dy(y, backward, theta):
    def broken(dy):
        gradients = backward(dy)
        dy[...] = 0
        return gradients

    return y, broken


def random(y, backward, theta):
    return y + np.random.default_rng().normal(size=y.shape), backward


BROKEN = {
    "raises": (raising, "the implementation raised RuntimeError: not today (in raising"),
    "none": (lambda *_: None, "y must be an array of shape (3, 5, 6), got None"),
    "list": (lambda *_: [1, 2], "got a list of 2"),
    "shape": (of_op(lambda y, b, _: y[:, :, :1]), "y must have shape (3, 5, 6), got (3, 5, 1)"),
    "integers": (of_op(lambda y, b, _: y.astype(int)), "y must be float64 or float32, got int64"),
    "complex": (of_op(lambda y, b, _: y + 0j), "y must be float64 or float32, got complex128"),
    "half": (of_op(lambda y, b, _: y.astype(np.float16)), "y must be float64 or float32, got float16"),
    "nan": (of_op(lambda y, b, _: y * np.nan), "y is not finite: nan at [0, 0, 0]"),
    "raises-back": (of_op(raising_backward), "backward raised KeyError: 'no way back'"),
    "two-gradients": (of_op(lambda y, b, _: (y, lambda dy: b(dy)[:2])), "must return 3 gradients"),
    "no-gradients": (of_op(lambda y, b, _: (y, lambda dy: None)), "got None"),
    "gradient-none": (of_op(lambda y, b, _: (y, lambda dy: (*b(dy)[:2], None))), "dg must be an array"),
    "gradient-shape": (of_op(lambda y, b, _: (y, lambda dy: (y, *b(dy)[1:]))), "dtheta must have shape (3, 5, 7)"),
    "changes-theta": (of_op(changing), "theta was changed by the implementation"),
    "changes-dy": (of_op(changing_dy), "the cotangent of y was changed"),
    "random": (of_op(random), "is it random?"),
    "wrong-arguments": (lambda theta: theta, "raised TypeError"),
}


@pytest.mark.parametrize(("fn", "message"), [pytest.param(*case, id=key) for key, case in BROKEN.items()])
def test_a_broken_implementation_gets_a_report_that_names_the_culprit(fn, message):
    with pytest.raises(ConformanceError) as caught:
        check_operation(fn, "dot_product", rng=0)
    assert message in "\n".join(caught.value.report.problems)


def test_missing_gradients_of_parameters_are_named():
    def wrong(x, params):
        z, backward = nl.block(x, params, CONFIG)
        return z, lambda dz: (backward(dz)[0], {"g.bias": backward(dz)[1]["g.bias"]})

    with pytest.raises(ConformanceError, match=r"no gradient for theta.weight, theta.bias, phi.weight"):
        check_block(wrong, CONFIG)


def test_a_gradient_for_no_parameter_is_mentioned():
    def misspelt(x, params):
        z, backward = nl.block(x, params, CONFIG)
        return z, lambda dz: (backward(dz)[0], backward(dz)[1] | {"theta.wieght": dz})

    note = "backward returns a gradient for theta.wieght, which is no parameter here"
    assert check_block(misspelt, CONFIG).notes == (note,)


def test_gradients_of_running_statistics_are_nothing_to_mention():
    config = nl.BlockConfig(4, dims=1)

    def statistics_too(x, params):
        z, backward = nl.block(x, params, config)
        return z, lambda dz: (backward(dz)[0], backward(dz)[1] | {"bn.running_mean": 0 * params["bn.running_mean"]})

    assert check_block(statistics_too, config).notes == ()


class Made:
    def __call__(self, *arrays):
        return arrays[0]


@pytest.mark.parametrize("check", [partial(check_block, config=CONFIG), partial(check_operation, variant="gaussian")])
def test_a_class_in_the_place_of_an_object_is_refused(check):
    with pytest.raises(TypeError, match=r"fn must be an object, got the class Made; make one: Made\(...\)"):
        check(Made)


def test_deleted_parameters_are_a_problem_not_a_crash():
    def wrong(x, params):
        z, _ = nl.block(x, dict(params), CONFIG)
        params.clear()
        return z

    with pytest.raises(ConformanceError, match="was changed by the implementation"):
        check_block(wrong, CONFIG)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fn": 3}, TypeError, "fn must be callable, got int"),
        ({"variant": "cosine"}, ValueError, "variant must be one of"),
        ({"variant": "dot_product", "scale": 2.0}, ValueError, "scale belongs to the softmax variants"),
        ({"scale": "outer"}, ValueError, "scale must be one of 'inner'"),
        ({"sizes": {"K": 3}}, ValueError, "an axis in sizes must be one of"),
        ({"sizes": [3]}, TypeError, "sizes must map letters to integers"),
        ({"sizes": {"B": 0}}, ValueError, r"sizes\['B'\] must be at least 1"),
        ({"backend": "tensorflow"}, ValueError, "backend must be one of"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of"),
        ({"ratio": -1}, ValueError, "ratio must be positive"),
        ({"rng": "seed"}, TypeError, "rng must be an integer"),
    ],
)
def test_bad_arguments_of_check_operation_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        check_operation(**{"fn": plain_block, "variant": "gaussian"} | options)


def ours(x, params):
    return nl.block(x, params, CONFIG)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fn": 3}, TypeError, "fn must be callable, got int"),
        ({"config": {}}, TypeError, "config must be a BlockConfig"),
        ({"params": [1]}, TypeError, "params must be a dict"),
        ({"params": {}}, ValueError, "params do not fit the config: missing"),
        ({"params": {"theta.weight": [1]}}, TypeError, "tree must be an array"),
        ({"shape": (1, 3, 8)}, ValueError, "x must have 4 channels"),
        ({"shape": (1, 4)}, ValueError, "x must have 3 axes"),
        ({"shape": (0, 4, 8)}, ValueError, "shape must be at least 1"),
        ({"shape": [1, 4, 8]}, TypeError, "shape must be a tuple"),
        ({"training": 1}, ValueError, "training must be one of"),
        ({"keys": "mmcv"}, ValueError, "a function gets params under our keys"),
    ],
)
def test_bad_arguments_of_check_block_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        check_block(**{"fn": ours, "config": CONFIG} | options)
