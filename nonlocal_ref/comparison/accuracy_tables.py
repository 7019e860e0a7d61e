"""The tables about the numbers: every stage, what failed, and TF32."""

from nonlocal_ref.comparison.cells import NONE, Entry, Table, rate

STAGES = ("logits", "max", "exp", "sum", "weights", "y", "dtheta", "dphi", "dg", "dw_f")


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
        "A row passes at 30 or less that is at most twice NumPy float32's own (or 6),",
        "where its norm is off by at most ten times what NumPy float32's is (or 100 eps); ! marks one that does not.",
        "same bits: two runs agree to the last bit. partly: what was tried passes, and a size was not tried.",
    ]
    return Table("Accuracy", notes, ["variant", "backend", "dtype", *STAGES, "same bits", "verdict"], lines, 3)


def group_of(row: Entry) -> tuple[str, ...]:
    """The line of the accuracy table that a row belongs to."""
    return tuple(row[key] for key in ("variant", "backend", "dtype"))


def sort_key(row: Entry) -> float:
    """No number is the worst."""
    return float("inf") if row["ratio"] is None else float(row["ratio"])


def ratio_text(row: Entry | None) -> str:
    """An error ratio as in 2.63, with a mark where it fails."""
    if row is None:
        return NONE
    text = "none" if row["ratio"] is None else f"{row['ratio']:.2f}" if row["ratio"] < 1000 else f"{row['ratio']:.1e}"
    return text if row["pass"] else f"{text}!"


def verdict(rows: list[Entry], key: tuple[str, ...]) -> str:
    """FAIL where a row fails, partly where a size was not tried, PASS where all of them pass."""
    found = {row["pass"] for row in rows if group_of(row) == key}
    return "FAIL" if False in found else "partly" if None in found else "PASS"


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


def with_tf32(report: Entry) -> Table:
    """The largest ratios without and with TF32, over the sizes that were measured with it."""
    found = report["tf32"]
    sizes, backends = ({row[key] for row in found["rows"]} for key in ("size", "backend"))
    plain = [row for row in report["rows"] if row["dtype"] == "float32" and row["backend"] in backends]
    without = largest_ratios([row for row in plain if row["size"] in sizes])
    lines = [
        [variant, stage, rate(without.get((variant, stage))), rate(ratio)]
        for (variant, stage), ratio in largest_ratios(found["rows"]).items()
    ]
    notes = ["float32, the largest error ratio without and with CUPY_TF32=1: shown, not judged."]
    if changed_no_bit(plain, found["rows"]):
        notes.append("CUPY_TF32 changed no bit: CuPy's batched products do not use it.")
    if not lines and any(device for device in report["devices"].values()):
        return Table("TF32", [], ["", ""], [["with TF32", found["reason"]]], 2)
    return Table("TF32", notes, ["variant", "stage", "off", "on"], lines, 2)


def changed_no_bit(plain: list[Entry], with_it: list[Entry]) -> bool:
    """Whether every stage with TF32 has the check sum that it has without."""
    names = ("variant", "size", "stage")
    bits = {tuple(row[name] for name in names): row.get("bits") for row in plain}
    pairs = [(row.get("bits"), bits.get(tuple(row[name] for name in names))) for row in with_it]
    return bool(pairs) and all(on == off and on is not None for on, off in pairs)


def largest_ratios(rows: list[Entry]) -> dict[tuple[str, str], float]:
    """For each variant and stage."""
    worst: dict[tuple[str, str], float] = {}
    for row in rows:
        if row["ratio"] is not None:
            key = (row["variant"], row["stage"])
            worst[key] = max(worst.get(key, 0.0), row["ratio"])
    return worst
