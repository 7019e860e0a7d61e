"""The command line: measure section after section, write the JSON after every cell, then show it."""

import argparse
import json
import re
import sys
import time
from pathlib import Path

from tests.benchmarks import blocks, growth, operations, picture, render
from tests.benchmarks.cases import VARIANTS, cases, cases_for_memory
from tests.benchmarks.environment import environment
from tests.benchmarks.targets import targets

SCHEMA = "nonlocal_ref benchmarks 1"
ROUNDS, PAUSE = 7, 0.2
SECTIONS = ("operations", "blocks", "memory", "growth")


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/run.py",
        description="Time, memory and exactness of every variant, forward and backward, against PyTorch and the limit.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, after every cell")
    parser.add_argument("--update", action="store_true", help="keep what FILE has and measure the chosen cells anew")
    parser.add_argument("--render", action="store_true", help="measure nothing: show what FILE has")
    parser.add_argument("--quick", action="store_true", help="toy sizes: does everything run?")
    parser.add_argument("--growth", action="store_true", help="also time and memory over N = 2^10 ... 2^20")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the growth, .svg or .png")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables into the page's generated sections")
    parser.add_argument(
        "--only",
        metavar="REGEX",
        default="",
        help='cells whose label matches: "softmax", "1x784", "block res3", "growth dot", ...',
    )
    parser.add_argument(
        "--sections", nargs="+", choices=SECTIONS, help="what to measure (default: all but growth, which --growth adds)"
    )
    parser.add_argument("--rounds", type=int, default=None, help=f"timed calls a candidate (default: {ROUNDS})")
    parser.add_argument("--pause", type=float, default=None, help=f"seconds before each (default: {PAUSE})")
    parser.add_argument(
        "--memory-limit", type=float, metavar="GIB", help="what a candidate may take (default: what is free)"
    )
    options = parser.parse_args(argv)
    if (options.update or options.render) and not options.json:
        parser.error("--update and --render need --json FILE")
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    in_part = options.only or options.sections
    if in_part and options.json and options.json.exists() and not (options.update or options.render):
        parser.error(f"{options.json} is there: --update keeps its other cells")
    sections = options.sections or [name for name in SECTIONS if name != "growth"]
    options.sections = sections + ["growth"] * options.growth
    return options


class Report:
    """The results, on disk as soon as they are there."""

    def __init__(self, path, results):
        self.path, self.results = path, results

    def put(self, section, entry):
        """Add a cell, in the place of the one that has its label."""
        entries = self.results[section]
        places = [n for n, old in enumerate(entries) if old["label"] == entry["label"]]
        if places:
            entries[places[0]] = entry
        else:
            entries.append(entry)
        self.save()

    def find(self, section, label):
        return next((entry for entry in self.results[section] if entry["label"] == label), None)

    def save(self):
        self.results["targets"] = targets(self.results)
        self.results["complete"] = is_complete(self.results)
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside = self.path.with_name(self.path.name + ".new")
            beside.write_text(json.dumps(self.results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            beside.replace(self.path)  # never half a file


def is_complete(results):
    """Whether every cell was measured, its memory too, and the growth."""
    quick = results["quick"]
    expected = {
        "operations": {case.label for case in cases(quick)},
        "blocks": {case.label for case in blocks.block_cases(quick)},
        "growth": {growth.label(kind) for kind in VARIANTS},
    }
    found = {section: {entry["label"] for entry in results[section]} for section in expected}
    with_memory = {cell["label"] for cell in results["operations"] if "memory" in cell["candidates"]["auto"]}
    return found == expected and with_memory == {case.label for case in cases_for_memory(quick)}


def load(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    if results.get("schema") != SCHEMA:
        sys.exit(f"{path}: expected the schema {SCHEMA!r}, found {results.get('schema')!r}")
    return results


def start(options):
    """A new report, or the one to add to."""
    quick = options.quick
    rounds = options.rounds or (2 if quick else ROUNDS)
    pause = options.pause if options.pause is not None else (0.0 if quick else PAUSE)
    results = {
        "schema": SCHEMA,
        "quick": quick,
        "complete": False,
        "settings": {"rounds": rounds, "pause": pause, "dtype": "float32"},
        "environment": environment(),
        "operations": [],
        "blocks": [],
        "growth": [],
        "targets": [],
    }
    if options.update and options.json.exists():
        old = load(options.json)
        changed = [key for key in ("quick", "settings", "environment") if old[key] != results[key]]
        if changed:
            sys.exit(f"{options.json}: cannot add to it, its {' and '.join(changed)} differ from this run's")
        results |= {key: old[key] for key in ("operations", "blocks", "growth")}
    return Report(options.json, results)


def measure(options, report):
    """Everything that was asked for, cell by cell."""
    began = time.perf_counter()
    settings = report.results["settings"]
    rounds, pause = settings["rounds"], settings["pause"]
    memory_limit = options.memory_limit and int(options.memory_limit * 2**30)

    def wanted(label):
        return re.search(options.only, label)

    def say(words):
        print(f"[{time.perf_counter() - began:6.1f} s] {words}", flush=True)

    if "operations" in options.sections:
        for case in cases(options.quick):
            if wanted(case.label):
                cell = operations.measure(case, rounds, pause, memory_limit)
                report.put("operations", cell)
                say(f"{case.label}: {in_short(cell)}")
    if "blocks" in options.sections:
        for case in blocks.block_cases(options.quick):
            if wanted(case.label):
                row = blocks.measure(case, rounds, pause)
                report.put("blocks", row)
                say(f"{case.label}: {in_short(row)}")
    if "memory" in options.sections:
        for case in cases_for_memory(options.quick):
            cell = report.find("operations", case.label)
            if cell and wanted(case.label):
                operations.measure_memory(case, cell, say, memory_limit)
                report.put("operations", cell)
    if "growth" in options.sections:
        for kind in VARIANTS:
            if wanted(growth.label(kind)):
                report.put("growth", growth.measure(kind, options.quick, pause, say))
    report.save()
    say("done" if report.results["complete"] else "done, in part")


def in_short(cell):
    """One line of progress."""
    entries = cell["candidates"].items()
    return ", ".join(f"{name} {render.milliseconds(entry)} ms" for name, entry in entries if "median" in entry)


def main(argv=None):
    options = arguments(argv)
    if options.render:
        results = load(options.json)
        results["targets"] = targets(results)
    else:
        report = start(options)
        measure(options, report)
        results = report.results
    for line in render.environment_list(results):
        print(line)
    for table in render.tables(results):
        print(f"\n{table.text()}")
    if options.picture:
        picture.draw(results, options.picture)
    if options.page:
        text = options.page.read_text(encoding="utf-8")
        options.page.write_text(render.fill(text, results), encoding="utf-8")
    return 0
