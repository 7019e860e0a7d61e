"""What docs/conf.py does to a page on its way: no word of it gets lost, no line is torn."""

import importlib.util

import pytest

from tests.docs.pages import DOCS
from tests.docs.tools import missing


@pytest.fixture(scope="module")
def conf():
    if importlib.util.find_spec("myst_nb") is None:
        missing("MyST-NB comes with the extra docs")
    spec = importlib.util.spec_from_file_location("conf", DOCS / "conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def paragraph(*parts):
    """A paragraph of words and, between dollars, formulas."""
    from docutils import nodes
    from docutils.utils import new_document

    document = new_document("page")
    children = [nodes.math("", part.strip("$")) if part.startswith("$") else nodes.Text(part) for part in parts]
    document += nodes.paragraph("", "", *children)
    return document


@pytest.mark.parametrize(
    "parts",
    [
        ("from ", "$a$", ", ", "$b$", ", ", "$c$", " and ", "$d$", "."),
        ("the ", "$a$", ", the ", "$b$", ", the ", "$a$", ", the ", "$b$", "."),
        ("$a$", ": one. ", "$a$", ": one. ", "$a$", " more"),
    ],
)
def test_every_mark_stays_behind_its_formula(conf, parts):
    document = paragraph(*parts)
    conf.keep_together(None, document)
    assert document.astext() == "".join(parts).replace("$", "")


def test_a_formula_and_its_mark_are_one(conf):
    from docutils import nodes

    document = paragraph("from ", "$a$", ", ", "$b$", ", and more")
    conf.keep_together(None, document)
    assert [node.astext() for node in document.findall(nodes.inline)] == ["a,", "b,"]


@pytest.mark.parametrize(
    ("formula", "short"),
    [
        (r"\sigma = 0", True),
        ("f(-h)", True),
        (r"\mathtt{w\_theta} \cdot \theta_i", True),
        (r"y_i = \sum_j \mathtt{weights}_{ij}\, g_j = \sum_j f(x_i, x_j)\, g(x_j) / C(x)", False),
    ],
)
def test_a_short_formula_is_not_broken(conf, formula, short):
    from docutils import nodes

    document = paragraph("see ", f"${formula}$", " here")
    conf.keep_together(None, document)
    (found,) = document.findall(nodes.math)
    assert ("short" in found["classes"]) == short


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


@pytest.mark.parametrize("cuts", [(), (1,), (17,), (18,), (18, 19), (5, 18, 30), tuple(range(1, 30))])
def test_what_is_printed_is_put_together_as_it_came(conf, cuts):
    text = "with the default: wrong\n\n  1, 2, 3\nend"
    pieces = [text[a:b] for a, b in zip((0, *cuts), (*cuts, len(text)), strict=True)]
    joined = conf.join_streams([stream(piece) for piece in pieces])
    assert [output["text"] for output in joined] == [text]


def test_a_picture_between_printed_lines_stays_a_picture(conf):
    picture = {"output_type": "display_data", "data": {}}
    joined = conf.join_streams([stream("a"), picture, stream("x", "stderr"), stream("b\n")])
    assert joined == [stream("ab\n"), picture, stream("x", "stderr")]


def test_a_picture_that_a_cell_draws_has_a_box(conf):
    drawn, kept = f'<img alt="a >b" src="../_images/{"0f" * 32}.png" />', '<img src="_images/one_pixel.png" />'
    context = {"body": f"<pre></pre>\n{drawn}\n{kept}"}
    conf.frame_pictures(None, "page", "page.html", context, None)
    assert context["body"] == f'<pre></pre>\n<div class="output picture">{drawn}</div>\n{kept}'


def test_this_is_what_the_pages_are_made_with(conf):
    from myst_nb.core import render

    assert render.coalesce_streams is conf.join_streams
