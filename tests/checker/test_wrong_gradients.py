"""What is wrong is called wrong, by the name of the argument, however small the mistake."""

from functools import partial

import numpy as np
import pytest

import nonlocal_ref as nl
from tests.checker.samples import SMOOTH, affine, attention_arrays, linear, mean, normal, residual, softmax, square

METHODS = ("auto", "complex", "central", "fourth")


def with_wrong(op, position, mistake):
    """The operation, with one of its gradients replaced by mistake(that gradient, dy)."""

    def wrong(*args):
        y, right_backward = op(*args)

        def backward(dy):
            gradients = list(right_backward(dy))
            gradients[position] = mistake(gradients[position], dy)
            return tuple(gradients)

        return y, backward

    return wrong


def blamed(report):
    return [leaf.name for leaf in report if leaf.status == "wrong"]


X, W = normal((3, 3)), normal((3, 3), 1)

MISTAKES = {
    "sign": (linear, [X, W], 1, lambda dw, dy: -dw),
    "transpose": (linear, [X, W], 1, lambda dw, dy: dw.T),
    "factor 2": (square, [X], 0, lambda dx, dy: 2 * dx),
    "missing term": (residual, [X, W], 0, lambda dx, dy: dx - dy),
    "missing 1/N": (mean, [X], 0, lambda dx, dy: 3 * dx),
    "wrong axis": (softmax, [X], 0, lambda dx, dy: softmax(X)[0] * (dy - np.sum(dy * softmax(X)[0], axis=0))),
    "softmax without its Jacobian": (softmax, [X], 0, lambda dx, dy: dy * softmax(X)[0]),
    "forgotten": (linear, [X, W], 0, lambda dx, dy: np.zeros_like(dx)),
    "another argument's": (linear, [X, W], 0, lambda dx, dy: dy.T @ X),
    "one part in a million": (linear, [X, W], 0, lambda dx, dy: dx * (1 + 1e-6)),
    "one part in a million less": (softmax, [X], 0, lambda dx, dy: dx * (1 - 1e-6)),
}


@pytest.mark.parametrize("mode", ["fast", "full"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_rejected_and_no_other_argument_is_blamed(mistake, method, mode):
    op, args, position, spoil = MISTAKES[mistake]
    names = ["x", "w"][: len(args)]
    report = nl.gradcheck(with_wrong(op, position, spoil), *args, rng=4, method=method, mode=mode, names=names)
    assert not report
    assert blamed(report) == [names[position]]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("variant", "name"), [("gaussian", "theta"), ("dot_product", "phi"), ("concatenation", "w_f")])
def test_one_part_in_a_million_is_rejected_at_every_scale(variant, name, scale):
    theta, phi, g = attention_arrays(5)
    arrays = [theta * scale, phi / scale, g * scale]  # logits of ordinary size: nothing saturates
    arrays += [np.ones(8)] if variant == "concatenation" else []
    names = ["theta", "phi", "g", "w_f"][: len(arrays)]
    op = with_wrong(partial(nl.nonlocal_op, variant), names.index(name), lambda dx, dy: dx * (1 + 1e-6))
    assert blamed(nl.gradcheck(op, *arrays, rng=0, names=names)) == [name]


@pytest.mark.parametrize("seed", range(9))
def test_one_part_in_a_million_is_rejected_for_every_seed(seed):
    op = with_wrong(partial(nl.nonlocal_op, "gaussian"), seed % 3, lambda dx, dy: dx * (1 + 1e-6))
    assert nl.gradcheck(op, *attention_arrays(seed), rng=seed).status == "wrong"


@pytest.mark.parametrize("mode", ["fast", "full"])
def test_the_worst_entry_is_named(mode):
    def one_entry_off(dx, dy):
        spoiled = dx.copy()
        spoiled[1, 2] += 0.01
        return spoiled

    leaf = nl.gradcheck(with_wrong(linear, 1, one_entry_off), X, W, rng=0, mode=mode)["args[1]"]
    assert leaf.worst == (1, 2)
    assert leaf.worst_entry.verdict.analytic - leaf.worst_entry.verdict.numeric == pytest.approx(0.01)


def test_a_large_gradient_is_searched_for_its_worst_entry_in_bounded_time():
    calls = 0

    def op(x):
        nonlocal calls
        calls += 1
        return x * x, lambda dy: (x * dy,)

    report = nl.gradcheck(op, normal((50, 50)), rng=0, method="central")
    assert report["x"].worst is not None
    assert calls < 5_000  # entry by entry it would be 2500 times as many as for one


def test_the_gradient_of_one_key_of_a_dict_is_blamed_by_its_name():
    def spoil(grads, dy):
        return grads | {"bias": -grads["bias"]}

    report = nl.gradcheck(with_wrong(affine, 1, spoil), *SMOOTH["affine"][1], rng=0, names=["x", "params"])
    assert blamed(report) == ["params.bias"]
    assert report["bias"].status == "wrong"


def test_a_wrong_adjoint_is_rejected_without_differences():
    op = with_wrong(linear, 0, lambda dx, dy: dx * (1 + 1e-6))
    assert blamed(nl.gradcheck(op, X, W, rng=0, linear=True, names=["x", "w"])) == ["x"]


def test_a_smaller_rtol_finds_a_smaller_mistake():
    op = with_wrong(linear, 0, lambda dx, dy: dx * (1 + 1e-10))
    assert nl.gradcheck(op, X, W, rng=0)
    assert nl.gradcheck(op, X, W, rng=0, rtol=1e-12, method="complex").status == "wrong"


def test_check_gradients_raises_with_the_whole_report():
    with pytest.raises(AssertionError, match=r"(?s)WRONG: args\[0\].*worst at.*repeat with rng=7") as raised:
        nl.check_gradients(with_wrong(linear, 0, lambda dx, dy: -dx), X, W, rng=7)
    assert isinstance(raised.value, nl.GradientError)
    assert raised.value.report["args[0]"].diagnosis[0].name == "constant_factor"
