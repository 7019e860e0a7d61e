"""What is made of a report: text, Markdown, a page, differences."""

import copy
import json
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
from nonlocal_ref.comparison.cells import Table
from nonlocal_ref.comparison.differences import differences_text
from nonlocal_ref.comparison.terminal import table_text
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


@pytest.mark.parametrize("version", [True, 1.0])
def test_a_version_that_only_equals_1_is_refused(tmp_path, version):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(small_report() | {"schema_version": version}), encoding="utf-8")
    with pytest.raises(ReportError, match=f"has schema_version {version}"):
        read_report(file)


@pytest.mark.parametrize("value", [str(10**400), "1e400", "-1", "-0.5", "true", '"3"'])
@pytest.mark.parametrize(("entries", "key"), [("rows", "ratio"), ("speed", "median_s")])
def test_a_number_that_no_ratio_or_time_can_be_is_refused(tmp_path, entries, key, value):
    report = copy.deepcopy(small_report())
    report[entries][0][key] = "HERE"
    file = tmp_path / "a.json"
    file.write_text(json.dumps(report).replace('"HERE"', value), encoding="utf-8")
    with pytest.raises(ReportError, match=f"is damaged: {entries}"):
        read_report(file)


@pytest.mark.parametrize("verdict", [1, 0.0, "yes"])
def test_a_verdict_is_true_false_or_none(tmp_path, verdict):
    report = copy.deepcopy(small_report())
    report["rows"][0]["pass"] = verdict
    file = tmp_path / "a.json"
    file.write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(ReportError, match=r"rows\[\]\.pass is not"):
        read_report(file)


def hostile_report():
    """One that tries to take over the terminal."""
    report = broken_report()
    report["rows"][0] |= {"backend": "\x1b[31mnumpy\n", "reason": "\x1b]0;title\x07 \x9b2J"}
    report["rows"][2] |= {"pass": False, "reason": "\x1b[2J\r\n"}
    report["environment"]["processor"] = "\x1b[2J"
    report["headline"] = "\x1b[2J"
    return report


@pytest.mark.parametrize("width", [None, 50])
def test_nothing_in_a_report_moves_the_cursor(width):
    report = hostile_report()
    shown = to_terminal(report, width) + differences_text(differences(small_report(), report), width)
    assert set(shown) <= {"\n", *map(chr, range(32, 127))}


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_a_report_is_no_wider_than_the_terminal(width):
    report = broken_report()
    report["environment"]["command"] = "nonlocal-ref " + 50 * "x" + " compare" * 30
    shown = to_terminal(report, width) + "\n" + differences_text(differences(small_report(), report), width)
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("width", [60, 80])
def test_a_table_that_is_broken_says_all_that_it_said(width):
    report = broken_report()
    whole, broken = (set(to_terminal(report, some).replace(":", " ").split()) for some in (None, width))
    assert whole == broken


def broken_table(heads, *rows):
    """A table of one column of words, on a terminal of 40 columns."""
    return table_text(Table("Title", [], list(heads), [list(row) for row in rows], 1), 40).splitlines()


def test_a_table_that_fits_is_one_block():
    assert broken_table(("what", "one", "two"), ("a", "1.0", "2.0")) == [
        "Title",
        "  what  one  two",
        "  a     1.0  2.0",
    ]


def test_numbers_that_do_not_fit_stand_in_blocks_each_beside_the_words():
    one, two = 20 * "o", 20 * "t"
    first, second = [f"  what  {one}", f"  a     {'1.0':>20}"], [f"  what  {two}", f"  a     {'2.0':>20}"]
    assert broken_table(("what", one, two), ("a", "1.0", "2.0")) == ["Title", *first, "", *second]


def test_numbers_without_room_beside_the_words_stand_below_them_by_name():
    one, two, words = 20 * "o", 20 * "t", 25 * "a"
    lines = broken_table(("what", one, two), (words, "1.0", "2.0"))
    assert lines == ["Title", "  what", f"  {words}", f"    {one}: 1.0", f"    {two}: 2.0"]


def test_a_report_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ReportError, match=r"cannot read 'none\.json'"):
        read_report(tmp_path / "none.json")


def test_a_folder_is_refused_by_its_name():
    with pytest.raises(ReportError, match=r"cannot read '\.'"):
        read_report(".")


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
