"""The tutorials as the tests see them: each page a notebook with its cells, its text and its exercises."""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import jupytext

FOLDER = Path(__file__).resolve().parents[2] / "tutorials"

FOLD = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
CHECKED = re.compile(r"^(check_\w+)\((\w+)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """One exercise on a page: the cell with the check, and the solution folded below it."""

    check: str  # check_softmax
    mine: str  # my_softmax, what the page calls the learner's function
    cell: str
    solution: str
    tools: str  # the imports of the page, its functions, and the solutions before this one


@dataclass(frozen=True)
class Page:
    """A page in `tutorials`."""

    path: Path

    def __str__(self) -> str:
        return self.path.stem

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def notebook(self):
        return jupytext.reads(self.text, fmt="md:myst")

    @cached_property
    def code(self):
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @cached_property
    def prose(self) -> str:
        """The Markdown cells, without the blocks of code in them."""
        cells = [cell.source for cell in self.notebook.cells if cell.cell_type == "markdown"]
        return re.sub(r"^```.*?^```", "", "\n\n".join(cells), flags=re.DOTALL | re.MULTILINE)

    @cached_property
    def box(self) -> str:
        """What stands before the first sentence: the box at the top."""
        return self.prose.partition("</div>")[0]

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.*)$", self.prose, flags=re.MULTILINE)]

    @cached_property
    def folds(self) -> list[tuple[str, str]]:
        """Title and content of everything that is folded, in order."""
        return FOLD.findall(self.text)

    @cached_property
    def asked(self) -> list[Asked]:
        """The exercises with a check; each takes the first solution after it."""
        found: list[Asked] = []
        tools = self.tools
        starts = [*[match.start() for match in CHECKED.finditer(self.text)], len(self.text)]
        for start, end in pairwise(starts):
            check, mine = CHECKED.match(self.text, start).groups()
            cell = next(cell.source for cell in self.code if f"{check}({mine})" in cell.source)
            solution = next((body for title, body in FOLD.findall(self.text[start:end]) if "solution" in title), "")
            code = "\n".join(PYTHON.findall(solution))
            found.append(Asked(check, mine, cell, code, tools))
            tools = f"{tools}\n{code}"
        return found

    @cached_property
    def tools(self) -> str:
        """Imports and functions of the page, without what it computes and draws."""
        statements = ast.parse("\n".join(cell.source for cell in self.code)).body
        return ast.unparse([s for s in statements if isinstance(s, (ast.Import, ast.ImportFrom, ast.FunctionDef))])

    def alt_of(self, cell) -> str:
        """The alternative text of the picture that a cell draws."""
        return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")


PAGES = [Page(path) for path in sorted(FOLDER.glob("[0-9]*.md"))]
