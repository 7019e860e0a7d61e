"""One case: the oracle, then one backend against it, into rows for the report."""

import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nonlocal_ref.comparison import interruption, oracle
from nonlocal_ref.comparison.cases import Case
from nonlocal_ref.comparison.cells import BROKE
from nonlocal_ref.comparison.devices import Backend
from nonlocal_ref.comparison.judging import Scores, digits, judged, no_numbers, scores
from nonlocal_ref.comparison.measurement import Numbers, Subject, ceilings
from nonlocal_ref.machine.folders import without_folders
from nonlocal_ref.machine.hardware import free_memory

STAGES = ("logits", "max", "exp", "sum", "weights")  # which the dense form alone shows
MAY_USE = 0.9  # of the memory that is free
OVER = "not tried: the time was over before the oracle was done; name backends or sizes to have no limit"

Entry = dict[str, Any]

# what stands where there are no numbers
NO_SPEED: Entry = dict.fromkeys(
    ("first_call_s", "median_s", "spread", "fastest_s", "calls", "gflop_per_s", "gb_per_s", "clock")
)
NO_TRANSFERS: Entry = {"to_device_s": None, "from_device_s": None}
NO_LAUNCHES: Entry = {"launches": None}
NO_MEMORY: Entry = {"measured_bytes": None}


class Found(NamedTuple):
    """What goes into the report."""

    rows: list[Entry]
    speed: list[Entry]
    memory: list[Entry]


class Prepared(NamedTuple):
    """What every backend gets, and what it is held against."""

    x: dict[str, np.ndarray]
    exact: oracle.Exacts
    own: Scores  # NumPy's in float32


class Refused(NamedTuple):
    """Why a case has no numbers, and whether that is a failure."""

    reason: str
    failed: bool


def prepare(case: Case, seed: int, stop: float | None = None) -> Prepared | Refused:
    """Draw the numbers and compute the oracle, if the host's memory and the time until ``stop`` are enough for it."""
    reason = misfit(
        oracle.bytes_needed(case.size) + bytes_needed(case, "float32", "numpy"), free_memory(), "the oracle"
    )
    if reason:
        return Refused(reason, failed=False)
    try:
        x = case.draw(seed)
        exact = oracle.exact_stages(case, x) | oracle.exact_operation(case, x, stop)
        subject = Subject(case, Backend("numpy"), "float32", x)
        values = case.checked(subject.stages() | subject.on_host(subject.both()))
        return Prepared(x, exact, scores(values, exact, "float32"))
    except oracle.OverTimeError:
        return Refused(OVER, failed=False)
    except Exception as error:  # the other cases may still go through
        interruption.check()  # a library may have made an error of its own of Ctrl-C
        return Refused(f"the oracle: {in_one_line(error)}", failed=True)


def compare_case(
    case: Case,
    backend: Backend,
    dtype: str,
    prepared: Prepared | Refused,
    directions: Sequence[str],
    budget: float,
    found: Found,
) -> None:
    """Accuracy, then speed, then memory; whatever goes wrong becomes a row."""
    label = label_of(case, backend, dtype)
    if isinstance(prepared, Refused):
        found.rows.append(row_without_numbers(label, prepared.reason, failed=prepared.failed))
        return
    try:
        with backend.holding(dtype):
            measure_case(case, backend, label, prepared, directions, budget, found)
    except Exception as error:  # every library has its own; a report that says so is worth more than none
        interruption.check()
        found.rows.append(row_without_numbers(label, in_one_line(error), failed=True))
    finally:  # of a case that broke as well: the next one needs the memory
        with suppress(Exception), backend.holding(dtype):
            backend.give_back()


def measure_case(
    case: Case,
    backend: Backend,
    label: Entry,
    prepared: Prepared,
    directions: Sequence[str],
    budget: float,
    found: Found,
) -> None:
    """The rows first; what then breaks in a measurement takes nothing from them."""
    reason = misfit(bytes_needed(case, label["dtype"], backend.library), backend.free_bytes())
    if reason:
        found.rows.append(row_without_numbers(label, reason, failed=False))
        return
    subject = Subject(case, backend, label["dtype"], prepared.x)
    repeats = has_run(case, label, found)
    first, results = subject.first_calls(directions)
    found.rows.extend(rows_of(case, subject.numbers(results), prepared, label))
    del results
    for direction in directions:
        found.speed.append(
            label
            | {"direction": direction, "on_gpu": backend.on_gpu, "first_call_repeats": repeats}
            | attempt(partial(speed, subject, direction, budget, first[direction]), NO_SPEED, "reason")
            | attempt(partial(subject.transfers, prepared.x, direction), NO_TRANSFERS, "transfers_reason")
            | attempt(partial(launches, subject, direction), NO_LAUNCHES, "launches_how")
        )
    planned = {"planned_bytes": case.plan(label["dtype"], backend.library).peak_bytes}
    found.memory.append(label | planned | attempt(partial(memory, subject), NO_MEMORY, "how"))


def has_run(case: Case, label: Entry, found: Found) -> bool:
    """Whether the same function ran at this size before: the other softmax, or NumPy in float32 as the yardstick."""
    if (label["backend"], label["dtype"]) == ("numpy", "float32"):
        return True
    return any(
        Case(entry["variant"], case.size).kind == case.kind
        and all(entry[name] == label[name] for name in ("size", "backend", "dtype"))
        for entry in found.speed
    )


def attempt(measure: Callable[[], Entry], nothing: Entry, why: str) -> Entry:
    """What was measured, or nothing and the reason."""
    try:
        return measure()
    except Exception as error:  # of any library, or of the one that counts or times
        return nothing | {why: f"{BROKE}{in_one_line(error)}"}


def in_one_line(error: Exception) -> str:
    """The kind of an error and what it says, without folders."""
    return f"{type(error).__name__}: {without_folders(str(error))}"


def label_of(case: Case, backend: Backend, dtype: str) -> Entry:
    """What stands at the front of every entry."""
    sizes = {"size": str(case.size), **case.size._asdict()}
    method = case.plan(dtype, backend.library).method
    return {"variant": case.variant, **sizes, "backend": backend.name, "dtype": dtype, "method": method}


def bytes_needed(case: Case, dtype: str, library: str) -> int:
    """Memory on the device, an estimate from above: arguments, results of two calls, the plan's peak, the stages."""
    item = 4 if dtype == "float32" else 8
    stages = 6 * case.size.B * case.size.stage_queries * case.size.M
    return case.plan(dtype, library).peak_bytes + item * (2 * case.numbers + stages)


def misfit(needed: int, free: int | None, whose: str = "") -> str:
    """Why it is not tried; empty where it fits or where nobody says."""
    if free is None or needed <= MAY_USE * free:
        return ""
    for_whom = f" for {whose}" if whose else ""
    return f"does not fit, needs {gibibytes(needed)}{for_whom}, {gibibytes(free)} are free"


def gibibytes(count: float) -> str:
    """12.3 GiB; a very large one as 2.5e+15 GiB."""
    value = count / 2**30
    return f"{value:.1f} GiB" if value < 1e6 else f"{value:.2g} GiB"


def rows_of(case: Case, numbers: Numbers, prepared: Prepared, label: Entry) -> list[Entry]:
    """One row a stage."""
    found = judged(case.checked(numbers.values), prepared.exact, prepared.own, label["dtype"])
    return [
        label
        | {"method": "dense" if row["stage"] in STAGES else label["method"]}
        | row
        | {"same_bits": numbers.same_bits.get(row["stage"]), "bits": numbers.bits(row["stage"])}
        for row in found
    ]


def row_without_numbers(label: Entry, reason: str, *, failed: bool) -> Entry:
    """A row that says why there are none."""
    verdict = {"pass": False if failed else None, "same_bits": None, "bits": None, "reason": reason}
    return label | {"stage": "run"} | no_numbers() | verdict


def speed(subject: Subject, direction: str, budget: float, first: float) -> Entry:
    """First call, warm median and spread, and what that is in GFLOP/s and GB/s."""
    if not subject.backend.keeps_time:
        return NO_SPEED | {"reason": "not measured: it stands in for a device"}
    seconds, clock = subject.warm_seconds(direction, budget)
    median = statistics.median(seconds)
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else [median] * 3
    item = 4 if subject.dtype == "float32" else 8
    operations = subject.case.plan(subject.dtype, subject.backend.library).operations
    both = direction == "both"  # the plan counts forward and backward together
    return {
        "first_call_s": digits(first),
        "median_s": digits(median),
        "spread": digits((high - low) / median),
        "fastest_s": digits(min(seconds)),
        "calls": len(seconds),
        "gflop_per_s": digits(operations / median / 1e9) if both else None,
        "gb_per_s": digits(subject.case.numbers * item / median / 1e9) if both else None,
        "clock": clock,
        "reason": "",
    }


def launches(subject: Subject, direction: str) -> Entry:
    """How many kernels a call starts."""
    count, how = subject.launches(direction)
    return {"launches": count, "launches_how": how}


def memory(subject: Subject) -> Entry:
    """On top of arguments and results."""
    measured, how = subject.peak_bytes()
    return {"measured_bytes": measured, "how": how}


def ceilings_of(backend: Backend, dtype: str) -> Entry:
    """What the device can do at most, or why that is not known."""
    try:
        found = ceilings(backend, dtype)
        backend.give_back()
    except Exception as error:  # lost, or too small for them
        nothing = dict.fromkeys(("gflop_per_s", "gb_per_s", "product", "copy_bytes"))
        return {"backend": backend.name, "dtype": dtype, **nothing, "reason": f"not measured: {in_one_line(error)}"}
    return {"backend": backend.name, "dtype": dtype, **found, "reason": ""}
