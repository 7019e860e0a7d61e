"""All tables of a report, in order, and the lines before them: what terminal, Markdown and HTML have in common."""

from nonlocal_ref.comparison import accuracy_tables, cost_tables
from nonlocal_ref.comparison.cells import Entry, Table
from nonlocal_ref.machine.diagnosis import gpu_in_words


def opening(report: Entry) -> list[str]:
    """The headline; before it that there is no GPU, after it what was left out although it is installed."""
    gpu = report["gpu"]
    return [
        *([] if gpu["found"] else [f"No GPU found: {gpu['reason']}."]),
        str(report["headline"]),
        *(f"Left out: {entry['reason']}." for entry in report.get("left_out", [])),
    ]


def all_tables(report: Entry) -> list[Table]:
    """Accuracy, what failed, speed, launches, memory, TF32, environment; those that have something to say."""
    tables = [
        accuracy_tables.accuracy(report["rows"]),
        accuracy_tables.troubles(report["rows"]),
        cost_tables.speed(report),
        cost_tables.wins(report["wins"]),
        cost_tables.ceilings(report["ceilings"]),
        cost_tables.below_ceilings(report),
        cost_tables.launches(report),
        cost_tables.memory(report["memory"]),
        cost_tables.unmeasured(report),
        accuracy_tables.with_tf32(report),
        environment(report),
    ]
    return [table for table in tables if table.rows]


def environment(report: Entry) -> Table:
    """What ran where."""
    found = report["environment"]
    blas = ", ".join(f"{b['name']} {b['version']} {b['kernel'] or ''}, {b['threads']} threads" for b in found["blas"])
    memory_text = "unknown" if found["memory_bytes"] is None else f"{found['memory_bytes'] / 2**30:.1f} GiB"
    devices = [f"{name} on {device}" for name, device in report["devices"].items() if device]
    lines = [
        ["python", f"{found['python']}, {found['system']}"],
        ["processor", f"{found['processor']}, {found['cores']} cores, {memory_text}"],
        ["GPU", gpu_in_words(found["gpu"]) if found["gpu"]["found"] else "none"],
        ["devices", ", ".join(devices) or "all on the host"],
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
