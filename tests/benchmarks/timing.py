"""Time: all candidates in turn, in one process, a pause before each call; medians and their spread."""

import gc
import statistics
import time


def in_turn(calls, rounds, pause):
    """Run every call once a round and return its seconds by name.

    The pause lets the waiting threads of one library go to sleep before the next one is measured: OpenMP and BLAS
    threads spin for a while after their work and would slow down whoever comes next.  Each round starts with another
    candidate, so that none always follows the same one.
    """
    seconds = {name: [] for name in calls}
    for start in range(rounds):
        for name in rotated(list(calls), start):
            time.sleep(pause)
            seconds[name].append(timed(calls[name])[0])
    return seconds


def rotated(items, start):
    start %= max(len(items), 1)
    return items[start:] + items[:start]


def timed(call):
    """One call -> seconds, outputs.  Garbage is collected before and not meanwhile."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        outputs = call()
        return time.perf_counter() - start, outputs
    finally:
        gc.enable()


def summary(seconds):
    """Median, minimum and spread: the distance between the quartiles, in parts of the median."""
    median = statistics.median(seconds)
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
    return {
        "median": digits(median),
        "min": digits(min(seconds)),
        "max": digits(max(seconds)),
        "spread": digits((high - low) / median),
        "seconds": [digits(s) for s in seconds],
    }


def digits(value, count=5):
    """A number with so many significant digits: more of them mean nothing here."""
    return float(f"{value:.{count}g}")
