"""One operation at one size: every candidate's time, its error ratio beside it, and its memory."""

from tests.benchmarks import accuracy, limit, memory
from tests.benchmarks.candidates import candidates_for, why_not
from tests.benchmarks.timing import in_turn, summary, timed

SLOW = 2.0  # seconds a call
ROUNDS_WHEN_SLOW = 3  # of a slow candidate on whose exact time no target rests, the first call among them


def measure(case, rounds, pause, memory_limit=None):
    """A cell of the table -> a dict for the JSON."""
    x = case.draw()
    plan = case.plan()
    told = ("method", "tile_rows", "tile_keys", "tile_elements", "workers", "operations", "peak_bytes")
    cell = {
        "label": case.label,
        "kind": case.kind,
        **{size: getattr(case, size) for size in "BNMDE"},
        "plan": {name: getattr(plan, name) for name in told},
        "limit": limit.words(case),
        "candidates": {},
    }
    exact = accuracy.reference(case, x)
    calls, slow = {}, {}
    for candidate in candidates_for(case):
        name, entry = candidate.name, {"title": candidate.title_for(case)}
        cell["candidates"][name] = entry
        if reason := why_not(candidate, case, memory_limit):
            entry["skipped"] = reason
            continue
        call, arrays = candidate.prepare(case, x)
        first, outputs = timed(call)  # warms up
        if arrays:
            entry["error_ratios"] = accuracy.error_ratios(arrays(outputs), exact)
            entry["error_ratio"] = max(entry["error_ratios"].values())
        del outputs
        if first > SLOW and not candidate.patient:
            slow[name] = (call, first)
        else:
            calls[name] = call
    seconds = in_turn(calls, rounds, pause)
    for name, (call, first) in slow.items():
        seconds[name] = [first, *in_turn({name: call}, min(rounds, ROUNDS_WHEN_SLOW) - 1, pause)[name]]
    for name, values in seconds.items():
        cell["candidates"][name] |= summary(values)
    return cell


def measure_memory(case, cell, say, memory_limit=None):
    """Every candidate's peak, each in a process of its own; writes it into the cell."""
    for candidate in candidates_for(case):
        entry = cell["candidates"].get(candidate.name, {})
        if "median" in entry and candidate.name != "limit":
            say(f"memory {case.label} {candidate.name}")
            reason = why_not(candidate, case, memory_limit)  # again: what is free has changed since
            entry["memory"] = {"error": reason} if reason else memory.measure(candidate.name, case)
