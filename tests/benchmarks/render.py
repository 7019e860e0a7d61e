"""From the JSON to what people read: tables, for the terminal and for the page."""

import re
from typing import NamedTuple

from tests.benchmarks import targets
from tests.benchmarks.cases import TITLES
from tests.benchmarks.growth import extra_bytes

NONE = "–"
NAMES = {"auto": "nonlocal_ref", "dense": "dense", "fast": "fast form", "literal": "repeat + cat", "eager": "eager"}
NAMES |= {"sdpa": "SDPA", "limit": "limit", "torch": "PyTorch"}
COLUMNS = {
    "softmax": ("auto", "dense", "eager", "sdpa", "limit"),
    "dot_product": ("auto", "dense", "eager", "limit"),
    "concatenation": ("auto", "dense", "literal", "eager", "limit"),
}
RATIOS = {
    "softmax": {
        "÷ faster peer": ("eager", "sdpa"),
        "÷ eager": ("eager",),
        "÷ limit": ("limit",),
    },
    "dot_product": {"÷ eager": ("eager",), "÷ limit": ("limit",)},
    "concatenation": {"÷ repeat + cat": ("literal",), "÷ eager": ("eager",), "÷ limit": ("limit",)},
}


class Table(NamedTuple):
    """Rows of words under a header; the first ``words`` columns stand to the left, numbers to the right."""

    title: str
    header: list[str]
    rows: list[list[str]]
    words: int = 1

    def text(self):
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]

        def line(row):
            left = [word.ljust(width) for word, width in zip(row[: self.words], widths, strict=False)]
            right = [word.rjust(width) for word, width in zip(row[self.words :], widths[self.words :], strict=True)]
            return "  ".join([*left, *right]).rstrip()

        return "\n".join([self.title, line(self.header), *map(line, self.rows)])

    def markdown(self):
        def line(row):
            return f"| {' | '.join(row)} |"

        rule = ["---"] * self.words + ["---:"] * (len(self.header) - self.words)
        return "\n".join([line(self.header), line(rule), *map(line, self.rows)])


def number(value, digits=3):
    """Three significant digits, without an exponent where that is readable."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace(",", " ")
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:.6f}".rstrip("0")


def milliseconds(entry):
    if entry is None:
        return NONE
    if "median" not in entry:
        needs = re.search(r"needs .*", entry.get("skipped", ""))
        return needs.group() if needs else NONE
    return number(1e3 * entry["median"])


def mib(value):
    return NONE if value is None else number(value / 2**20)


def size_of(cell):
    return f"{cell['B']} × {cell['N']} × {cell['M']}, {cell['D']}"


def operations_table(report, kind):
    """Medians in milliseconds and ratios of medians, one row a size."""
    cells = [cell for cell in report["operations"] if cell["kind"] == kind]
    ratios = [[targets.ratio(cell, "auto", *peers) for cell in cells] for peers in RATIOS[kind].values()]
    rows = []
    for n, cell in enumerate(cells):
        times = [milliseconds(cell["candidates"].get(name)) for name in COLUMNS[kind]]
        error = number(cell["candidates"]["auto"].get("error_ratio"), 2)
        rows.append([size_of(cell), cell["plan"]["method"], *times, *(number(column[n]) for column in ratios), error])
    if len(cells) > 1:
        means = [number(targets.geometric_mean(column)) for column in ratios]
        rows.append(["geometric mean", "", *[""] * len(COLUMNS[kind]), *means, ""])
    header = ["B × N × M, D = E", "form", *(NAMES[name] for name in COLUMNS[kind]), *RATIOS[kind], "error ratio"]
    return Table(f"{TITLES[kind]}: forward + backward, ms", header, rows, words=2)


def details_table(report, kind):
    """Everything measured about every candidate, one row each."""
    rows = []
    for cell in report["operations"]:
        if cell["kind"] != kind:
            continue
        for name, entry in cell["candidates"].items():
            where = size_of(cell)
            if "skipped" in entry:
                rows.append([where, entry["title"], entry["skipped"], *[NONE] * 7])
                continue
            found = entry.get("memory", {})
            title = entry["title"] + (f" ({cell['limit']})" if name == "limit" else "")
            times = [milliseconds(entry), number(1e3 * entry["min"]), f"{100 * entry['spread']:.0f} %"]
            planned = mib(cell["plan"]["peak_bytes"]) if name == "auto" else NONE
            memory = [mib(taken_off(found, "tracemalloc_bytes")), mib(taken_off(found, "rss_bytes")), planned]
            rows.append(
                [where, title, *times, str(len(entry["seconds"])), number(entry.get("error_ratio"), 2), *memory]
            )
    header = ["B × N × M, D = E", "what", "median ms", "min ms", "spread", "calls", "error ratio"]
    return Table(f"{TITLES[kind]}: details", [*header, "NumPy MiB", "process MiB", "planned MiB"], rows, words=2)


def taken_off(memory, key):
    """Peak on top of arguments and results."""
    return None if memory.get(key) is None else max(memory[key] - memory["results_bytes"], 0)


def blocks_table(report):
    rows = []
    for row in report["blocks"]:
        entries = row["candidates"]
        space = "×".join(map(str, row["space"]))
        times = [milliseconds(entries[name]) for name in ("auto", "dense", "torch")]
        errors = [number(entries[name].get("error"), 2) for name in ("auto", "torch")]
        ratio = number(targets.ratio(row, "auto", "torch"))
        rows.append([f"{row['place']}, C = {row['channels']}, {space}", TITLES[row["kind"]], *times, ratio, *errors])
    header = ["block", "f", "nonlocal_ref", "dense", "PyTorch", "÷ PyTorch", "error", "PyTorch's error"]
    return Table("The whole block: forward + backward in training mode, ms", header, rows, words=2)


def targets_table(report):
    rows = []
    for row in report["targets"]:
        bound = f"{'<' if row['strict'] else '≤'} {number(row['bound'])}"
        rows.append([TITLES[row["group"]], row["what"], bound, number(row["value"]), verdict(row)])
    return Table("Targets", ["f", "what", "target", "measured", "verdict"], rows, words=2)


def verdict(row):
    if row["value"] is None:
        return "not measured"
    if row["met"]:
        return "met"
    percent = 100 * (row["value"] / row["bound"] - 1)
    return (
        f"missed by {number(percent, 2)} %" if percent < 100 else f"missed: {number(1 + percent / 100, 2)} times that"
    )


def growth_tables(report):
    """Times and memory by N, and the slopes."""
    rows, slopes = [], []
    for line in report["growth"]:
        title = TITLES[line["kind"]]
        for point in line["points"]:
            seconds = point.get("seconds")
            row = [title, number_of_positions(point["N"]), point["method"], number(seconds and 1e3 * seconds)]
            rows.append([*row, mib(extra_bytes(point)), mib(taken_off(point["memory"], "rss_bytes"))])
        for what, found in line["slopes"].items():
            end = f"{number(found['end'])} from {number_of_positions(found['end_from'])}"
            slopes.append([title, what, number(found["all"]), end])
    return (
        Table("Slopes in log-log axes", ["f", "of", "overall", "at the end"], slopes, words=2),
        Table(
            "Growth, N = M: best of three, warm; memory on top of arguments and results",
            ["f", "N", "form", "ms", "NumPy MiB", "process MiB"],
            rows,
            words=3,
        ),
    )


def number_of_positions(count):
    """1024 as 2¹⁰."""
    return "2" + str(count.bit_length() - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def tables(report):
    """All tables that have something in them, for the terminal."""
    kinds = [kind for kind in TITLES if any(cell["kind"] == kind for cell in report["operations"])]
    found = [operations_table(report, kind) for kind in kinds]
    found += [details_table(report, kind) for kind in kinds]
    found += [blocks_table(report), *growth_tables(report), targets_table(report)]
    return [table for table in found if table.rows]


def environment_list(report):
    """Where and how it was measured, as a list."""
    found, settings = report["environment"], report["settings"]
    packages = ", ".join(f"{name} {release}" for name, release in found["packages"].items() if release)
    lines = [
        f"Processor: {found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB of memory; {found['system']}",
        f"{found['python']}; {packages}",
    ]
    for library in found["blas"]:
        kernel = f"{library['internal_api']} {library['version']}, kernel {library['architecture']}"
        lines.append(f"BLAS of NumPy: {kernel}, {library['num_threads']} threads")
    torch = found["torch"]
    if torch:
        libraries = [name for name, key in (("MKL", "mkl"), ("oneDNN", "mkldnn")) if torch[key]]
        lines.append(f"PyTorch: {torch['num_threads']} threads, {', '.join([torch['capability'], *libraries])}")
    else:
        lines.append("PyTorch: not installed, so not measured")
    lines.append(f"{settings['rounds']} rounds, {settings['pause']} s of pause before each call")
    if report["quick"]:
        lines.append("A quick run on toy sizes: it shows that everything runs, its numbers mean nothing")
    elif not report["complete"]:
        lines.append("Not complete: some cells were not measured")
    return lines


# The page


def sections(report):
    """Name -> Markdown, for the generated sections of the page."""
    slopes, growth = growth_tables(report)
    found = {
        "environment": "\n".join(f"- {line}" for line in environment_list(report)),
        "targets": targets_table(report).markdown(),
        "blocks": blocks_table(report).markdown(),
        "slopes": slopes.markdown(),
        "growth": growth.markdown(),
    }
    for kind in TITLES:
        found[kind] = operations_table(report, kind).markdown()
        found[f"{kind}-details"] = details_table(report, kind).markdown()
    return found


def fill(page, report):
    """The page with its generated sections written anew; what stands between them stays as it is."""
    contents = sections(report)

    def section(match):
        name = match.group("name")
        return f"{match.group('begin')}\n\n{contents[name]}\n\n{match.group('end')}"

    pattern = r"(?P<begin><!-- begin generated: (?P<name>[\w-]+) -->).*?(?P<end><!-- end generated: (?P=name) -->)"
    return re.sub(pattern, section, page, flags=re.DOTALL)
