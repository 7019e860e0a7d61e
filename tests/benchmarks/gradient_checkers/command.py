"""The command line: measure the sections that were asked for, keep the others, write the JSON and the page."""

import argparse
import json
import sys
import time
from pathlib import Path

import nonlocal_ref as nl
from tests.benchmarks.environment import version
from tests.benchmarks.gradient_checkers import measure, page
from tests.benchmarks.gradient_checkers.checkers import checkers

SCHEMA = "nonlocal_ref gradient checkers 1"
SECTIONS = ("accuracy", "alarms", "time")


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/gradient_checkers/run.py",
        description="Gradient checkers side by side: the smallest mistake each rejects, false alarms, time.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", required=True, help="the results: read, and written")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables into the page's generated sections")
    parser.add_argument(
        "--section", nargs="*", choices=SECTIONS, default=SECTIONS, help="what to measure; nothing: only the page"
    )
    parser.add_argument("--quick", action="store_true", help="few draws: does everything run?")
    return parser.parse_args(argv)


def load(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    if results.get("schema") != SCHEMA:
        sys.exit(f"{path}: expected the schema {SCHEMA!r}, found {results.get('schema')!r}")
    return results


def measured(options, say):
    """The results: what the file has, with the sections that were asked for measured anew."""
    draws, cases, rounds = (1, 3, 1) if options.quick else (3, 60, 9)
    results = load(options.json) if options.json.exists() else {"schema": SCHEMA}
    if not options.section:
        return results
    if "tight" not in results or "accuracy" in options.section:
        results["tight"] = measure.tightest(cases)
        say(f"tightest tolerances: {results['tight']}")
    known = checkers(results["tight"])
    results["checkers"] = {key: {"title": c.title, "settings": c.settings} for key, c in known.items()}
    results["packages"] = {"nonlocal_ref": nl.__version__} | {name: version(name) for name in ("numpy", "torch", "jax")}
    results["settings"] = {"quick": options.quick, "draws": draws, "cases": cases, "rounds": rounds}
    if "accuracy" in options.section:
        results["accuracy"] = measure.sensitivity(known, draws, say)
    if "alarms" in options.section:
        results["alarms"] = measure.false_alarms(known, cases, say)
    if "time" in options.section:
        results["time"] = measure.times(known, rounds, say)
    return results


def main(argv=None):
    options = arguments(argv)
    began = time.perf_counter()
    results = measured(options, lambda words: print(f"[{time.perf_counter() - began:6.1f} s] {words}", flush=True))
    options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for table in page.tables(results):
        print(f"\n{table.text()}")
    if options.page:
        text = options.page.read_text(encoding="utf-8")
        options.page.write_text(page.fill(text, results), encoding="utf-8")
    return 0
