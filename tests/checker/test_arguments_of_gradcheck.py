"""Which arguments are differentiated by, what they are called, and what is refused."""

import functools

import numpy as np
import pytest

import nonlocal_ref as nl
from tests.checker.samples import affine, attention_arrays, linear, normal, square

X = normal((3, 2))


def test_names_come_from_the_signature():
    report = nl.gradcheck(functools.partial(nl.nonlocal_op, "gaussian"), *attention_arrays(), rng=0)
    assert [leaf.name for leaf in report] == ["theta", "phi", "g"]
    assert report.op == "nonlocal_op('gaussian', ...)"


def test_a_string_argument_is_a_constant():
    report = nl.gradcheck(nl.nonlocal_op, "concatenation", *attention_arrays(), normal(8), rng=0)
    assert [leaf.name for leaf in report] == ["theta", "phi", "g", "w_f"]


def test_names_may_be_given():
    assert nl.gradcheck(linear, X, X, rng=0, names=["left", "right"])["right"].shape == (3, 2)


def test_variadic_arguments_are_counted():
    assert nl.gradcheck(lambda *arrays: linear(*arrays), X, X, rng=0)["arrays[1]"]


def test_a_dict_key_is_found_by_its_full_name_and_by_itself():
    report = nl.gradcheck(affine, X, {"weight": normal((4, 2)), "bias": np.ones(4)}, rng=0)
    assert report["params.weight"] is report["weight"]
    with pytest.raises(KeyError, match=r"there are x, params\.weight, params\.bias"):
        report["params"]


@pytest.mark.parametrize(
    ("names", "keys", "told"),
    [(["x", "x.W"], ["W"], "'x.W' is that of two"), (["x", "w"], [1, "1"], "'x.1' is that of two")],
)
def test_names_that_two_arrays_would_share_are_refused(names, keys, told):
    with pytest.raises(ValueError, match=told):
        nl.gradcheck(lambda x, w: (w, lambda dy: (x, dy)), dict.fromkeys(keys, X), X, names=names)


def test_arrays_of_integers_and_booleans_are_constants():
    def masked(x, mask, order):
        return (mask * x)[order], lambda dy: ((mask * dy[np.argsort(order)]),)

    assert nl.gradcheck(masked, X, X > 0, np.asarray([2, 0, 1]), rng=0)


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ([X], "more: a list is a constant; pass its arrays as arguments or in a dict to check them"),
        ((X, [X]), "more: a tuple is a constant"),
        ({"layer": {"w": X}}, "more.layer: a dict is a constant; put its arrays into the outer dict"),
        ({"layer": [X]}, "more.layer: a list is a constant"),
        (np.float64(0.7), "more: a number is a constant; make it np.asarray(0.7) to check it"),
    ],
    ids=["list", "tuple", "dict in a dict", "list in a dict", "number"],
)
def test_arrays_that_are_not_looked_at_are_noted(more, note):
    report = nl.gradcheck(lambda x, more: (x * x, lambda dy: (2 * x * dy,)), X, more, rng=0)
    assert report
    assert note in str(report)


def test_a_gradient_too_many_for_a_number_is_told_how_to_be_checked():
    def op(x, w):
        return w * x, lambda dy: (w * dy, np.sum(x * dy))

    assert "make it np.asarray(0.7) to check it" in str(nl.gradcheck(op, X, np.float64(0.7)))
    assert nl.gradcheck(op, X, np.asarray(0.7))


@pytest.mark.parametrize("constant", [[1.0, 2.0], ("mean", 3), {"axis": 1, "names": ["a"]}, 0.7, [X > 0]])
def test_constants_without_arrays_of_floats_have_no_note(constant):
    report = nl.gradcheck(lambda x, constant: (x * x, lambda dy: (2 * x * dy,)), X, constant, rng=0)
    assert report.notes == ()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "got nothing"),
        ((np.ones(3, dtype=int),), "x is an array of int64"),
        (([1.0, 2.0],), "x is of type list"),
        (([X],), "x is of type list; pass its arrays as arguments"),
        ((2.0,), "x is of type float"),
        ((np.float64(0.7),), r"x is a number; make it np.asarray\(0.7\)"),
        ((np.asarray([None]),), "x is an array of object"),
        (({"count": 3},), "x is of type dict"),
        ((np.ones(3, dtype=np.float16),), "x must be float32 or float64"),
        ((np.ma.ones(3),), "x must be a plain array.* fill it first: x.filled"),
        ((np.ones(3, np.dtype("f8").newbyteorder("S")),), "x must have the byte order of this machine"),
    ],
    ids=[
        "nothing",
        "integers",
        "list",
        "list of arrays",
        "number",
        "NumPy's number",
        "objects",
        "dict without arrays",
        "float16",
        "masked",
        "byte order",
    ],
)
def test_what_cannot_be_differentiated_by_is_a_type_error(args, told):
    with pytest.raises(TypeError, match=told):
        nl.gradcheck(square, *args)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((np.ones((0, 3)),), "x has no entries"),
        ((np.asarray([1.0, np.nan]),), r"x must be finite .* got nan at \[1\]"),
        ((np.asarray([[1.0, -np.inf]]),), r"got -inf at \[0, 1\]"),
    ],
    ids=["empty", "nan", "inf"],
)
def test_values_without_a_derivative_are_a_value_error(args, told):
    with pytest.raises(ValueError, match=told):
        nl.gradcheck(square, *args)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"mode": "slow"}, ValueError),
        ({"method": "magic"}, ValueError),
        ({"directions": 0}, ValueError),
        ({"directions": 1.5}, TypeError),
        ({"rtol": 0}, ValueError),
        ({"rtol": "small"}, TypeError),
        ({"rtol": np.nan}, ValueError),
        ({"linear": "yes"}, ValueError),
        ({"linear": True, "method": "central"}, ValueError),
        ({"names": ["x", "y"]}, ValueError),
        ({"names": "x"}, TypeError),
        ({"names": [1]}, TypeError),
        ({"rng": "seed"}, TypeError),
        ({"rng": -1}, ValueError),
        ({"rng": 1.5}, TypeError),
    ],
    ids=str,
)
def test_an_option_that_does_not_fit_is_refused(options, error):
    with pytest.raises(error, match=next(iter(options)) if len(options) == 1 else "method"):
        nl.gradcheck(square, X, **options)


def test_op_must_be_callable():
    with pytest.raises(TypeError, match="op must be callable, got ndarray"):
        nl.gradcheck(X, X)


def test_names_must_differ():
    with pytest.raises(ValueError, match="2 different strings"):
        nl.gradcheck(linear, X, X, names=["x", "x"])


def test_an_unknown_argument_of_the_operation_is_its_own_error():
    assert "op raised TypeError" in str(nl.gradcheck(square, X, X))


def test_a_callable_without_a_signature_is_fine():
    class Op:
        __signature__ = "none"

        def __call__(self, x):
            return square(x)

    assert nl.gradcheck(Op(), X, rng=0)["arg0"].status == "right"
