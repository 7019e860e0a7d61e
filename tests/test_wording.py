"""What several reports say in the same words."""

import numpy as np
import pytest

from nonlocal_ref.wording import WIDTH, columns, first_not_finite, kind, sentence


class Strange:
    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (None, "None"),
        ((1, 2), "a tuple of 2"),
        ([], "a list of 0"),
        (np.zeros((2, 0)), "an array of shape (2, 0)"),
        (np.float64(1), "a float64"),
        (1, "an int"),
        ("text", "a str"),
    ],
)
def test_what_something_is(x, words):
    assert kind(x) == words


def test_what_an_object_is_whose_attributes_all_raise():
    assert kind(Strange()) == "a Strange"


def test_the_first_entry_that_is_not_finite():
    assert first_not_finite(np.asarray([[1.0, 2.0], [np.inf, np.nan]])) == "inf at [1, 0]"


def test_a_table_lines_up_words_to_the_left_and_numbers_to_the_right():
    assert columns([("name", "size"), ("x", "10"), ("gamma", "1")], {1}) == [
        "name   size",
        "x        10",
        "gamma     1",
    ]


def test_a_long_sentence_stands_under_its_first_word():
    lines = sentence("note: ", "word " * 40).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].startswith("note: word")
    assert all(line.startswith("      word") for line in lines[1:])
