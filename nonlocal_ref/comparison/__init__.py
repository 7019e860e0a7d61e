"""One source, several machines: are the numbers the same, what is faster from which size on, what memory does it take.

what is compared                        cases.py
where                                   devices.py
the right numbers                       oracle.py
one case on one backend                 one_case.py; measurement.py
all of it                               comparing.py, `compare`
the answer in one line                  headline.py
from the report to something to read    terminal.py, markdown.py, page.py
                                        (tables.py, accuracy_tables.py, cost_tables.py and cells.py have what these
                                        share, pictures.py the SVG)
two reports                             report_file.py; differences.py
"""

from nonlocal_ref.comparison.comparing import compare
from nonlocal_ref.comparison.differences import differences
from nonlocal_ref.comparison.markdown import to_markdown
from nonlocal_ref.comparison.page import to_html
from nonlocal_ref.comparison.report_file import ReportError, read_report, to_json
from nonlocal_ref.comparison.terminal import to_terminal

__all__ = [
    "ReportError",
    "compare",
    "differences",
    "read_report",
    "to_html",
    "to_json",
    "to_markdown",
    "to_terminal",
]
