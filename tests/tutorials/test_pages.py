"""How every tutorial is made: what stands at its top, its headings, its pictures' texts, its exercises."""

import re
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest

import nonlocal_ref.exercises as exercises
from tests.tutorials.pages import FOLDER, PAGES, PYTHON

HEADINGS = ("What you will do", "What you will learn", "Letters and shapes", "Break it", "Exercises", "Further reading")
CODE_WIDTH = 96  # characters: what a window of 1280 pixels has room for
INSTALL = '`pip install ".[tutorials]"`'
ASKED = [pytest.param(asked, id=f"{page}-{asked.check}") for page in PAGES for asked in page.asked]


@pytest.fixture(params=PAGES, ids=str)
def page(request):
    return request.param


def test_the_pages_are_numbered_without_a_gap():
    assert [int(str(page)[:2]) for page in PAGES] == list(range(1, len(PAGES) + 1))


def test_jupyter_opens_it_as_a_notebook(page):
    assert page.notebook.metadata.jupytext.text_representation.format_name == "myst"
    assert page.notebook.metadata.kernelspec.name == "python3"
    assert page.notebook.metadata.kernelspec.language == "python"
    assert page.code


def test_it_stores_no_output(page):
    assert all(not cell.outputs and cell.execution_count is None for cell in page.code)
    assert "data:image" not in page.text
    assert "{output}" not in page.text


def test_the_box_at_the_top_says_what_is_needed(page):
    for part in (
        "**Time:**",
        "minutes",
        "**You should know:**",
        "**To open it:**",
        INSTALL,
        "**Previous:**",
        "**Next:**",
    ):
        assert part in page.box
    assert f"(path:{page.path.name})" in page.box  # the download


def test_previous_and_next_lead_to_the_neighbours(page):
    previous, following = page.box.partition("**Previous:**")[2].split("**Next:**")
    number = PAGES.index(page)
    if number > 0:
        assert f"({PAGES[number - 1].path.name})" in previous
    if number + 1 < len(PAGES):
        assert f"({PAGES[number + 1].path.name})" in following


def test_a_link_to_another_page_leads_somewhere(page):
    links = re.findall(r"\]\((?:path:)?([^):#]+\.md)[^)]*\)", page.text)
    assert not [link for link in links if not (FOLDER / link).is_file()]  # as Jupyter and a repository's page follow it


def test_it_has_the_headings_that_every_page_has(page):
    titles = [title.partition(":")[0] for level, title in page.headings if level == 2]
    assert [title for title in titles if title in HEADINGS] == list(HEADINGS)  # in this order


def test_headings_go_down_one_step_at_a_time(page):
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_picture_has_a_text_of_whole_sentences(page):
    drawing = [cell for cell in page.code if re.search(r"^(plt\.show|show)\(", cell.source, re.MULTILINE)]
    assert drawing
    for cell in drawing:
        alt = page.alt_of(cell)
        assert len(alt) > 60, cell.source
        assert alt.endswith(".")
        assert not re.search(r"\.(png|svg|jpe?g)\b", alt)


def test_everything_folded_is_closed_and_a_hint_comes_before_its_solution(page):
    assert page.text.count("<details>") == page.text.count("</details>") == len(page.folds)
    titles = [title for title, _ in page.folds]
    for number, title in enumerate(titles):
        if "solution" in title:
            assert "hint" in titles[number - 1]


def test_a_formula_ends_in_the_paragraph_it_began(page):
    for paragraph in page.prose.replace("$$", "").split("\n\n"):
        assert paragraph.count("$") % 2 == 0, paragraph


def test_it_speaks_of_no_place_on_a_computer(page):
    assert not re.search(r"/(work|tmp|home|root)/", page.text)


def test_its_code_fits_between_the_sidebars_of_a_small_screen(page):
    code = [*(cell.source for cell in page.code), *PYTHON.findall(page.text)]
    assert [line for block in code for line in block.splitlines() if len(line) > CODE_WIDTH] == []


def test_its_code_is_formatted(page, tmp_path):
    for number, cell in enumerate(page.code):
        (tmp_path / f"cell_{number}.py").write_text(cell.source + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "format", "--diff", "--config", FOLDER.parent / "pyproject.toml"]
    command += ["--line-length", str(CODE_WIDTH), tmp_path]
    formatted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr


@pytest.mark.parametrize("asked", ASKED)
def test_the_solution_on_the_page_is_right(asked):
    names: dict[str, Any] = {}
    exec(asked.tools, names)
    exec(asked.solution, names)
    result = getattr(exercises, asked.check)(names[asked.mine])
    assert result, str(result)


@pytest.mark.parametrize("asked", ASKED)
def test_the_empty_cell_says_that_it_is_still_to_be_written(asked):
    names: dict[str, Any] = {}
    exec(asked.tools, names)
    exec(asked.cell.rpartition(asked.check)[0], names)
    result = getattr(exercises, asked.check)(names[asked.mine])
    assert not result
    assert "still to be written" in str(result)
