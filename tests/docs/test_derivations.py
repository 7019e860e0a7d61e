"""The derivations quote the code as it is, and say the shape of every line."""

import re

import pytest

from tests.docs.pages import DOCS, ROOT, page_id

PAGES = sorted((DOCS / "derivations").glob("*.md"))
FORMULAS = [page for page in PAGES if page.name != "index.md"]  # the index speaks of any shape
SHAPE = re.compile(r"one number|\((?:\\dots|[A-Z]'?|2D|\{\*S\}),[^()]*(?:\([^()]*\)[^()]*)*\)")


def told(text):
    """Lines that are not empty, with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


CODE = ["\n".join(["", *told(path.read_text(encoding="utf-8")), ""]) for path in (ROOT / "nonlocal_ref").rglob("*.py")]


def quotes(page):
    return re.findall(r"^```py\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def rows(page):
    """The lines of every formula that stands by itself."""
    for formula in re.findall(r"\$\$(.*?)\$\$", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        body = re.sub(r"\\(begin|end)\{aligned\}", "", formula)
        yield from (" ".join(row.split()) for row in re.split(r"\\\\(?:\[\w+\])?", body) if row.strip())


def test_only_the_derivations_quote():
    others = [page_id(page) for page in DOCS.rglob("*.md") if "_build" not in page.parts and page not in PAGES]
    assert [page for page in others if quotes(DOCS / page)] == []
    assert all(quotes(page) for page in FORMULAS)


@pytest.mark.parametrize("page", FORMULAS, ids=page_id)
def test_what_is_quoted_stands_in_the_package_line_by_line(page):
    stale = [quote for quote in quotes(page) if not any("\n".join(["", *told(quote), ""]) in code for code in CODE)]
    assert stale == []


@pytest.mark.parametrize("page", FORMULAS, ids=page_id)
def test_every_line_of_a_formula_has_its_shapes(page):
    found = list(rows(page))
    assert found
    assert [row for row in found if not SHAPE.search(row)] == []


@pytest.mark.parametrize("page", FORMULAS, ids=page_id)
def test_a_shape_has_its_batch_axis(page):
    without_batch = re.findall(r"\((?:N|M|R), ?(?:N|M|D|E|C)\)", page.read_text(encoding="utf-8"))
    assert without_batch == [] or page.name == "linear.md"  # there the batch is among the R rows
