"""Both languages of the glossary name the same things in the same order."""

import re

import pytest

from tests.docs.pages import DOCS

ROWS = re.findall(r"^\| (.+?) \| (\[.+?) \| .+ \|$", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
TERMS = [(english, japanese) for english, japanese in ROWS if english != "English"]


def test_the_rows_are_found():
    assert len(TERMS) > 70


@pytest.mark.parametrize(("english", "japanese"), TERMS, ids=[english for english, _ in TERMS])
def test_a_semicolon_stands_between_different_things_and_nowhere_else(english, japanese):
    assert english.count("; ") == japanese.count("; ")
    assert not re.search(r"\w, \w", english)
