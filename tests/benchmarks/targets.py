"""What the package sets out to reach, and whether this run did: all from the JSON, nothing measured here."""

import math

from tests.benchmarks.cases import SIZES, Case
from tests.benchmarks.growth import extra_bytes

KINDS = SOFTMAX, DOT, CONCATENATION = ("softmax", "dot_product", "concatenation")
SMALL, MIDDLE, LARGE = 784, 6272, 8192  # positions N


def targets(report):
    """A list of {group, what, bound, strict, value, met}.

    value and met are None where not all that the target speaks of was measured.
    """
    if report["quick"]:
        return []
    cells = {cell["label"]: cell for cell in report["operations"]}
    return [*softmax(cells), *dot_product(cells), *concatenation(cells), *exactness(cells), *growth(report["growth"])]


def target(group, what, bound, value, strict=False):
    """One row; strict: below the bound, not at it."""
    met = None if value is None else (value < bound if strict else value <= bound)
    rounded = None if value is None else float(f"{value:.4g}")
    return {"group": group, "what": what, "bound": bound, "strict": strict, "value": rounded, "met": met}


def softmax(cells):
    peers = column(cells, SOFTMAX, to_faster_peer)
    large = [size for size in SIZES if size[1] >= MIDDLE]
    limit = column(cells, SOFTMAX, lambda cell: ratio(cell, "auto", "limit"), large)
    eager = column(cells, SOFTMAX, to_eager, square())
    yield target(SOFTMAX, "time ÷ faster of eager and SDPA, geometric mean", 1.0, geometric_mean(peers), strict=True)
    yield target(SOFTMAX, "time ÷ faster of eager and SDPA, worst size", 1.4, worst(peers))
    yield target(SOFTMAX, "time ÷ eager, worst of N = M", 0.5, worst(eager))
    yield target(SOFTMAX, f"time ÷ its own products and exps, worst of N ≥ {MIDDLE}", 1.3, worst(limit))


def dot_product(cells):
    for queries, bound in ((LARGE, 0.01), (MIDDLE, 0.1), (SMALL, 1.0)):
        yield target(DOT, f"time ÷ eager, N = {queries}", bound, worst(column(cells, DOT, to_eager, at(queries))))


def concatenation(cells):
    """Against the form with repeat and cat where it fits, and against the broadcast one everywhere."""
    for name, of in (("repeat + cat (eager where it does not fit)", to_literal_or_eager), ("eager", to_eager)):
        for where, sizes, bound in (
            ("worst of N = M", square(), 0.05),
            (f"N = {MIDDLE}", at(MIDDLE), 0.3),
            (f"N = {SMALL}", at(SMALL), 1.0),
        ):
            found = column(cells, CONCATENATION, of, sizes)
            yield target(CONCATENATION, f"time ÷ {name}, {where}", bound, worst(found))


def exactness(cells):
    for kind in KINDS:
        found = column(cells, kind, largest_error_ratio)
        yield target(kind, "error ratio against float64, worst of all forms and sizes", 30, worst(found))


def growth(lines):
    """Memory and time where N is large."""
    by_kind = {line["kind"]: line for line in lines}
    point = point_at(by_kind, SOFTMAX, 2**16)
    yield target(SOFTMAX, "MB beside arguments and results, N = M = 2¹⁶, D = E = 32", 256, megabytes(point))
    for kind in (DOT, CONCATENATION):
        point = point_at(by_kind, kind, 2**20)
        end = by_kind.get(kind, {}).get("slopes", {}).get("time", {})
        slope = end.get("end") if point and end.get("end_from") == 2**16 else None
        yield target(kind, "seconds, N = M = 2²⁰, D = E = 8", 10, point.get("seconds"))
        yield target(kind, "MB beside arguments and results, N = M = 2²⁰, D = E = 8", 1500, megabytes(point))
        yield target(kind, "slope of time from N = 2¹⁶ to 2²⁰", 1.3, slope)


# Ratios


def median(cell, name):
    return cell["candidates"].get(name, {}).get("median")


def ratio(cell, name, *others):
    """Median of one candidate over that of the fastest of the others that were measured; None without any."""
    own, times = median(cell, name), [t for t in (median(cell, other) for other in others) if t]
    return own / min(times) if own and times else None


def to_faster_peer(cell):
    return ratio(cell, "auto", "eager", "sdpa")


def to_eager(cell):
    return ratio(cell, "auto", "eager")


def to_literal_or_eager(cell):
    literal = ratio(cell, "auto", "literal")
    return to_eager(cell) if literal is None else literal


def largest_error_ratio(cell):
    found = [cell["candidates"].get(name, {}).get("error_ratio") for name in ("auto", "dense", "fast")]
    return max((ratio for ratio in found if ratio is not None), default=None)


# Over several sizes


def square():
    return [size for size in SIZES if size[1] == size[2]]


def at(queries):
    return [size for size in SIZES if size[1] == queries]


def column(cells, kind, of, sizes=None):
    """of(cell) at all these sizes; None where it was not measured."""
    found = [cells.get(Case(kind, *size).label) for size in sizes or SIZES]
    return [of(cell) if cell else None for cell in found]


def geometric_mean(values):
    """None unless all of them are there."""
    if not values or None in values:
        return None
    return math.exp(sum(map(math.log, values)) / len(values))


def worst(values):
    """The largest; None unless all of them are there."""
    return None if not values or None in values else max(values)


def point_at(lines, kind, positions):
    points = lines.get(kind, {}).get("points", [])
    return next((p for p in points if p["N"] == positions), {})


def megabytes(point):
    """The larger of what NumPy held and what the process grew by, results taken off, in units of 10^6 bytes."""
    if not point or extra_bytes(point) is None:
        return None
    found = point["memory"]
    grown = (found.get("rss_bytes") or 0) - found["results_bytes"]
    return max(extra_bytes(point), grown) / 1e6
