"""Every ```python block of a page runs, in order, as it stands; ```py quotes the package, ```python3 is to be read."""

import pytest

from tests.docs.pages import PAGES, page_id, python_blocks

SLOW = {"vectors.md"}  # it writes a set of vectors, with fifty digits
WITH_PYTHON = [
    pytest.param(page, id=page_id(page), marks=pytest.mark.slow if page_id(page) in SLOW else ())
    for page in PAGES
    if any(python_blocks(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_blocks_of_a_page_run(page):
    namespace = {"__name__": page.stem}
    for code in python_blocks(page.read_text(encoding="utf-8")):
        exec(compile(code, str(page), "exec"), namespace)
