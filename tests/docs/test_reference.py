"""Every public name has a place in the reference and a docstring in the form that numpydoc reads."""

import importlib.util
import inspect
import re
import warnings

import pytest

from nonlocal_ref.cli import build_parser
from tests.docs.pages import DOCS, ROOT
from tests.docs.tools import missing

MODULES = [
    "nonlocal_ref",
    *(f"nonlocal_ref.{name}" for name in ("checker", "comparison", "exercises", "machine", "testing", "vectors")),
]
OF_THE_COMMANDS = ("nonlocal_ref.comparison.", "nonlocal_ref.machine.")  # the commands are their example
PUBLIC = [f"{module}.{name}" for module in MODULES for name in importlib.import_module(module).__all__]
REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))

# what numpydoc's validation asks for that this project does otherwise, and why
NOT_ASKED = {
    "ES01",  # an extended summary: the first line is often an equation, and Notes say the rest
    "EX01",  # examples of everything: those of functions are asked for below
    "GL01",  # the docstring begins on the line of its quotes
    "GL03",  # two spaces after a full stop are no double blank lines
    "PR06",  # "bool", not "boolean": a type is said in words, with a shape
    "PR08",  # sentences that begin with a capital: many begin with a name or a symbol
    "RT03",  # a description of what is returned: a name, a type and a shape may be one
    "RT04",  # as PR08
    "SA01",  # "See Also": names in the text are links
    "SS02",  # as PR08
    "SS03",  # a first line that ends with a full stop: it may end with a colon and a formula
    "SS05",  # a first line that begins with a verb: it may begin with an equation
}


def is_defect(code, path):
    """Whether something that numpydoc misses is missing."""
    text = inspect.getdoc(look_up(path))
    if code == "PR04":  # a parameter has no type: it may have one in the function that is named
        return not re.search(r"[Aa]s in `", text)
    if code == "PR01":  # a parameter is not documented: nobody calls a class that has a docstring of attributes alone
        return "\nParameters\n" in text or inspect.isfunction(look_up(path))
    return code not in NOT_ASKED


def look_up(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


CALLABLE = [path for path in PUBLIC if callable(look_up(path))]


@pytest.fixture(scope="module")
def validate():
    """numpydoc's judgement of a docstring, by the path of the object."""
    if importlib.util.find_spec("numpydoc") is None:
        missing("numpydoc comes with the extra docs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Sphinx, while it is imported
        return importlib.import_module("numpydoc.validate").validate


@pytest.mark.slow  # the extra docs, which brings numpydoc, would make the installation for the tests slower
@pytest.mark.parametrize("path", CALLABLE)
def test_the_docstring_has_every_part(validate, path):
    assert [text for code, text in validate(path)["errors"] if is_defect(code, path)] == []


FUNCTIONS = [path for path in CALLABLE if inspect.isfunction(look_up(path)) and not path.startswith(OF_THE_COMMANDS)]


@pytest.mark.parametrize("path", FUNCTIONS)
def test_a_function_has_an_example(path):
    assert "\nExamples\n" in inspect.getdoc(look_up(path))


@pytest.mark.parametrize("path", [path for path in FUNCTIONS if ".check_" in path and ".exercises." in path])
def test_an_exercise_says_where_it_is_from(path):
    assert "\nReferences\n" in inspect.getdoc(look_up(path))


@pytest.mark.parametrize("path", PUBLIC)
def test_the_name_stands_in_the_reference(path):
    assert path == "nonlocal_ref.__version__" or is_in_the_reference(path)


def is_in_the_reference(path):
    module, _, name = path.rpartition(".")
    whole_module = f".. automodule:: {module}\n   :members:" in REFERENCE
    return whole_module or bool(re.search(rf":: (\w+\.)*{name}\b", REFERENCE))


def test_what_a_tutorial_imports_stands_in_the_reference():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "tutorials").glob("*.md"))
    found = re.findall(r"^from (nonlocal_ref[\w.]*) import (\([^)]*\)|[^\n]*)", pages, flags=re.MULTILINE)
    names = {f"{module}.{name}" for module, group in found for name in re.findall(r"\w+", group)}
    assert len(names) > 20
    assert [name for name in sorted(names) if not is_in_the_reference(name)] == []


def test_every_command_has_a_section():
    (subparsers,) = (action for action in build_parser()._actions if hasattr(action, "choices") and action.choices)
    page = (DOCS / "api" / "commands.md").read_text(encoding="utf-8")
    assert set(subparsers.choices) == set(re.findall(r"^## (\w+)$", page, flags=re.MULTILINE))
