"""The map says what the files say of themselves, and leads to pages that speak of them."""

import ast
import re

import pytest

from tests.docs.pages import DOCS, ROOT

PACKAGE = ROOT / "nonlocal_ref"
MAP = (DOCS / "map.md").read_text(encoding="utf-8")
ENTRY = re.compile(
    r"""^(?P<name>[^\n]+)\n
    :\ (?P<line>[^\n]+)\n\n
    \ \ <a\ href="(?P<source>[^"]+)"><code>(?P<file>[\w/]+\.py)</code></a>
    (?:\ `(?P<function>\w+)`)?(?P<links>[^\n]*)$""",
    flags=re.MULTILINE | re.VERBOSE,
)
ENTRIES = [match.groupdict() for match in ENTRY.finditer(MAP)]


def docstrings(file):
    """First lines in a file: that of the module under None, that of each function under its name."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    found = {None: ast.get_docstring(tree)} | {node.name: ast.get_docstring(node) for node in functions}
    return {name: text.splitlines()[0].replace("`", "") for name, text in found.items() if text}


def entry_id(entry):
    return entry["function"] or entry["file"]


def test_every_entry_of_the_map_is_read_by_these_tests():
    assert len(ENTRIES) == MAP.count("\n: ")
    assert [int(entry["name"][1]) for entry in ENTRIES[:6]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("entry", ENTRIES, ids=entry_id)
def test_the_line_is_the_first_of_the_docstring(entry):
    assert docstrings(entry["file"])[entry["function"]] == entry["line"]


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry["line"].startswith("Eq.")], ids=entry_id)
def test_the_equation_has_the_number_that_its_file_says(entry):
    number = re.match(r"\(\d\)", entry["name"])[0]
    assert entry["line"].startswith(f"Eq. {number}")


@pytest.mark.parametrize("entry", ENTRIES, ids=entry_id)
def test_the_source_is_that_of_the_file(entry):
    anchor = f"#{entry['function']}" if entry["function"] else ""
    assert entry["source"] == f"_modules/nonlocal_ref/{entry['file'].removesuffix('.py')}.html{anchor}"


def derivation_of(entry):
    found = re.search(r"derivation: \[[^]]+\]\(([^)]+)\)", entry["links"])
    return found and DOCS / found[1]


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if derivation_of(entry)], ids=entry_id)
def test_the_derivation_names_the_file(entry):
    text = derivation_of(entry).read_text(encoding="utf-8")
    assert entry["file"] in text or (entry["function"] and f"`{entry['function']}`" in text)


def test_every_file_with_an_equation_is_on_the_map():
    files = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")]
    files = [file for file in files if not file.startswith("testing/")]  # how far an equation may be off
    with_equation = {file for file in files if docstrings(file).get(None, "").startswith("Eq. (")}
    assert with_equation <= {entry["file"] for entry in ENTRIES}


def test_every_derivation_is_on_the_map():
    pages = {page.name for page in (DOCS / "derivations").glob("*.md")}
    assert pages <= set(re.findall(r"derivations/(\w+\.md)", MAP))


def test_every_tutorial_is_on_the_map():
    assert {page.name for page in (ROOT / "tutorials").glob("*.md")} <= set(re.findall(r"tutorials/(\w+\.md)", MAP))
