"""What the report does with proposals, and that a diagnosis never stands in the way of a verdict."""

import numpy as np
import pytest

import nonlocal_ref as nl
from tests.checker.diagnosis.wrong_operations import QKV, attention, first_names, linear, normal, sine, spoiled
from tests.checker.samples import SMOOTH

X = normal(4, 5)


def random_matrix(x):
    matrix = normal(x.size, x.size)
    return np.sin(x), lambda dy: (np.reshape(matrix @ dy.ravel(), x.shape),)


def random_factors(x):
    return np.sin(x), lambda dy: (normal(*x.shape) * np.cos(x) * dy,)


def random_numbers_added(x):
    return np.sin(x), lambda dy: (np.cos(x) * dy + normal(*x.shape),)


@pytest.mark.slow
@pytest.mark.parametrize("op", [random_matrix, random_factors, random_numbers_added])
def test_noise_gets_no_proposal(op):
    report = nl.gradcheck(op, X, rng=0)
    assert report.status == "wrong"
    assert report.diagnosis == {}
    assert "perhaps" not in str(report)


@pytest.mark.slow
def test_noise_in_an_attention_gets_no_proposal():
    def spoil(found, dy, y, q, k, v):
        return np.tensordot(dy, normal(*y.shape, *q.shape), 3), *found[1:]

    assert first_names(spoiled(attention, spoil), *QKV) == {}


@pytest.mark.parametrize("name", SMOOTH)
def test_what_is_right_gets_no_proposal(name):
    op, args = SMOOTH[name]
    assert nl.gradcheck(op, *args, rng=0).diagnosis == {}


def test_one_entry_that_gets_something_of_another_output_is_an_index_ignored():
    def spoil(found, dy, y, x):
        spoilt = found[0].copy()
        spoilt[1, 2] += 0.01 * dy[0, 0]
        return (spoilt,)

    assert first_names(spoiled(sine, spoil), X, names=["x"]) == {"x": "index_ignored"}


def test_the_text_names_the_array_and_what_is_wrong():
    report = nl.gradcheck(spoiled(sine, lambda found, dy, y, x: (2 * found[0],)), X, rng=0, names=["theta"])
    assert "\nperhaps: theta: twice what it must be (factor 2.0000000)\n" in str(report)


def test_the_next_proposal_comes_after_the_first():
    op = spoiled(attention, lambda found, dy, y, *args: (8**-0.5 * found[0], *found[1:]))
    lines = str(nl.gradcheck(op, *QKV, rng=0)).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("perhaps: args[0]: 0.35355 times"))
    after = next(line for line in lines[first + 1 :] if not line.startswith(" "))
    assert after.startswith("or: args[0]: 0.35355 times")


@pytest.mark.slow
def test_what_holds_for_several_arrays_is_said_once():
    op = spoiled(attention, lambda found, dy, y, *args: (-found[0], -found[1], found[2]))
    text = str(nl.gradcheck(op, *QKV, rng=0))
    assert text.count("the sign is turned") == 1
    assert "perhaps: args[0], args[1]: -1 times" in text


def test_what_no_hypothesis_explains_gets_a_note_and_no_proposal():
    def spoil(found, dy, y, x, w):
        return np.reshape(normal(x.size, y.size) @ dy.ravel(), x.shape), 2 * found[1]

    report = nl.gradcheck(spoiled(linear, spoil), X, normal(3, 5), rng=0, names=["x", "w"])
    assert list(report.diagnosis) == ["w"]
    note = "no hypothesis fits; is it a consequence of what is wrong with w?"
    assert note in report["x"].notes
    assert f"\nnote: x: {note}\n" in str(report)


def test_a_verdict_is_the_same_with_and_without_a_diagnosis(monkeypatch):
    op = spoiled(linear, lambda found, dy, y, x, w: (found[0].copy(), -found[1]))
    with_diagnosis = nl.gradcheck(op, X, normal(3, 5), rng=3)
    monkeypatch.setattr("nonlocal_ref.checker.gradient_check.proposals_for", lambda *args: {})
    without = nl.gradcheck(op, X, normal(3, 5), rng=3)
    assert [(leaf.analytic, leaf.numeric, leaf.status) for leaf in with_diagnosis] == [
        (leaf.analytic, leaf.numeric, leaf.status) for leaf in without
    ]


def only_near(x0):
    def op(x):
        if np.any(np.abs(np.real(x) - x0) > 1e-3):
            msg = "too far away"
            raise ValueError(msg)
        return x * x, lambda dy: (np.sin(3 * x) * dy,)

    return op


def raising_for_unit_cotangents(x):
    def backward(dy):
        if np.count_nonzero(dy) < 3 and np.any(dy):
            msg = "not so sparse"
            raise RuntimeError(msg)
        return (np.sin(3 * x) * dy,)

    return x * x, backward


def without_value_below_zero(x):
    return np.sqrt(x), lambda dy: (x * dy,)


def nan_for_large_cotangents(x):
    return x * x, lambda dy: (np.where(np.abs(dy) > 2.5, np.nan, x * dy),)


ODD = {
    "raises farther away": (only_near(X), X),
    "raises for unit cotangents": (raising_for_unit_cotangents, X),
    "no value below zero": (without_value_below_zero, np.abs(X) + 1e-3),
    "NaN for some cotangents": (nan_for_large_cotangents, X),
    "None": (lambda x: (x * x, lambda dy: (None,)), X),
    "another shape": (lambda x: (x * x, lambda dy: (np.zeros((2, 2)),)), X),
    "one entry": (lambda x: (x * x, lambda dy: (x * dy,)), np.asarray([[1.0]])),
    "a number": (lambda x: (np.sum(x), lambda dy: (x * dy,)), X),
    "zero": (lambda x: (0 * x, lambda dy: (dy,)), X),
    "no entries beside it": (lambda x, e: (x * x, lambda dy: (x * dy, e)), X, np.zeros((0, 3))),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # operations that have no value there
def test_a_diagnosis_survives_any_operation(name):
    op, *args = ODD[name]
    assert nl.gradcheck(op, *args, rng=0).status == "wrong"


@pytest.mark.parametrize("options", [{"mode": "full"}, {"method": "central"}, {"directions": 1}, {"linear": True}])
def test_every_way_to_check_has_a_diagnosis(options):
    op = spoiled(linear, lambda found, dy, y, x, w: (found[0], -found[1]))
    assert first_names(op, X, normal(3, 5), names=["x", "w"], **options) == {"w": "constant_factor"}


def test_float32_is_diagnosed_on_its_copy():
    op = spoiled(sine, lambda found, dy, y, x: (-found[0],))
    assert first_names(op, X.astype(np.float32), names=["x"]) == {"x": "constant_factor"}


def test_an_operation_for_float32_alone_is_diagnosed_with_what_precision_it_has():
    def op(x):
        assert x.dtype == np.float32
        return x * x, lambda dy: (3 * x * dy,)

    assert first_names(op, X.astype(np.float32)) == {"x": "constant_factor"}


def test_a_dict_of_gradients_is_diagnosed_by_its_keys():
    def op(params):
        return params["a"] * params["b"], lambda dy: ({"a": dy * params["a"], "b": dy * params["b"]},)

    found = first_names(op, {"a": X, "b": X + 1})
    assert found == dict.fromkeys(["params.a", "params.b"], "another_argument")


def test_a_gradient_that_is_not_linear_in_dy_gets_no_wrong_guess():
    assert first_names(lambda x: (x * x, lambda dy: (2 * x * dy + 1,)), X) == {}


def test_an_operation_with_other_libraries_is_diagnosed():
    strict = pytest.importorskip("array_api_strict")
    op = lambda x: (x * x, lambda dy: (x * dy,))  # noqa: E731
    assert first_names(op, strict.asarray(X)) == {"x": "constant_factor"}


def random_gradients(op):
    """The operation with random gradients, linear in dy."""

    def wrong(*args):
        y = op(*args)
        return y, lambda dy: tuple(np.tensordot(dy, normal(*y.shape, *x.shape), y.ndim) for x in args)

    return wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        (lambda x, w: np.tanh(x @ w), [(2, 1, 3), (3, 3)]),
        (lambda x, w: np.tanh(x @ w).sum(axis=0), [(3, 2, 4), (4, 5)]),
        (lambda x, w, none: np.sin(x @ w), [(4, 3), (3, 3), (0, 3)]),
        (lambda x, w, b: np.sin(np.exp(x @ w.T) + b), [(3, 2, 3), (4, 3), (4,)]),
        (lambda x, gamma, beta: np.cumsum(np.sin(x * gamma) + beta, axis=0), [(6, 3), (3,), (3,)]),
        (lambda x, w, v, z: np.tanh(x @ w) @ v @ z, [(5, 4), (4, 4), (4, 4), (4, 4)]),
    ],
    ids=["an axis of one", "a sum", "nothing in it", "out first", "a scale", "three weights"],
)
def test_random_gradients_get_no_proposal(op, shapes):
    args = [normal(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    assert first_names(random_gradients(op), *args) == {}


@pytest.mark.parametrize("x", [normal(3), 1e150 * normal(2, 3), np.zeros((2, 3))], ids=["vector", "huge", "zero"])
@pytest.mark.filterwarnings("error")
def test_a_diagnosis_survives_odd_inputs_of_a_layer(x):
    op = lambda x, w: (x @ w, lambda dy: (1.001 * dy @ w.T, 0 * w))  # noqa: E731
    assert nl.gradcheck(op, x, normal(3, 3), rng=0).status == "wrong"
