"""The smallest mistake each checker rejects, its false alarms, its time."""

import bisect
from functools import partial

import numpy as np

from tests.benchmarks import timing
from tests.benchmarks.gradient_checkers import checkers as known
from tests.benchmarks.gradient_checkers.functions import FUNCTIONS, GROUPS, larger_attention, planted

ERRORS = [float(f"{digit}e{power}") for power in range(-12, 2) for digit in (1, 3)]  # 1e-12, 3e-12, ... 10, 30
TIMED = ("ours", "ours_full", "torch", "torch_fast", "jax", "taught_0.0001")
TOLERANCES = [float(f"1e-{power}") for power in range(3, 13)]


def tightest(cases):
    """For PyTorch and JAX the smallest power of ten as atol and rtol with no alarm at ordinary right cases, scale 1."""
    found = {}
    for name, check in (("torch", known.pytorch), ("jax", known.jax_check)):
        if not known.Checker(name, "", check, name).is_here:
            continue
        drawn = [GROUPS["ordinary"][1](np.random.default_rng([seed, 1])) for seed in range(cases)]
        for tolerance in TOLERANCES:
            accepts = partial(check, seed=0, atol=tolerance, rtol=tolerance)
            if any(accepts(op, arrays) != "right" for op, arrays in drawn):
                break
            found[name] = tolerance
    return found


def smallest_rejected(check, function, scale, draws):
    """The smallest error of the ladder that is rejected in every gradient of every draw; None if the largest is not.

    What calls the right gradient wrong has found no mistake: "alarm".  The search halves the ladder: what is rejected
    at one error is taken to be rejected at all larger ones.
    """
    drawn = [function.draw(np.random.default_rng([seed, 2]), scale) for seed in range(draws)]
    if any(check(function.op, arrays, seed=seed) == "wrong" for seed, arrays in enumerate(drawn)):
        return "alarm"

    def rejected(error):
        return all(
            check(planted(function.op, position, error), arrays, seed=seed) == "wrong"
            for seed, arrays in enumerate(drawn)
            for position in range(len(arrays))
        )

    first = bisect.bisect_left(ERRORS, True, key=rejected)
    return ERRORS[first] if first < len(ERRORS) else None


def sensitivity(checkers, draws, say):
    """One row a function and scale."""
    rows = []
    for name, function in FUNCTIONS.items():
        for scale in function.scales:
            found = {key: smallest_rejected(c.check, function, scale, draws) for key, c in checkers.items()}
            rows.append({"function": name, "scale": scale, "smallest": found})
            say(f"{name}, scale {scale:g}: {found}")
    return rows


def false_alarms(checkers, cases, say):
    """One row a group of right cases: how many each checker calls wrong, and leaves undecided."""
    rows = []
    for name, (_, draw) in GROUPS.items():
        drawn = [draw(np.random.default_rng([seed, 3])) for seed in range(cases)]
        found = {}
        for key, checker in checkers.items():
            verdicts = [checker.check(op, arrays, seed=seed) for seed, (op, arrays) in enumerate(drawn)]
            found[key] = {word: verdicts.count(word) for word in ("wrong", "undecided")}
        rows.append({"group": name, "cases": cases, "alarms": found})
        say(f"{name}: {found}")
    return rows


def times(checkers, rounds, say):
    """Medians of the time of one check as parts of ours, all checkers in turn; a tolerance changes no time."""
    small = FUNCTIONS["attention"].op, FUNCTIONS["attention"].draw(np.random.default_rng(0), 1.0)
    large = larger_attention(np.random.default_rng(0))
    rows = []
    for title, (op, arrays) in (("3 queries, 4 keys, 3 channels", small), ("16 queries, 16 keys, 8 channels", large)):
        calls = {key: partial(checker.check, op, arrays, seed=0) for key, checker in checkers.items() if key in TIMED}
        for key, call in calls.items():  # JAX compiles; and what stops at the first rejection would seem fast
            if call() != "right":
                msg = f"{key} does not accept the operation that its time is taken with"
                raise RuntimeError(msg)
        seconds = {key: timing.summary(values)["median"] for key, values in timing.in_turn(calls, rounds, 0.0).items()}
        rows.append(
            {"size": title, "ratio": {k: timing.digits(value / seconds["ours"], 3) for k, value in seconds.items()}}
        )
        say(f"{title}: {rows[-1]['ratio']}")
    return rows
