"""What the package promises as a whole: light imports, its names, and what its equation files may use."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nonlocal_ref as nl

PACKAGE = Path(nl.__file__).parent
EQUATION_FILES = [
    "ops.py",
    "dense.py",
    "operation.py",
    "positions.py",
    "norm.py",
    "residual_block.py",
    *(f"pairwise/{path.name}" for path in sorted((PACKAGE / "pairwise").glob("*.py"))),
    *(f"exact/{path.name}" for path in sorted((PACKAGE / "exact").glob("*.py"))),
]
in_every_equation_file = pytest.mark.parametrize("file", EQUATION_FILES)


def tree_of(file):
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


def imported(file):
    """Top-level names of the packages that a file imports, wherever in it."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


# Imports


def test_importing_the_package_imports_no_heavy_library():
    heavy = ("cupy", "torch", "jax", "matplotlib", "skimage", "imageio", "PIL", "jinja2", "array_api_strict")
    code = f"import sys, nonlocal_ref; print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.strip() == "[]"


@in_every_equation_file
def test_an_equation_file_imports_no_array_library(file):
    assert (
        set(imported(file)) & {"numpy", "scipy", "cupy", "torch", "jax", "array_api_compat", "array_api_strict"}
        == set()
    )


@in_every_equation_file
def test_an_equation_file_uses_neither_einsum_nor_asarray(file):
    names = {node.attr for node in ast.walk(tree_of(file)) if isinstance(node, ast.Attribute)}
    assert not names & {"einsum", "asarray"}


@in_every_equation_file
def test_an_equation_file_assigns_to_no_part_of_an_array(file):
    stored = [
        ast.unparse(node)
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    ]
    # a dict by a key in words, and a list of arrays, are no parts of an array
    assert [target for target in stored if "['" not in target and target != "self.sums[position]"] == []


# A module of the core imports from the levels above its own.
LEVELS = [
    {"backend"},
    {"arguments"},
    {"ops"},
    {"pairwise"},
    {"dense", "exact", "params", "positions", "norm"},
    {"operation"},
    {"residual_block"},
]
CORE = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).with_suffix("").parts[0] in set().union(*LEVELS)
]
in_every_core_file = pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(PACKAGE).as_posix())


@in_every_core_file
def test_imports_point_from_simple_to_composed(path):
    modules = [node.module for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.module]
    ours = {module.split(".")[1] for module in modules if module.startswith("nonlocal_ref.")}
    place = next(n for n, level in enumerate(LEVELS) if path.relative_to(PACKAGE).with_suffix("").parts[0] in level)
    assert ours <= set().union(*LEVELS[:place]) | {path.parent.name}


# Names


def test_the_contract_is_all_there():
    contract = {
        "VARIANTS",
        "BlockConfig",
        "__version__",
        "block",
        "check_gradients",
        "gradcheck",
        "init_params",
        "non_local_means",
        "nonlocal_op",
        "param_shapes",
        "to_backend",
        "update_running_stats",
        "weights",
    }
    assert contract <= set(nl.__all__)
    assert all(hasattr(nl, name) for name in nl.__all__)


def test_all_is_sorted_and_names_nothing_twice():
    assert len(set(nl.__all__)) == len(nl.__all__)
    constants = [name for name in nl.__all__ if name.isupper()]
    classes = [name for name in nl.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in nl.__all__ if name not in constants and name not in classes]
    assert nl.__all__ == sorted(constants) + sorted(classes) + sorted(functions)


def test_the_variants_are_the_four_of_the_paper():
    assert nl.VARIANTS == ("gaussian", "embedded_gaussian", "dot_product", "concatenation")


def test_the_version_is_a_release_number():
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.dev\d+)?", nl.__version__)


def modules():
    return [module.name for module in pkgutil.walk_packages(nl.__path__, "nonlocal_ref.")]


def test_no_module_bears_the_name_of_a_public_function():
    # `import nonlocal_ref.block` would give the function
    assert not {name.partition(".")[2] for name in modules()} & set(nl.__all__)


@pytest.mark.parametrize("name", [name for name in nl.__all__ if callable(getattr(nl, name))])
def test_a_public_name_says_what_it_does_and_shows_it(name):
    doc = getattr(nl, name).__doc__
    assert doc
    if name not in {"BackendUnavailableError", "GradientError", "Plan"}:
        assert all(heading in doc for heading in ("Parameters\n", "Raises\n", "Examples\n", ">>> "))


def test_the_package_is_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_every_module_can_be_imported_alone():
    for name in modules():
        if not name.startswith(("nonlocal_ref.cli", "nonlocal_ref.__main__")):
            importlib.import_module(name)


@in_every_core_file
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree_of(path))


@in_every_core_file
def test_nothing_is_left_to_a_bare_assert(path):
    # `python -O` drops assert statements, so the package raises errors instead
    assert not [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)]
