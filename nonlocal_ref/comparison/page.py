"""A report as one HTML page that loads nothing from anywhere."""

from html import escape
from typing import Any

from nonlocal_ref.comparison.cells import Table
from nonlocal_ref.comparison.headline import missing
from nonlocal_ref.comparison.pictures import roofline, time_over_size
from nonlocal_ref.comparison.tables import all_tables, opening

STYLE = """\
:root { color-scheme: light dark; --ink: #1d2327; --ground: #fff; --soft: #545d66; --line: #e3e6e8; --rule: #b8bfc5;
  --good: #23683f; --good-ground: #f3f8f4; --bad: #b3261e; --bad-ground: #fcf2f1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e6e8; --ground: #16191c; --soft: #a3acb4; --line: #2d3338;
  --rule: #5a646d; --good: #7ccf9b; --good-ground: #17261d; --bad: #ff9d94; --bad-ground: #2f1a19; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); }
body { margin: 2rem auto; max-width: 78rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .2rem; }
.lead { font-size: 1.05rem; border-left: 4px solid var(--good); padding: .3rem .8rem; background: var(--good-ground); }
.lead { overflow-wrap: anywhere; } .lead.bad { border-color: var(--bad); background: var(--bad-ground); }
.lead.part { border-color: var(--rule); background: none; }
p.note { color: var(--soft); margin: .2rem 0 .5rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid var(--rule); } .w { text-align: left; }
.wide td { white-space: normal; text-align: left; overflow-wrap: anywhere; } .wide td:first-child { min-width: 6rem; }
.fail { color: var(--bad); font-weight: 600; } .pass { color: var(--good); }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
.pictures svg { width: 27rem; max-width: 100%; height: auto; }
svg { font: 11px system-ui, sans-serif; fill: var(--ink); } svg .title { font-weight: 600; }
svg .grid { stroke: var(--line); }
"""


def to_html(report: dict[str, Any]) -> str:
    """The report as a page.

    Parameters
    ----------
    report : dict
        What `compare` returned, or `read_report`.

    Returns
    -------
    str
        HTML with its style and its pictures inside.
    """
    tables = all_tables(report)
    before, after = (
        [table_html(table) for table in tables if (table.title in {"Accuracy", "Failed or not tried"}) is early]
        for early in (True, False)
    )
    whole = report["complete"] and not missing(report["rows"]) and not report.get("left_out")
    mood = "lead bad" if not report["ok"] else "lead" if whole else "lead part"
    lead = "".join(f'<p class="{mood}">{escape(line)}</p>' for line in opening(report))
    body = [
        *(f"<h1>nonlocal-ref compare</h1>{lead}", *before),
        pictures_html("Time over size", time_over_size(report)),
        pictures_html("Roofline", roofline(report)),
        *after,
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>nonlocal-ref compare</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>\n{STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(part for part in body if part)}\n</body>\n</html>\n"
    )


def pictures_html(title: str, drawn: list[str]) -> str:
    """Pictures side by side, if there are any."""
    return f'<h2>{title}</h2>\n<div class="pictures">{"".join(drawn)}</div>' if drawn else ""


def table_html(table: Table) -> str:
    """A heading, a note, a table."""
    note = f'<p class="note">{escape(" ".join(table.notes))}</p>' if table.notes else ""
    kinds = ["w" if place < table.words else "" for place in range(len(table.columns))]
    head = "".join(f'<th class="{kind}">{escape(cell)}</th>' for kind, cell in zip(kinds, table.columns, strict=True))
    heads = f"<tr>{head}</tr>" if any(table.columns) else ""
    rows = "".join(
        f"<tr>{''.join(cell_html(cell, kind) for cell, kind in zip(row, kinds, strict=True))}</tr>"
        for row in table.rows
    )
    wide = "" if any(table.columns) else ' class="wide"'
    return f'<h2>{table.title}</h2>{note}\n<div class="scroll" tabindex="0"><table{wide}>{heads}{rows}</table></div>'


def cell_html(cell: str, kind: str) -> str:
    """Failures stand out."""
    mood = "fail" if cell == "FAIL" or cell.endswith("!") else "pass" if cell == "PASS" else ""
    return f'<td class="{" ".join(word for word in (kind, mood) if word)}">{escape(cell)}</td>'
