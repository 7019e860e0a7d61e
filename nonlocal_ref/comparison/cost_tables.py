"""The tables about what it costs: time, ceilings, launches, memory."""

from nonlocal_ref.comparison.cells import BROKE, NONE, Entry, Table, duration, mebibytes, rate, share


def speed(report: Entry) -> Table:
    """One line for each case and direction, one column for each backend: warm median, spread."""
    names = [
        name
        for name in report["asked"]["backends"]
        if any(e["backend"] == name and e["median_s"] for e in report["speed"])
    ]
    groups: dict[tuple[str, ...], dict[str, Entry]] = {}
    for entry in report["speed"]:
        if entry["median_s"] is not None:
            key = tuple(entry[name] for name in ("variant", "dtype", "size", "direction"))
            groups.setdefault(key, {})[entry["backend"]] = entry
    lines = [[*key, *(timing(found.get(name)) for name in names)] for key, found in groups.items()]
    heads = [f"{name} | first | GFLOP/s" for name in names]
    notes = [
        "Warm median +- half the distance between the quartiles | first call | GFLOP/s by the plan's operations.",
        "The first call of both comes after that of forward; r: a repeat, the same function ran at this size before.",
    ]
    moved = [entry for entry in report["speed"] if entry["to_device_s"] is not None]
    if moved:
        worst = max(moved, key=lambda entry: float(entry["to_device_s"] + entry["from_device_s"]))
        there, back = duration(worst["to_device_s"]), duration(worst["from_device_s"])
        where = f"size {worst['size']}, {worst['direction']}"
        notes.append(f"Transfers come on top: up to {there} to {worst['backend']}, {back} back ({where}).")
    return Table("Speed", notes, ["variant", "dtype", "size", "direction", *heads], lines, 4)


def timing(entry: Entry | None) -> str:
    """1.23 ms +- 4 % | 12 ms r | 45."""
    if entry is None:
        return NONE
    spread = f"{50 * entry['spread']:.0f} %" if entry["calls"] > 1 else "one call"
    first = duration(entry["first_call_s"]) + (" r" if entry.get("first_call_repeats") else "")
    return f"{duration(entry['median_s'])} +- {spread} | {first} | {rate(entry['gflop_per_s'])}"


def wins(won: list[Entry]) -> Table:
    """From which size on a GPU is faster than NumPy."""
    lines = [
        [
            *(entry[key] for key in ("backend", "variant", "dtype", "direction")),
            f"{entry['factor']:g}x at {entry['size']}",
            entry["from_size"] or "none",
            "not measured" if entry.get("transfers_reason") else entry["from_size_with_transfers"] or "none",
        ]
        for entry in won
        if entry["on_gpu"]
    ]
    heads = ["backend", "variant", "dtype", "direction", "faster than numpy", "from size", "with transfers"]
    return Table(
        "Where the GPU wins", ["The smallest measured size from which on every larger one is faster."], heads, lines, 4
    )


def ceilings(found: list[Entry]) -> Table:
    """What the devices can do at most."""
    lines = [
        [top["backend"], top["dtype"], rate(top["gflop_per_s"]), rate(top["gb_per_s"]), top["product"] or top["reason"]]
        for top in found
    ]
    heads = ["backend", "dtype", "GFLOP/s", "GB/s", "of a product"]
    notes = ["The fastest of five large batched matrix products and of five large copies, on the same device."]
    return Table("Ceilings", notes, heads, lines, 2)


def below_ceilings(report: Entry) -> Table:
    """How near each case of the largest size comes to what its device can do."""
    tops = {(top["backend"], top["dtype"]): top for top in report["ceilings"] if top["gflop_per_s"]}
    largest: dict[tuple[str, ...], Entry] = {}
    for entry in report["speed"]:
        if entry["gflop_per_s"] and (entry["backend"], entry["dtype"]) in tops:
            group = tuple(entry[key] for key in ("backend", "dtype", "variant"))
            if group not in largest or pairs(entry) > pairs(largest[group]):
                largest[group] = entry
    lines = [
        [*group, entry["size"]]
        + [
            f"{rate(entry[what])} ({share(entry[what], tops[group[0], group[1]][what])})"
            for what in ("gflop_per_s", "gb_per_s")
        ]
        for group, entry in largest.items()
    ]
    heads = ["backend", "dtype", "variant", "size", "GFLOP/s", "GB/s"]
    notes = [
        "Forward and backward, and how much of the ceiling that is. GFLOP/s by the plan's operations;",
        "GB/s: arguments, results and gradients, each moved once, which is the least that can be.",
    ]
    return Table("Below the ceilings", notes, heads, lines, 4)


def pairs(entry: Entry) -> int:
    """B N M."""
    return int(entry["B"] * entry["N"] * entry["M"])


def launches(report: Entry) -> Table:
    """Kernels a call, where they were counted; why they were not, where there is a GPU."""
    on_gpu = [entry for entry in report["speed"] if entry["to_device_s"] is not None]
    counted = [entry for entry in on_gpu if entry["launches"] is not None]
    if not counted:
        reasons = dict.fromkeys(entry["launches_how"] for entry in on_gpu)
        return Table("Launches", [], ["", ""], [["kernels a call", reason] for reason in reasons], 2)
    names = ("backend", "variant", "dtype", "size", "direction")
    lines = [[*(entry[name] for name in names), str(entry["launches"])] for entry in counted]
    return Table("Launches", ["Kernels that one call starts on the GPU."], [*names, "launches"], lines, len(names))


def memory(found: list[Entry]) -> Table:
    """Planned against measured."""
    lines = [
        [
            *(entry[key] for key in ("variant", "dtype", "size", "backend", "method")),
            *(mebibytes(entry["planned_bytes"]), measured_text(entry)),
        ]
        for entry in found
    ]
    heads = ["variant", "dtype", "size", "backend", "form", "planned", "measured"]
    return Table("Memory", ["On top of arguments and results, forward and backward."], heads, lines, 5)


def unmeasured(report: Entry) -> Table:
    """What broke while it was measured, and why; the numbers are judged in any case."""
    found = [
        (entry, what, entry.get(key, ""))
        for part, what, key in (
            ("speed", "speed", "reason"),
            ("speed", "transfers", "transfers_reason"),
            ("speed", "launches", "launches_how"),
            ("memory", "memory", "how"),
        )
        for entry in report[part]
    ]
    names = ("backend", "variant", "dtype", "size")
    lines = dict.fromkeys(
        (*(entry[name] for name in names), what, why.removeprefix(BROKE))
        for entry, what, why in found
        if why.startswith(BROKE)
    )
    return Table("Not measured", [], [*names, "what", "why"], [list(line) for line in lines], 6)


def measured_text(entry: Entry) -> str:
    """6.3 MiB (tracemalloc), or that there is none."""
    if entry["measured_bytes"] is None:
        return "not measured"
    return f"{mebibytes(entry['measured_bytes'])} ({entry['how']})"
