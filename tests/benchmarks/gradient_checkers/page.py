"""From the JSON to what people read."""

import re

from tests.benchmarks.gradient_checkers.functions import FUNCTIONS, GROUPS
from tests.benchmarks.gradient_checkers.measure import TIMED
from tests.benchmarks.render import Table, number


def titles(results):
    return [entry["title"] for entry in results["checkers"].values()]


def checkers_table(results):
    rows = [[entry["title"], entry["settings"]] for entry in results["checkers"].values()]
    return Table("The checkers", ["checker", "settings"], rows, words=2)


def error_words(value):
    """3e-7 as it is written, or what happened instead."""
    if isinstance(value, str):
        return value
    return "none" if value is None else f"{value:.0e}".replace("e-0", "e-").replace("e+00", "").replace("e+01", "0")


def accuracy_table(results):
    rows = []
    for row in results.get("accuracy", []):
        function = FUNCTIONS[row["function"]]
        scale = f"{row['scale']:g}" if len(function.scales) > 1 else ""
        rows.append([function.title, scale, *(error_words(row["smallest"][key]) for key in results["checkers"])])
    return Table("The smallest relative error rejected", ["function", "scale", *titles(results)], rows, words=2)


def alarms_table(results):
    rows = []
    for row in results.get("alarms", []):
        counts = [row["alarms"][key] for key in results["checkers"]]
        words = [str(c["wrong"]) + (f" (+{c['undecided']})" if c["undecided"] else "") for c in counts]
        rows.append([GROUPS[row["group"]][0], str(row["cases"]), *words])
    return Table("False alarms", ["right gradients", "cases", *titles(results)], rows, words=1)


def time_table(results):
    timed = {key: entry["title"] for key, entry in results["checkers"].items() if key in TIMED}
    rows = [[row["size"], *(number(row["ratio"][key]) for key in timed)] for row in results.get("time", [])]
    return Table("Time of one check, in times of ours", ["softmax attention", *timed.values()], rows)


def tables(results):
    """All tables, for the terminal."""
    return [checkers_table(results), accuracy_table(results), alarms_table(results), time_table(results)]


def sections(results):
    """Name -> Markdown, for the generated sections of the page."""
    packages = ", ".join(f"{name} {release}" for name, release in results["packages"].items() if release)
    settings = results["settings"]
    counts = f"{settings['draws']} draws a row of the smallest errors; times are medians of {settings['rounds']} rounds"
    toy = "\n- A quick run: it shows that everything runs, its numbers mean nothing" if settings["quick"] else ""
    return {
        "setting": f"- {packages}\n- {counts}{toy}",
        "checkers": checkers_table(results).markdown(),
        "accuracy": accuracy_table(results).markdown(),
        "alarms": alarms_table(results).markdown(),
        "time": time_table(results).markdown(),
    }


def fill(text, results):
    """The page with its generated sections written anew; what stands between them stays as it is."""
    contents = sections(results)

    def section(match):
        return f"{match.group('begin')}\n\n{contents[match.group('name')]}\n\n{match.group('end')}"

    pattern = r"(?P<begin><!-- begin generated: (?P<name>[\w-]+) -->).*?(?P<end><!-- end generated: (?P=name) -->)"
    return re.sub(pattern, section, text, flags=re.DOTALL)
