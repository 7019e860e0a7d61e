"""The site: ``sphinx-build -n -W docs OUT`` builds all of it, and what it builds needs no network to be read."""

import hashlib
import inspect
import posixpath
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import myst_nb.core.render
import numpy
from docutils import nodes
from sphinx.environment import BuildEnvironment

import nonlocal_ref

HERE = Path(__file__).resolve().parent

project = "nonlocal_ref"
copyright = "the nonlocal_ref developers"
version = release = nonlocal_ref.__version__
language = "en"
default_role = "py:obj"

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]

# ---- pages and notebooks

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "force"  # outputs are those of the code as it is; see state_of_the_code for what is built again
nb_execution_raise_on_error = True
nb_execution_timeout = 120  # seconds a cell
nb_output_stderr = "remove"  # progress bars
nb_merge_streams = True  # what a cell prints is one block, however it was sent: see join_streams
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---- reference

autodoc_typehints = "none"  # numpydoc says types in words, with shapes
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
# named in docstrings, but without an entry of their own
nitpick_ignore = [("py:obj", name) for name in ("BACKENDS", "nonlocal_ref.checker.verdict", "scale", "subsample")]
add_module_names = False
toc_object_entries_show_parents = "hide"

# ---- look

html_theme = "pydata_sphinx_theme"
html_title = "nonlocal_ref"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = html_logo = "_static/mark.svg"
html_context = {"default_mode": "auto"}
html_sourcelink_suffix = ""
html_sidebars = {"index": [], "map": [], "changelog": []}  # these have no pages below them
html_show_sphinx = False
html_domain_indices = False
html_theme_options = {
    "logo": {"text": "nonlocal_ref", "alt_text": ""},
    "header_links_before_dropdown": 7,
    "navbar_end": ["search-field", "theme-switcher"],
    "navbar_persistent": [],
    "search_bar_text": "Search",
    "secondary_sidebar_items": ["page-toc", "sourcelink"],
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}

# ---- mathematics, without a network: the reader's browser gets MathJax from the site itself

MATHJAX = {  # archive that `npm pack` brings: its checksum, and what the site needs of it
    "@mathjax/mathjax-tex-font@4.1.3": (  # MathJax with all characters of its font in one file
        "98eaefe05263ca997f42973701b2888ec395d666d4bc26e2cd8b7a51f0decb01",
        ["tex-mml-svg-mathjax-tex.js"],
    ),
    "mathjax@4.1.3": (
        "b7109f516f3d842de62b95d653e35fa0976dc223706a2a77440e7f7723f0c54d",
        ["a11y/assistive-mml.js", "LICENSE"],
    ),
}

mathjax_path = "mathjax/tex-mml-svg-mathjax-tex.js"
mathjax4_config = {
    "options": {  # no speech engine, which would be fetched; screen readers get the hidden MathML
        "enableSpeech": False,
        "enableBraille": False,
        "enableEnrichment": False,
        "enableExplorer": False,
        "menuOptions": {
            "settings": {
                "speech": False,
                "braille": False,
                "enrich": False,
                "collapsible": False,
                "assistiveMml": True,
            }
        },
    }
}


def add_mathjax(app, config):
    """Put mathjax/ among the static files; `npm pack` brings it when it is not there yet."""
    folder = HERE / "_build" / hashlib.sha256(repr(MATHJAX).encode()).hexdigest()[:12]
    if not folder.is_dir():
        bring_mathjax(folder)
    config.html_static_path.append(str(folder))


def bring_mathjax(folder):
    npm = shutil.which("npm")
    if npm is None:
        msg = "docs/conf.py: no npm to fetch MathJax with, which draws the formulas; Debian: apt-get install npm"
        raise SystemExit(msg)
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for name, (checksum, wanted) in MATHJAX.items():
            unpack(npm, name, checksum, wanted, Path(scratch))
        (Path(scratch) / "ready").rename(folder)


def unpack(npm, name, checksum, wanted, scratch):
    """Put some files of an npm package into scratch/ready/mathjax/."""
    command = [npm, "pack", "--silent", name]
    packed = subprocess.run(command, cwd=scratch, stdout=subprocess.PIPE, text=True, check=False)
    if packed.returncode != 0:
        msg = f"docs/conf.py: `npm pack {name}` failed; the first build needs a network"
        raise SystemExit(msg)
    archive = scratch / packed.stdout.strip()
    if hashlib.sha256(archive.read_bytes()).hexdigest() != checksum:
        msg = f"docs/conf.py: {archive.name} is not the {name} that was pinned: its checksum differs"
        raise SystemExit(msg)
    with tarfile.open(archive) as files:
        files.extractall(scratch, filter="data")
    for file in wanted:
        target = scratch / "ready" / "mathjax" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        (scratch / "package" / file).rename(target)


# ---- docstrings are written to be read in the code: |x| and *S are what they look like, `x` is a parameter or a link


def read_as_written(app, what, name, obj, options, lines):
    """Keep reStructuredText from reading |P|² as a substitution, (B, *S) as emphasis, `h` as a link."""
    if what == "module":
        lines.clear()  # the page has its own introduction
    parameters = inspect.signature(obj).parameters if what in ("function", "method", "class") else ()

    def escape(found):
        if found[0] in ("|", "*"):
            return "\\" + found[0]
        return f"`{found[0]}`" if found[1] in parameters else found[0]

    in_example = False
    for number, line in enumerate(lines):
        in_example = line.lstrip().startswith(">>>") or (in_example and line.strip() != "")
        if not in_example:
            lines[number] = re.sub(r"``.*?``|`(.*?)`|(?<=[ (])\*(?=[\w(])|\|", escape, line)


def skip_unexplained(app, what, name, obj, skip, options):
    """Leave out the fields of named tuples that have no docstring of their own; the class explains them."""
    return True if str(obj.__doc__).startswith("Alias for field number") else None


# ---- what a cell prints arrives in pieces, cut anywhere: they are put together as they came


def join_streams(outputs):
    """One output for all that a cell prints.  MyST-NB's own function begins a new line after every piece."""
    printed, joined = {}, []
    for output in outputs:
        first = printed.get(output["name"]) if output["output_type"] == "stream" else None
        if first is not None:
            first["text"] += output["text"]
            continue
        joined.append(output)
        if output["output_type"] == "stream":
            printed[output["name"]] = output
    return joined


if not hasattr(myst_nb.core.render, "coalesce_streams"):
    msg = "docs/conf.py: this MyST-NB puts printed lines together elsewhere; join_streams must go there"
    raise RuntimeError(msg)
myst_nb.core.render.coalesce_streams = join_streams


# ---- a line does not begin with the full stop after a formula, and does not end inside a short one

LONGEST_IN_A_LINE = 24  # signs of a formula that is not broken: half of a phone's width


def keep_together(app, doctree):
    """Put each formula and the punctuation after it where lines do not break; inside a long formula they still do."""
    for formula in list(doctree.findall(nodes.math)):
        if signs(formula.astext()) <= LONGEST_IN_A_LINE:
            formula["classes"].append("short")
        text = formula.next_node(siblings=True, descend=False)
        mark = re.match(r"[.,;:!?)\]]+", text) if isinstance(text, nodes.Text) else None
        if mark:
            parent = formula.parent
            # by place: `replace` looks for an equal node, and the same words may stand earlier in the paragraph
            place = next(number for number, child in enumerate(parent) if child is formula)
            together = nodes.inline("", "", formula, nodes.Text(mark[0]), classes=["together"])
            parent[place : place + 2] = [together, nodes.Text(text[mark.end() :])]


def signs(formula):
    """How many signs are seen of a formula in TeX, about."""
    return len(re.sub(r"[\s{}^_]", "", re.sub(r"\\([A-Za-z]+|.)", "x", formula)))


# ---- docs/tutorials is a symbolic link to ../tutorials, where Jupyter opens them: from there, pages are at ../docs/...


def relfn2path(env, filename, docname=None, original=BuildEnvironment.relfn2path):
    """The original follows the link, and then finds no page there."""
    if str(filename).startswith("/"):
        return original(env, filename, docname)
    relative = posixpath.normpath(posixpath.join(posixpath.dirname(docname or env.docname), filename))
    relative = relative.removeprefix("docs/")
    return relative, str(HERE / relative)


BuildEnvironment.relfn2path = relfn2path


# ---- a folded cell is called what is written on it, for a screen reader as well


def name_folds(app, pagename, templatename, context, doctree):
    """Drop the label that says another thing than the words which are seen."""
    if "body" in context:
        context["body"] = context["body"].replace('<summary aria-label="Toggle hidden content">', "<summary>")


# ---- a picture that is wider than a phone is moved sidewards, by the keyboard too: the theme sees to that in .output


def frame_pictures(app, pagename, templatename, context, doctree):
    """Put each picture that a cell draws into a box of its own."""
    if "body" in context:
        drawn = r'<img (?:[\w-]+="[^"]*" )*src="[^"]*_images/[0-9a-f]{64}\.png"(?: [\w-]+="[^"]*")* ?/>'
        context["body"] = re.sub(drawn, r'<div class="output picture">\g<0></div>', context["body"])


# ---- a page whose text did not change is built again all the same when the code did that it runs and describes


def state_of_the_code(package=HERE.parent / "nonlocal_ref"):
    """A checksum of what the notebooks run."""
    found = hashlib.sha256(numpy.__version__.encode())
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\n" + path.read_bytes())
    return found.hexdigest()


def setup(app):
    app.add_config_value("the_code", state_of_the_code(), "env", types=[str])
    app.connect("config-inited", add_mathjax)
    app.connect("doctree-read", keep_together)
    app.connect("html-page-context", name_folds)
    app.connect("html-page-context", frame_pictures)
    app.connect("autodoc-skip-member", skip_unexplained)
    app.connect("autodoc-process-docstring", read_as_written, priority=100)  # before numpydoc
