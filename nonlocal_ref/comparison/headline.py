"""The answer in one line: same numbers or not, how much faster and from which size on, how much memory."""

from collections.abc import Iterable
from textwrap import shorten
from typing import Any

Entry = dict[str, Any]

WIDTH = 100  # of a reason: the table below has all of it
NAMED = 4  # of what is missing
ENOUGH = 2**20  # bytes planned: below, Python's own objects and NumPy's buffers of 8192 numbers count for too much


def headline(rows: list[Entry], speed: list[Entry], memory: list[Entry], won: list[Entry], *, complete: bool) -> str:
    """One line."""
    parts = [
        *(missing_in_words(rows), numbers_in_words(rows), broken_in_words(rows)),
        *(*faster_in_words(speed, won), memory_in_words(memory)),
    ]
    return ("" if complete else "Interrupted. ") + "; ".join(part for part in parts if part) + "."


def missing(rows: list[Entry]) -> list[str]:
    """Of what was to be compared, backends and variants of which not one case was tried; pairs of them, if only those.

    A case that broke was tried.
    """
    tried = {(row["backend"], row["variant"]) for row in rows if row["pass"] is not None}
    left = dict.fromkeys((row["backend"], row["variant"]) for row in rows)
    backends, variants = ({pair[place] for pair in tried} for place in (0, 1))
    found: dict[str, None] = {}
    for backend, variant in left:
        if backend not in backends:
            found[backend] = None
        elif variant not in variants:
            found[variant] = None
        elif (backend, variant) not in tried:
            found[f"{variant} on {backend}"] = None
    return list(found)


def missing_in_words(rows: list[Entry]) -> str:
    """What is missing as a whole, before anything else: all is well with a part alone."""
    names = missing(rows)
    if not names or all(row["pass"] is None for row in rows):  # where nothing was compared that is said
        return ""
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return f"NOT tried: {in_a_row([*names[:NAMED], *more])}"


def numbers_in_words(rows: list[Entry]) -> str:
    """Same numbers or not; where not, the first stage that is wrong: what comes after it has its error from there."""
    judged = [row for row in rows if row["stage"] != "run"]
    left_out = sum(row["pass"] is None for row in rows)
    more = f" ({left_out} cases not tried)" if left_out else ""
    if not judged:
        return f"Nothing was compared{more}"
    wrong = [row for row in judged if not row["pass"]]
    if wrong:
        first: dict[str, str] = {}  # rows stand in the order of computation
        for row in wrong:
            first.setdefault(f"{row['backend']} {row['variant']}", row["stage"])
        where = ", ".join(f"{who} {stage}" for who, stage in list(first.items())[:3])
        return f"NOT the same numbers: {len(wrong)} of {len(judged)} rows fail, first at {where}{more}"
    largest = max(judged, key=lambda row: row["ratio"])
    names = in_a_row(dict.fromkeys(row["backend"] for row in judged))
    return f"Same numbers on {names}: all {len(judged)} rows pass, largest error ratio {largest['ratio']:.2g}{more}"


def broken_in_words(rows: list[Entry]) -> str:
    """What broke instead of giving numbers: it says nothing about them."""
    broken = [row for row in rows if row["stage"] == "run" and row["pass"] is False]
    if not broken:
        return ""
    cases = "1 case" if len(broken) == 1 else f"{len(broken)} cases"
    why = shorten(broken[0]["reason"], WIDTH, placeholder=" ...")
    return f"{cases} could not be run, as {broken[0]['backend']} {broken[0]['variant']} ({why})"


def wins(speed: list[Entry]) -> list[Entry]:
    """For each backend with a clock of its own against NumPy: the factor, and the size from which on it is faster.

    With transfers that is None where one of them was not measured, and ``transfers_reason`` says why.
    """
    timed = [entry for entry in speed if entry["median_s"] is not None]
    host = {key_of(entry): entry["median_s"] for entry in timed if is_numpy(entry)}
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in sorted(timed, key=pairs):
        if not is_numpy(entry) and key_of(entry) in host:
            group = tuple(entry[name] for name in ("backend", "variant", "dtype", "direction"))
            groups.setdefault(group, []).append(entry)
    return [
        dict(zip(("backend", "variant", "dtype", "direction"), group, strict=True))
        | {
            "on_gpu": entries[-1]["on_gpu"],
            "size": entries[-1]["size"],
            "pairs": pairs(entries[-1]),
            "factor": float(f"{host[key_of(entries[-1])] / entries[-1]['median_s']:.3g}"),
            "from_size": first_lasting(entries, host, transfers=False),
            "from_size_with_transfers": None if unmoved(entries) else first_lasting(entries, host, transfers=True),
            "transfers_reason": unmoved(entries),
        }
        for group, entries in groups.items()
    ]


def is_numpy(entry: Entry) -> bool:
    """Whether it is the one that the others are held against, also where its device was named: numpy:cpu."""
    return str(entry["backend"]).partition(":")[0] == "numpy"


def unmoved(entries: list[Entry]) -> str:
    """Why the transfers of a GPU are not known at some size; empty where they are, and on the host, which has none."""
    for entry in entries:
        if entry["on_gpu"] and (entry["to_device_s"] is None or entry["from_device_s"] is None):
            return str(entry.get("transfers_reason") or "not measured")
    return ""


def pairs(entry: Entry) -> int:
    """How many (i, j) there are."""
    return int(entry["B"] * entry["N"] * entry["M"])


def key_of(entry: Entry) -> tuple[Any, ...]:
    """What is the same for all backends."""
    return tuple(entry[name] for name in ("variant", "size", "dtype", "direction"))


def first_lasting(entries: list[Entry], host: dict[tuple[Any, ...], float], *, transfers: bool) -> str | None:
    """The smallest measured size from which on every larger one is faster than NumPy; None where the largest is not."""
    found = None
    for entry in reversed(entries):
        moving = (entry["to_device_s"] or 0) + (entry["from_device_s"] or 0) if transfers else 0
        if entry["median_s"] + moving >= host[key_of(entry)]:
            break
        found = entry["size"]
    return found


def faster_in_words(speed: list[Entry], won: list[Entry]) -> Iterable[str]:
    """For each GPU the range of its speed-ups at its largest size, forward and backward where timed; CuPy's first."""
    gpus = dict.fromkeys(entry["backend"] for entry in speed if entry["on_gpu"])
    if not gpus and speed:
        yield "no GPU was measured, so nothing is said about its speed"
    for name in sorted(gpus, key=lambda name: not name.startswith("cupy")):
        mine = [entry for entry in won if entry["backend"] == name]
        both = [entry for entry in mine if entry["direction"] == "both"]
        yield range_in_words(name, both or mine) if mine else f"{name} was not timed beside numpy: no speed-up is known"


def range_in_words(name: str, entries: list[Entry]) -> str:
    """From the least to the best factor at the largest size, and from which size on the best one is faster."""
    most = max(entry["pairs"] for entry in entries)
    at_most = [entry for entry in entries if entry["pairs"] == most]
    best = max(at_most, key=lambda entry: float(entry["factor"]))
    least = min(entry["factor"] for entry in at_most)
    factors = f"{best['factor']:g}" if least == best["factor"] else f"{least:g} to {best['factor']:g}"
    start = f"from size {best['from_size']} on" if best["from_size"] else "at no measured size faster throughout"
    what = f"{best['variant']} in {best['dtype']}"
    only = " forward" if best["direction"] == "forward" else ""
    return f"{name} is {factors} times as fast as numpy{only} at size {best['size']} ({what}: {start})"


def memory_in_words(memory: list[Entry]) -> str:
    """Measured in parts of planned."""
    measured = [entry for entry in memory if entry["measured_bytes"] is not None and entry["planned_bytes"] >= ENOUGH]
    if not measured:
        return "memory not measured, or too little of it" if memory else ""
    worst = max(measured, key=lambda entry: float(entry["measured_bytes"] / entry["planned_bytes"]))
    share = worst["measured_bytes"] / worst["planned_bytes"]
    return f"memory at most {share:.2f} times what was planned ({worst['backend']} {worst['variant']} {worst['size']})"


def in_a_row(names: Iterable[str]) -> str:
    """a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
