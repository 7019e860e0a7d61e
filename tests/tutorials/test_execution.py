"""Every tutorial runs from its first cell to its last as a notebook, in a folder of its own.

`pytest --nbmake` runs the notebook; what it leaves is looked at here. `pytest` alone runs the quickest page;
`pytest -m "" tests/tutorials` runs them all.
"""

import os
import subprocess
import sys

import jupytext
import nbformat
import pytest

from tests.tutorials.pages import PAGES

QUICK = "03_four_ways_to_compare"  # no long loops, and it calls every variant
LONGEST = 2 * 60  # seconds of work for a page: a minute on two cores, however busy they are
STUCK = 600  # seconds for a cell
NBMAKE = ("-m", "pytest", "-q", "--nbmake", "--overwrite", f"--nbmake-timeout={STUCK}")


def seconds_of_work():
    """Processor time of the programs that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def run(page, folder):
    """The notebook with its outputs, and the seconds of work it took."""
    path = folder / f"{page}.ipynb"
    jupytext.write(page.notebook, path)
    before = seconds_of_work()
    command = [sys.executable, *NBMAKE, path.name]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return nbformat.read(path, as_version=4), seconds_of_work() - before


def look_at(page, notebook, seconds):
    """What must be true of every page that has run."""
    pictures = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.text
            if "image/png" in output.get("data", {}):
                pictures += 1
                assert page.alt_of(cell), cell.source
    assert pictures > 0
    assert seconds < LONGEST


@pytest.mark.parametrize("page", [page for page in PAGES if str(page) == QUICK], ids=str)
def test_the_quick_page_runs(page, tmp_path):
    look_at(page, *run(page, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_it_runs(page, tmp_path):
    look_at(page, *run(page, tmp_path))
