"""How time and memory grow with the number of positions, N = M, and the slopes in log-log axes."""

import math

from tests.benchmarks import memory
from tests.benchmarks.candidates import candidate_named
from tests.benchmarks.cases import Case
from tests.benchmarks.timing import digits, in_turn

BEST_OF = 3
# kind: channels D = E, exponents of N, those in the slope of the end; softmax's memory is looked at one step further
RANGES = {
    "dot_product": (8, range(10, 21), range(16, 21)),
    "concatenation": (8, range(10, 21), range(16, 21)),
    "softmax": (32, range(10, 16), range(13, 16)),
}
QUICK_RANGES = {kind: (4, range(5, 7), range(5, 7)) for kind in RANGES}


def label(kind):
    return f"growth {kind}"


def measure(kind, quick, pause, say):
    """One line of the picture -> a dict for the JSON."""
    depth, exponents, end = (QUICK_RANGES if quick else RANGES)[kind]
    points = []
    beyond = [exponents[-1] + 1] if kind == "softmax" else []
    for exponent in [*exponents, *beyond]:
        case = Case(kind, 1, 2**exponent, 2**exponent, depth)
        point = {"N": case.N, "method": case.plan().method}
        if exponent in exponents:
            point["seconds"] = best_seconds(case, pause)
        point["memory"] = memory.measure("auto", case)
        points.append(point)
        say(f"{label(kind)} N = {case.N}, {point['method']}: {point.get('seconds', '–')} s")
    first_of_end = 2 ** end[0]
    line = {"label": label(kind), "kind": kind, "D": depth, "points": points, "slopes": {}}
    for what, value in (("time", lambda p: p.get("seconds")), ("memory", extra_bytes)):
        pairs = [(p["N"], value(p)) for p in points]
        line["slopes"][what] = {
            "all": slope(pairs),
            "end": slope([(n, v) for n, v in pairs if n >= first_of_end]),
            "end_from": first_of_end,
        }
    return line


def best_seconds(case, pause):
    """Best of three, warm."""
    call, _ = candidate_named("auto", case).prepare(case, case.draw())
    call()
    return digits(min(in_turn({"auto": call}, BEST_OF, pause)["auto"]))


def extra_bytes(point):
    """Peak of NumPy buffers on top of arguments and results; None where it was not measured."""
    found = point["memory"]
    if found.get("tracemalloc_bytes") is None:
        return None
    return max(found["tracemalloc_bytes"] - found["results_bytes"], 0)


def slope(pairs):
    """Least squares through (log N, log value): value grows as N to this power.  None with fewer than two points."""
    points = [(math.log(n), math.log(value)) for n, value in pairs if value]
    if len(points) < 2:
        return None
    centre = sum(n for n, _ in points) / len(points)
    weight = sum((n - centre) ** 2 for n, _ in points)
    return digits(sum((n - centre) * value for n, value in points) / weight, 3)
