"""Where the pages are, and what is in them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if not {"_build", "tutorials"} & set(page.parts))


def page_id(page):
    return page.relative_to(DOCS).as_posix()


def python_blocks(text):
    """The code of each ```python block, with as many empty lines before it as make its line numbers true."""
    for block in re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        yield "\n" * text.count("\n", 0, block.start(1)) + block[1]
