"""What is made of a report: text, Markdown, a page, differences."""

import copy
import re
from html.parser import HTMLParser

import pytest

from nonlocal_ref.comparison import (
    ReportError,
    differences,
    read_report,
    to_html,
    to_json,
    to_markdown,
    to_terminal,
)
from nonlocal_ref.comparison.differences import differences_text
from tests.comparison.helpers import small_report

HEADINGS = ["Accuracy", "Speed", "Ceilings", "Memory", "Environment"]


def broken_report():
    """One row fails, one was not tried; the GPU was there."""
    report = copy.deepcopy(small_report())
    report["rows"][0] |= {"pass": False, "ratio": 1e4}
    report["rows"][1] |= {"pass": None, "ratio": None, "stage": "run", "reason": "does not fit | <b>"}
    report["gpu"] = {"found": True, "name": "GPU", "reason": ""}
    return report


def test_the_terminal_shows_accuracy_first_and_says_so_without_a_gpu():
    report = small_report()
    text = to_terminal(report)
    assert text.isascii()
    places = [text.index(f"\n{heading}\n") for heading in HEADINGS]
    assert places == sorted(places)
    if not report["gpu"]["found"]:
        assert text.startswith("No GPU found: ")
    assert text.count("PASS") == 8


def test_what_failed_stands_out_everywhere():
    report = broken_report()
    assert to_terminal(report).startswith(report["headline"])
    for text in (to_terminal(report), to_markdown(report), to_html(report)):
        assert "Failed or not tried" in text
        assert "1.0e+04!" in text
        assert "FAIL" in text


def test_markdown_has_tables_with_as_many_cells_in_every_row():
    text = to_markdown(broken_report())
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
    assert "\\<b>" in text


class Tags(HTMLParser):
    """Every tag is closed; nothing is loaded."""

    def __init__(self):
        super().__init__()
        self.open, self.loads = [], []

    def handle_starttag(self, tag, attributes):
        self.loads += [value for name, value in attributes if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing():
    tags = Tags()
    page = to_html(broken_report())
    tags.feed(re.sub(r"<(\w+)([^<>]*)/>", r"<\1\2></\1>", page))
    assert (tags.open, tags.loads) == ([], [])
    assert "http" not in page
    assert "<svg" in page
    assert "<b>" not in page


def test_a_report_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(to_json(small_report()), encoding="utf-8")
    assert read_report(file) == small_report()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"ratio": NaN}', "is not JSON"),
        (b"[]", "is no report"),
        (b'{"schema": "something else"}', "is no report"),
        (b'{"schema": "nonlocal_ref compare", "schema_version": 2}', "has schema_version 2, this program reads 1"),
        (b'{"schema": "nonlocal_ref compare", "schema_version": 1, "rows": 5}', "is damaged: rows"),
        (b'{"schema": "nonlocal_ref compare", "schema_version": 1, "rows": [{}]}', "is damaged: rows"),
        (
            b'{"schema": "nonlocal_ref compare", "schema_version": 1, "rows": [], "speed": []}',
            "is damaged: environment",
        ),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path, content, message):
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(ReportError, match=re.escape(message)):
        read_report(file)


def test_a_report_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ReportError, match=r"cannot read 'none\.json'"):
        read_report(tmp_path / "none.json")


def test_a_report_does_not_differ_from_itself():
    found = differences(small_report(), small_report())
    assert found["common"] == len(small_report()["rows"])
    assert [found[name] for name in ("verdicts", "ratios", "speed", "only_before", "only_after", "environment")] == [
        []
    ] * 6


def test_differences_name_verdicts_ratios_times_and_rows_of_one_alone():
    before, after = copy.deepcopy(small_report()), broken_report()
    after["speed"][0]["median_s"] *= 3
    after["environment"]["processor"] = "another"
    found = differences(before, after)
    assert [change["after"] for change in found["verdicts"]] == [False]
    assert [change["after"] for change in found["ratios"]] == [1e4]
    assert len(found["speed"]) == len(found["only_before"]) == len(found["only_after"]) == 1
    assert [change["what"] for change in found["environment"]] == ["processor"]
    assert found["failing"] == 1
    text = differences_text(found)
    assert text.startswith(
        f"1 of {found['common']} common rows changed their verdict; 1 rows of the second report fail."
    )
    assert text.isascii()
