"""Whatever a learner hands in is explained: nothing raises, nothing warns, nothing is true that is not right."""

import warnings

import numpy as np
import pytest

from nonlocal_ref.exercises import check_linear, check_multiply_adds, check_relu, check_softmax
from nonlocal_ref.exercises.ladder import climb
from nonlocal_ref.ops import relu, softmax
from tests.exercises.test_exercises import EXERCISES


class Strange:
    """An object that answers every question with an error."""

    def __call__(self, *args):
        return self

    def __getattr__(self, name):
        raise RuntimeError(name)


def unwritten(*args):
    raise NotImplementedError


def unfinished(*args): ...


def backward_unfinished(*args):
    return args[0], lambda dy: None


def ragged(*args):
    return [[1.0], [1.0, 2.0]], lambda dy: ([1.0],)


def divides_by_zero(*args):
    return args[0] / 0, lambda dy: (dy / 0,)


def changes_everything(*args):
    for x in args:
        if isinstance(x, np.ndarray):
            x[...] = np.nan
    return args[0], lambda dy: (dy,)


HANDED_IN = {
    "None": None,
    "number": 3,
    "array": np.ones(2),
    "string": "softmax",
    "class": Strange,
    "object": Strange(),
    "not yet written": unwritten,
    "without return": unfinished,
    "backward without return": backward_unfinished,
    "too few arguments": lambda: None,
    "array alone": lambda *args: np.ones((1, 1, 2)),
    "list": lambda *args: [1.0, 2.0],
    "ragged": ragged,
    "objects": lambda *args: (np.asarray([None, "a"], dtype=object), lambda dy: (dy,)),
    "complex": lambda *args: (np.ones((1, 1, 2)) * 1j, lambda dy: (dy,)),
    "integers": lambda *args: (np.ones((1, 1, 2), dtype=int), lambda dy: (dy,)),
    "NaN": lambda *args: (np.full((1, 1, 2), np.nan), lambda dy: (dy,)),
    "empty": lambda *args: (np.ones(0), lambda dy: (dy,)),
    "masked": lambda *args: (np.ma.ones((1, 1, 2)), lambda dy: (dy,)),
    "no backward": lambda *args: (args[0], None),
    "zero division": divides_by_zero,
    "changes its inputs": changes_everything,
    "raises": lambda *args: args[0].nothing,
    "recursion": lambda *args: (lambda f: f(f))(lambda f: f(f)),
}


@pytest.mark.parametrize("handed_in", HANDED_IN.values(), ids=HANDED_IN.keys())
def test_anything_is_explained_by_every_exercise(handed_in):
    for name, exercise in EXERCISES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = climb(exercise, handed_in)
        assert not result
        assert str(result).startswith(f"{name}: not yet.")
        assert len(str(result)) > 40


def test_a_cell_that_is_still_empty_says_what_to_write():
    text = str(check_softmax(unwritten))
    assert "still to be written: p, backward = softmax(scores)" in text
    assert "smallest input" not in text


@pytest.mark.parametrize(
    ("answer", "name", "words"),
    [
        (None, "not_callable", "Hand in the function itself"),
        (lambda x: None, "none", "is there a `return`?"),
        (lambda x: relu(x)[0], "not_a_pair", "the value and the way back"),
        (lambda x: (relu(x)[0], relu(x)[0]), "no_backward", "must be a function"),
        (lambda x: (relu(x)[0], lambda dy: None), "backward_none", "backward returned None"),
        (lambda x: (relu(x)[0], lambda dy: dy * (x > 0)), "not_a_tuple", "the comma makes the tuple"),
        (lambda x: (relu(x)[0], lambda dy: (dy, dy)), "wrong_number", "backward returned 2 gradients"),
        (lambda x: (relu(x)[0].tolist(), None), "not_an_array", "np.asarray(y)"),
        (lambda x: (relu(x)[0].astype("float32"), None), "wrong_dtype", "float32; it must be float64"),
        (lambda x: (relu(x)[0], lambda dy: (None,)), "is_none", "dx is None"),
        (lambda x: (relu(x)[0], lambda dy: (dy[0],)), "not_an_array_or_shape", "shape"),
        (lambda x, y: None, "raised", "missing 1 required positional argument"),
    ],
)
def test_each_kind_of_trouble_has_its_words(answer, name, words):
    result = check_relu(answer)
    assert not result
    assert words in " ".join(str(result).split())
    assert result.hints[0].name == name or name.endswith("shape")


def test_the_line_that_raised_is_named():
    def mine(scores):
        p, _ = softmax(scores)
        return p, lambda dp: (p @ dp @ p,)

    told = " ".join(str(check_softmax(mine)).split())
    line = mine.__code__.co_firstlineno + 2
    assert f"test_anything_handed_in.py line {line}: `return p, lambda dp: (p @ dp @ p,)`)" in told


def test_a_plain_function_with_a_way_back_is_told_to_be_plain():
    assert check_multiply_adds(lambda N, M, C, D: (1, None)).hints[0].name == "not_plain"
    assert check_multiply_adds(lambda N, M, C, D: "many").hints[0].name == "not_a_number"
    assert check_multiply_adds(lambda N, M, C, D: np.asarray(4 * N * C * D + 2 * N * M * D))


def test_gradients_in_the_wrong_places_are_found():
    def mine(x, weight, bias):
        rows = x.reshape(-1, x.shape[-1])

        def backward(dy):
            flat = dy.reshape(-1, dy.shape[-1])
            return (flat @ weight).reshape(x.shape), flat.T @ rows + 1, flat.sum(axis=0)

        return x @ weight.T + bias, backward

    result = check_linear(mine)
    assert "So are dx and dbias" in str(result)
