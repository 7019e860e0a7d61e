"""The tables of a report, as text in cells: what terminal, Markdown and HTML have in common."""

from typing import Any, NamedTuple

Entry = dict[str, Any]

STAGES = ("logits", "max", "exp", "sum", "weights", "y", "dtheta", "dphi", "dg", "dw_f")
NONE = "-"


class Table(NamedTuple):
    """A heading, sentences, and cells; the first ``words`` columns are no numbers."""

    title: str
    notes: list[str]
    columns: list[str]
    rows: list[list[str]]
    words: int


def opening(report: Entry) -> list[str]:
    """The headline; without a GPU, that there is none comes before it."""
    gpu = report["gpu"]
    return [str(report["headline"])] if gpu["found"] else [f"No GPU found: {gpu['reason']}.", str(report["headline"])]


def all_tables(report: Entry) -> list[Table]:
    """Accuracy, what failed, speed, ceilings, memory, TF32, environment; those that have something to say."""
    tables = [
        accuracy(report["rows"]),
        troubles(report["rows"]),
        speed(report),
        wins(report["wins"]),
        ceilings(report["ceilings"]),
        memory(report["memory"]),
        with_tf32(report["tf32"]),
        environment(report),
    ]
    return [table for table in tables if table.rows]


def accuracy(rows: list[Entry]) -> Table:
    """One line for each variant, backend and dtype; the largest ratio over the sizes."""
    groups: dict[tuple[str, ...], dict[str, Entry]] = {}
    for row in rows:
        if row["stage"] in STAGES:
            worst = groups.setdefault(tuple(row[key] for key in ("variant", "backend", "dtype")), {})
            if row["stage"] not in worst or sort_key(row) > sort_key(worst[row["stage"]]):
                worst[row["stage"]] = row
    same = {
        key: all(row["same_bits"] for row in rows if group_of(row) == key and row["stage"] in STAGES) for key in groups
    }
    lines = [
        [*key, *(ratio_text(worst.get(stage)) for stage in STAGES), "yes" if same[key] else "no", verdict(rows, key)]
        for key, worst in groups.items()
    ]
    notes = [
        "Error ratio |got - exact| / (eps magnitude) against float64 on the host, the largest over all sizes.",
        "A row passes at 30 or less that is at most twice NumPy float32's own (or 6); ! marks one that does not.",
        "same bits: two runs agree to the last bit.",
    ]
    return Table("Accuracy", notes, ["variant", "backend", "dtype", *STAGES, "same bits", "verdict"], lines, 3)


def group_of(row: Entry) -> tuple[str, ...]:
    """The line of the accuracy table that a row belongs to."""
    return tuple(row[key] for key in ("variant", "backend", "dtype"))


def sort_key(row: Entry) -> float:
    """No number is the worst."""
    return float("inf") if row["ratio"] is None else float(row["ratio"])


def ratio_text(row: Entry | None) -> str:
    """2.63, with a mark where it fails."""
    if row is None:
        return NONE
    text = "none" if row["ratio"] is None else f"{row['ratio']:.2f}" if row["ratio"] < 1000 else f"{row['ratio']:.1e}"
    return text if row["pass"] else f"{text}!"


def verdict(rows: list[Entry], key: tuple[str, ...]) -> str:
    """PASS or FAIL."""
    return "FAIL" if any(row["pass"] is False for row in rows if group_of(row) == key) else "PASS"


def troubles(rows: list[Entry]) -> Table:
    """Every row that failed or was not tried, and why."""
    lines = []
    for row in rows:
        if row["pass"] is True:
            continue
        why = row["reason"] or f"error ratio {row['ratio']:.3g}, at most {row['limit']:.3g} passes"
        lines.append([row["backend"], row["variant"], row["dtype"], row["size"], row["stage"], outcome(row), why])
    return Table("Failed or not tried", [], ["backend", "variant", "dtype", "size", "stage", "", "why"], lines, 7)


def outcome(row: Entry) -> str:
    """FAIL, or that there is no verdict."""
    return "FAIL" if row["pass"] is False else "no verdict"


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
        "Warm median +- half the distance between the quartiles | first call of all | GFLOP/s by the plan's operations."
    ]
    moved = [entry for entry in report["speed"] if entry["to_device_s"] is not None]
    if moved:
        worst = max(moved, key=lambda entry: float(entry["to_device_s"] + entry["from_device_s"]))
        there, back = duration(worst["to_device_s"]), duration(worst["from_device_s"])
        notes.append(f"Transfers come on top: up to {there} to {worst['backend']}, {back} back (size {worst['size']}).")
    return Table("Speed", notes, ["variant", "dtype", "size", "direction", *heads], lines, 4)


def timing(entry: Entry | None) -> str:
    """1.23 ms +- 4 % | 12 ms | 45."""
    if entry is None:
        return NONE
    rate = NONE if entry["gflop_per_s"] is None else f"{entry['gflop_per_s']:.3g}"
    spread = f"{50 * entry['spread']:.0f} %" if entry["calls"] > 1 else "one call"
    return f"{duration(entry['median_s'])} +- {spread} | {duration(entry['first_call_s'])} | {rate}"


def duration(seconds: float | None) -> str:
    """12.3 ms."""
    if seconds is None:
        return NONE
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def wins(won: list[Entry]) -> Table:
    """From which size on a GPU is faster than NumPy."""
    lines = [
        [
            *(entry[key] for key in ("backend", "variant", "dtype", "direction")),
            f"{entry['factor']:g}x at {entry['size']}",
            entry["from_size"] or "none",
            entry["from_size_with_transfers"] or "none",
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
        [entry["backend"], entry["dtype"], f"{entry['gflop_per_s']:.3g}", f"{entry['gb_per_s']:.3g}", entry["product"]]
        for entry in found
    ]
    heads = ["backend", "dtype", "GFLOP/s", "GB/s", "of a product"]
    return Table(
        "Ceilings",
        ["The fastest of five large matrix products and of five large copies, on the same device."],
        heads,
        lines,
        2,
    )


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


def measured_text(entry: Entry) -> str:
    """6.3 MiB (tracemalloc), or that there is none."""
    if entry["measured_bytes"] is None:
        return "not measured"
    return f"{mebibytes(entry['measured_bytes'])} ({entry['how']})"


def mebibytes(count: int) -> str:
    """6.27 MiB."""
    return f"{count / 2**20:.3g} MiB"


def with_tf32(found: Entry) -> Table:
    """The largest ratios with TF32 on."""
    worst: dict[tuple[str, str], float] = {}
    for row in found["rows"]:
        if row["ratio"] is not None:
            key = (row["variant"], row["stage"])
            worst[key] = max(worst.get(key, 0.0), row["ratio"])
    lines = [[variant, stage, f"{ratio:.3g}"] for (variant, stage), ratio in worst.items()]
    notes = ["float32 with CUPY_TF32=1, the largest error ratio over the sizes: shown, not judged."]
    return Table("TF32 on", notes, ["variant", "stage", "ratio"], lines, 2)


def environment(report: Entry) -> Table:
    """What ran where."""
    found = report["environment"]
    gpu = found["gpu"]
    blas = ", ".join(f"{b['name']} {b['version']} {b['kernel'] or ''}, {b['threads']} threads" for b in found["blas"])
    memory_text = "unknown" if found["memory_bytes"] is None else f"{found['memory_bytes'] / 2**30:.1f} GiB"
    lines = [
        ["python", f"{found['python']}, {found['system']}"],
        ["processor", f"{found['processor']}, {found['cores']} cores, {memory_text}"],
        ["GPU", f"{gpu['name']}, driver {gpu['driver']}, CUDA {gpu['cuda_runtime']}" if gpu["found"] else "none"],
        ["BLAS", blas or "unknown"],
        ["packages", ", ".join(f"{name} {text}" for name, text in found["packages"].items())],
        [
            "set",
            ", ".join(f"{name}={text}" for name, text in found["variables"].items() if text is not None) or "nothing",
        ],
        ["commit", found["git_commit"] or "unknown"],
        ["command", found["command"] or "none"],
        ["seed", str(report["seed"])],
    ]
    return Table("Environment", [], ["", ""], lines, 2)
