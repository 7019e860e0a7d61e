"""Two pictures for the page, as inline SVG: time over size, and how near each device comes to its own ceilings."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, NamedTuple

Entry = dict[str, Any]
Point = tuple[float, float]

# Okabe and Ito's, which everyone can tell apart, on light and on dark ground
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 106, 30, 46


class Line(NamedTuple):
    """A name, points, a colour; drawn as dots alone where ``joined`` is False."""

    name: str
    points: list[Point]
    colour: str
    joined: bool = True
    dashed: bool = False


def time_over_size(report: Entry) -> list[str]:
    """One picture a variant: warm medians in float32 (or what there is), forward and backward."""
    timed = [entry for entry in report["speed"] if entry["median_s"] is not None]
    dtype = "float32" if any(entry["dtype"] == "float32" for entry in timed) else "float64"
    direction = "both" if any(entry["direction"] == "both" for entry in timed) else "forward"
    chosen = [e for e in timed if e["dtype"] == dtype and e["direction"] == direction]
    drawn = []
    for variant in report["asked"]["variants"]:
        entries = [entry for entry in chosen if entry["variant"] == variant]
        names = list(dict.fromkeys(entry["backend"] for entry in entries))
        lines = [
            Line(name, sorted((pairs(e), e["median_s"]) for e in entries if e["backend"] == name), colour(report, name))
            for name in names
        ]
        if len({pairs(entry) for entry in entries}) > 1:
            what = "forward and backward" if direction == "both" else "forward"
            drawn.append(chart(f"{variant}, {dtype}, {what}", lines, "pairs B N M", "seconds"))
    return drawn


def roofline(report: Entry) -> list[str]:
    """One picture a backend with ceilings: GFLOP/s over operations a byte, under the roof that was measured."""
    drawn = []
    for top in report["ceilings"]:
        if top["gflop_per_s"] is None:
            continue
        entries = [
            entry
            for entry in report["speed"]
            if entry["backend"] == top["backend"] and entry["dtype"] == top["dtype"] and entry["gflop_per_s"]
        ]
        if not entries:
            continue
        points = [(entry["gflop_per_s"] / entry["gb_per_s"], entry["gflop_per_s"]) for entry in entries]
        reach = [x for x, _ in points] + [top["gflop_per_s"] / top["gb_per_s"]]
        low, high = min(reach) / 2, max(reach) * 2
        corner = top["gflop_per_s"] / top["gb_per_s"]
        roof = [(low, low * top["gb_per_s"]), (corner, top["gflop_per_s"]), (high, top["gflop_per_s"])]
        lines = [Line("roof", roof, "#888888", dashed=True)]
        for place, variant in enumerate(dict.fromkeys(entry["variant"] for entry in entries)):
            dots = [point for point, entry in zip(points, entries, strict=True) if entry["variant"] == variant]
            lines.append(Line(variant, dots, COLOURS[place % len(COLOURS)], joined=False))
        title = f"{top['backend']}, {top['dtype']}: below its own ceilings"
        drawn.append(chart(title, lines, "operations a byte of arguments and results", "GFLOP/s"))
    return drawn


def pairs(entry: Entry) -> float:
    """B N M."""
    return float(entry["B"] * entry["N"] * entry["M"])


def colour(report: Entry, backend: str) -> str:
    """The same one in every picture."""
    return COLOURS[report["asked"]["backends"].index(backend) % len(COLOURS)]


def chart(title: str, lines: Sequence[Line], x_label: str, y_label: str) -> str:
    """Both axes logarithmic, a tick for every power of ten."""
    xs, ys = ([point[axis] for line in lines for point in line.points] for axis in (0, 1))
    x_place, x_ticks = scale(xs, LEFT, WIDTH - RIGHT)
    y_place, y_ticks = scale(ys, HEIGHT - BOTTOM, TOP)
    parts = [f'<text x="{LEFT}" y="16" class="title">{escape(title)}</text>']
    for tick in x_ticks:
        x = x_place(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{power(tick)}</text>')
    for tick in y_ticks:
        y = y_place(tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{power(tick)}</text>')
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{middle_x}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text transform="translate(14 {middle_y}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    for number, line in enumerate(lines):
        parts += drawn_line(line, number, x_place, y_place)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def drawn_line(
    line: Line, number: int, x_place: Callable[[float], float], y_place: Callable[[float], float]
) -> list[str]:
    """A line or its dots, and its name in the legend on the right."""
    places = [(x_place(x), y_place(y)) for x, y in line.points]
    parts = []
    if line.joined:
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
        parts.append(f'<polyline points="{corners}" fill="none" stroke="{line.colour}" stroke-width="1.8"{dashes}/>')
    if not line.dashed:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{line.colour}"/>' for x, y in places]
    y = TOP + 10 + 15 * number
    short = line.name.replace("array_api_strict", "strict").replace("embedded_gaussian", "embedded")
    parts.append(f'<rect x="{WIDTH - RIGHT + 6}" y="{y - 8}" width="8" height="8" fill="{line.colour}"/>')
    parts.append(f'<text x="{WIDTH - RIGHT + 18}" y="{y}">{escape(short)}</text>')
    return parts


def scale(values: Sequence[float], start: float, stop: float) -> tuple[Callable[[float], float], list[float]]:
    """Where a number lies between two edges, logarithmically, and the powers of ten between them."""
    low = math.floor(math.log10(min(values)))
    high = max(math.ceil(math.log10(max(values))), low + 1)

    def place(value: float) -> float:
        return start + (math.log10(value) - low) / (high - low) * (stop - start)

    return place, [10.0**exponent for exponent in range(low, high + 1)]


def power(value: float) -> str:
    """A power of ten with a raised exponent, as in 10⁻³."""
    exponent = round(math.log10(value))
    if 0 <= exponent <= 2:
        return f"{value:g}"
    digits = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"10{str(exponent).translate(digits)}"
