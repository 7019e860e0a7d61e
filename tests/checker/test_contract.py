"""Promises that are not kept: the report says which one and names the culprit, and the checker never crashes."""

import numpy as np
import pytest

import nonlocal_ref as nl
from tests.checker.samples import affine, linear, normal, square

X = normal((3, 2))
W = normal((4, 2), 1)


def in_one_line(report):
    """The text, however its lines are broken."""
    return " ".join(str(report).split())


def square_with(backward_of):
    """y = x², with backward_of(x, y) for a backward."""

    def op(x):
        y = x * x
        return y, backward_of(x, y)

    return op


def raises(x):
    msg = "no luck"
    raise RuntimeError(msg)


def raises_in_backward(x, y):
    def backward(dy):
        msg = "no luck on the way back"
        raise RuntimeError(msg)

    return backward


def changes_its_input(x):
    x *= 2
    return x * x, lambda dy: (2 * x * dy,)


def changes_its_input_in_backward(x, y):
    def backward(dy):
        dx = 2 * x * dy
        x[...] = 0
        return (dx,)

    return backward


def changes_dy(x, y):
    def backward(dy):
        dy *= 2 * x
        return (dy,)

    return backward


def changes_y(x, y):
    def backward(dy):
        y[...] = 0
        return (2 * x * dy,)

    return backward


def adds_up(x, y):
    total = np.zeros_like(x)

    def backward(dy):
        total[...] += 2 * x * dy
        return (total.copy(),)

    return backward


KEPT = {}


def keeps_in_one_place(x):
    KEPT["x"] = x
    return x * x, lambda dy: (2 * KEPT["x"] * dy,)


RANDOM = np.random.default_rng(0)

ONE_ARGUMENT = {
    "op raises": (raises, "op raised RuntimeError: no luck"),
    "backward raises": (square_with(raises_in_backward), "no luck on the way back"),
    "no pair": (lambda x: x * x, "must return (y, backward), got an array"),
    "three things": (lambda x: (x, x, x), "must return (y, backward), got a tuple of 3"),
    "backward not callable": (
        lambda x: (x * x, 2 * x),
        "op must return (y, backward) with backward a function, got an array of shape (3, 2) there",
    ),
    "y is a list": (lambda x: ([1.0], lambda dy: (dy,)), "y must be an array, got a list"),
    "y is an integer": (lambda x: (np.ones(3, dtype=int), lambda dy: (dy,)), "y must be real and floating"),
    "y is complex": (lambda x: (x + 0j, lambda dy: (dy,)), "y must be real and floating"),
    "y is NaN": (lambda x: (np.where(x > 0, x, np.nan), lambda dy: (dy,)), "y is not finite: nan at"),
    "nothing": (square_with(lambda x, y: lambda dy: None), "got None"),
    "bare array": (square_with(lambda x, y: lambda dy: 2 * x * dy), "write `return (dx,)`"),
    "list": (square_with(lambda x, y: lambda dy: [2 * x * dy]), "got a list of 1"),
    "too many": (square_with(lambda x, y: lambda dy: (2 * x * dy, dy)), "one gradient per array argument (x), got 2"),
    "too few": (square_with(lambda x, y: lambda dy: ()), "got 0"),
    "None for a gradient": (square_with(lambda x, y: lambda dy: (None,)), "x gets None for a gradient"),
    "a list for a gradient": (square_with(lambda x, y: lambda dy: ([1.0],)), "x gets a list of 1 for a gradient"),
    "transposed": (
        square_with(lambda x, y: lambda dy: ((2 * x * dy).T,)),
        "x has shape (3, 2), its gradient has shape (2, 3)",
    ),
    "float32 for float64": (
        square_with(lambda x, y: lambda dy: ((2 * x * dy).astype(np.float32),)),
        "x is float64, its gradient is float32",
    ),
    "integers": (square_with(lambda x, y: lambda dy: (np.ones((3, 2), dtype=int),)), "its gradient is int64"),
    "NaN": (square_with(lambda x, y: lambda dy: (2 * x * dy / 0 * 0,)), "not finite: nan at [0, 0]"),
    "random": (lambda x: (x * RANDOM.normal(), lambda dy: (dy,)), "is it random?"),
    "random backward": (square_with(lambda x, y: lambda dy: (2 * x * dy * RANDOM.normal(),)), "a second time"),
    "input changed": (changes_its_input, "x was changed in place"),
    "input changed in backward": (square_with(changes_its_input_in_backward), "x was changed in place"),
    "dy changed": (square_with(changes_dy), "changes dy in place"),
    "y changed": (square_with(changes_y), "changes y in place"),
    "gradients add up": (square_with(adds_up), "a second time"),
    "kept in one place": (keeps_in_one_place, "after the operation ran on other inputs"),
    "not zero at zero": (square_with(lambda x, y: lambda dy: (2 * x * dy + 1,)), "for dy = 0"),
    "|dy|": (square_with(lambda x, y: lambda dy: (2 * x * np.abs(dy),)), "for -2 dy"),
    "clipped": (square_with(lambda x, y: lambda dy: (np.clip(2 * x * dy, -0.1, 0.1),)), "for -2 dy"),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the operation that divides by zero
@pytest.mark.parametrize("mistake", ONE_ARGUMENT)
def test_a_broken_promise_is_reported(mistake):
    op, told = ONE_ARGUMENT[mistake]
    report = nl.gradcheck(op, X, rng=0, names=["x"])
    assert report.status == "wrong"
    assert told in in_one_line(report)
    assert report.problems


def test_an_exception_of_several_lines_is_told_in_one():
    def op(x):
        msg = "no luck\nat all"
        raise RuntimeError(msg)

    (problem,) = nl.gradcheck(op, X).problems
    assert problem.message.startswith("raised RuntimeError: no luck at all (in op, test_contract.py line ")


def test_a_long_exception_is_cut_short():
    def op(x):
        raise RuntimeError("no luck " * 1000)

    (problem,) = nl.gradcheck(op, X).problems
    assert " ... (in op, test_contract.py line " in problem.message
    assert len(problem.message) < 400


def test_a_note_on_an_exception_does_not_hide_what_it_says():
    def op(x):
        error = RuntimeError("no luck")
        error.add_note("a note")
        raise error

    assert "raised RuntimeError: no luck (in op" in str(nl.gradcheck(op, X))


def test_the_wrong_number_of_arguments_has_no_place():
    (problem,) = nl.gradcheck(square, X, X).problems
    assert problem.message.endswith("were given")


def test_a_loss_whose_backward_ignores_dy_is_told_in_plain_words():
    report = nl.gradcheck(lambda x: (np.sum(x * x), lambda dy: (2 * x,)), X, rng=0)
    assert "backward does not use dy" in report.problems[0].message


@pytest.mark.parametrize(
    "backward", [lambda x, dy: 2 * x * dy + 1, lambda x, dy: 2 * x * np.abs(dy) + 1], ids=["shifted", "shifted |dy|"]
)
def test_a_backward_that_uses_dy_wrongly_is_not_told_so(backward):
    report = nl.gradcheck(lambda x: (x * x, lambda dy: (backward(x, dy),)), X, rng=0)
    assert "for dy = 0" in str(report)
    assert "does not use dy" not in str(report)


def test_only_the_gradient_that_ignores_dy_is_told_so():
    def op(x, weight):
        y, backward = linear(x, weight)
        return y, lambda dy: (backward(dy)[0], weight)

    report = nl.gradcheck(op, X, W, rng=0)
    assert {problem.culprit for problem in report.problems if "does not use dy" in problem.message} == {"weight"}


@pytest.mark.parametrize(
    ("mistake", "kind"),
    [
        ("input changed", "overwritten"),
        ("y changed", "overwritten"),
        ("kept in one place", "overwritten"),
        ("not zero at zero", "not_linear"),
        ("|dy|", "not_linear"),
        ("random backward", "not_repeatable"),
        ("float32 for float64", "other"),
    ],
)
def test_a_promise_that_says_what_is_wrong_has_a_kind(mistake, kind):
    report = nl.gradcheck(ONE_ARGUMENT[mistake][0], X, rng=0, names=["x"])
    assert {problem.kind for problem in report.problems} == {kind}


def test_what_numpy_raises_is_told_with_the_line_of_the_operation():
    def op(x):
        return x @ x, lambda dy: (dy,)

    line = op.__code__.co_firstlineno + 1
    assert f"(in op, test_contract.py line {line})" in in_one_line(nl.gradcheck(op, X, rng=0))


def test_what_our_own_operations_raise_is_told_with_the_line_that_called_them():
    def op(x):
        return nl.weights("gaussian", x, x)

    line = op.__code__.co_firstlineno + 1
    assert f"(in op, test_contract.py line {line})" in in_one_line(nl.gradcheck(op, X, rng=0))


def test_what_numpy_raises_in_backward_is_told_with_its_line():
    def op(x):
        def backward(dy):
            return (np.linalg.inv(dy),)

        return x * x, backward

    line = op.__code__.co_firstlineno + 2
    assert f"(in backward, test_contract.py line {line})" in in_one_line(nl.gradcheck(op, X, rng=0))


def test_the_gradient_of_a_constant_is_one_too_many():
    report = nl.gradcheck(lambda x, n: (n * x, lambda dy: (n * dy, None)), X, 3)
    assert "got 2; constants get none: n" in in_one_line(report)


def test_gradients_in_the_wrong_order_are_told_by_their_shapes():
    report = nl.gradcheck(lambda x, weight: (linear(x, weight)[0], lambda dy: linear(x, weight)[1](dy)[::-1]), X, W)
    assert [problem.culprit for problem in report.problems] == ["x", "weight"]


def test_the_other_gradients_are_still_checked():
    def op(x, weight):
        y, backward = linear(x, weight)
        return y, lambda dy: (backward(dy)[0].T, -backward(dy)[1])

    report = nl.gradcheck(op, X, W, rng=0)
    assert report["x"].status == "wrong"
    assert report["weight"].worst is not None


@pytest.mark.parametrize(
    ("grads", "told"),
    [
        (lambda dy: dy, "params is a dict; its gradient must be a dict with keys out of ['weight', 'bias']"),
        (lambda dy: {"wieght": dy}, "got a dict with the keys ['wieght']"),
        (lambda dy: {}, "got a dict with the keys []"),
        (lambda dy: {"count": dy}, "got a dict with the keys ['count']"),
    ],
    ids=["array", "unknown key", "no key", "key of a constant"],
)
def test_a_dict_argument_needs_a_dict_of_gradients(grads, told):
    def op(x, params):
        y, backward = affine(x, params)
        return y, lambda dy: (backward(dy)[0], grads(dy))

    report = nl.gradcheck(op, X, {"weight": W, "bias": np.ones(4), "count": 3})
    assert told in in_one_line(report)


def test_a_gradient_that_adds_up_in_an_array_is_not_compared():
    total = np.zeros_like(X)

    def op(x, w):
        def backward(dy):
            total[...] += 2 * x * w * dy
            return total, x * x * dy

        return x * x * w, backward

    report = nl.gradcheck(op, X, X + 1, rng=0)
    row = report["x"]
    assert (report.status, row.status, report["w"].status) == ("wrong", "inconclusive", "right")
    assert np.isnan(row.error)
    assert row.notes == ("was not compared, backward gives other numbers each time",)
    assert "zero within rounding" not in str(report)


def test_a_dict_that_the_operation_writes_to_is_reported():
    def op(x, params):
        params["mean"] = x.mean()
        params["weight"] = params["weight"] * 1.0
        return affine(x, params)

    report = nl.gradcheck(op, X, {"weight": W, "bias": np.ones(4)}, rng=0)
    assert "params had keys added or removed" in in_one_line(report)
    assert "params.weight was replaced in its dict" in in_one_line(report)


def test_a_gradient_on_another_device_is_reported():
    strict = pytest.importorskip("array_api_strict")

    def op(x):
        return x * x, lambda dy: (strict.asarray(2 * x * dy, device=strict.Device("CPU_DEVICE")),)

    report = nl.gradcheck(op, strict.asarray(X, device=strict.Device("device1")), rng=0)
    assert "x is a array_api_strict (array_api_strict.Device('device1')) array" in in_one_line(report)


def test_a_y_of_another_library_is_reported():
    strict = pytest.importorskip("array_api_strict")
    report = nl.gradcheck(lambda x: (np.asarray(x) * 2, lambda dy: (dy,)), strict.asarray(X), rng=0)
    assert "y is a numpy (cpu) array" in in_one_line(report)


def test_nothing_that_the_caller_owns_is_touched():
    x, params = X.copy(), {"weight": W.copy(), "bias": np.ones(4), "count": 3}
    nl.gradcheck(changes_its_input, x, rng=0)
    nl.gradcheck(affine, x, params, rng=0)
    assert np.array_equal(x, X)
    assert np.array_equal(params["weight"], W)
    assert list(params) == ["weight", "bias", "count"]


def test_a_keyboard_interrupt_is_not_swallowed():
    def op(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nl.gradcheck(op, X)


def test_a_broken_operation_leaves_every_gradient_unchecked():
    report = nl.gradcheck(raises, X)
    assert [leaf.status for leaf in report] == ["inconclusive"]
    assert "(in raises, test_contract.py line" in in_one_line(report)


def test_square_keeps_every_promise():
    assert nl.gradcheck(square, X, rng=0).problems == ()


def test_a_gradient_that_is_nan_for_some_cotangents_is_wrong():
    def op(x):
        return x.sum(axis=1), lambda dy: (np.where(dy[:, None] > 1, np.nan, dy[:, None]) + 0 * x,)

    report = nl.gradcheck(op, normal((50, 2)), rng=0)
    assert report["x"].status == "wrong"
