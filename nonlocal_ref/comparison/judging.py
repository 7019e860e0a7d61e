"""What passes: every stage of a backend against the oracle, entry by entry and as a whole."""

import math
from typing import Any, NamedTuple

import numpy as np

from nonlocal_ref.comparison.cases import CHECKED_PAIRS
from nonlocal_ref.comparison.oracle import Exact, Exacts
from nonlocal_ref.testing.magnitudes import LIMIT, error_ratios

AS_GOOD = 2.0  # times NumPy float32's own error ratio
ALWAYS_GOOD = 6.0  # where NumPy's is tiny by chance
AS_GOOD_AS_A_WHOLE = 10.0  # times NumPy float32's own norm ratio: libraries add in another order, 3 was the most
ALWAYS_GOOD_AS_A_WHOLE = 100.0  # a norm ratio, 1e-5 in float32: rounding alone gives 1 to 25
EPS = {name: float(np.finfo(name).eps) for name in ("float32", "float64")}

RULE = (
    f"ratio = max |got - exact| / (eps magnitude) is at most {LIMIT:g} and at most {AS_GOOD:g} times NumPy float32's "
    f"own (or {ALWAYS_GOOD:g}); norm_ratio = ||got - exact|| / (eps ||exact||) is at most {AS_GOOD_AS_A_WHOLE:g} times "
    f"NumPy float32's own (or {ALWAYS_GOOD_AS_A_WHOLE:g}), and null where all of it cancels, "
    "||exact|| <= eps of float32 ||magnitude||; every stage is there and nothing else, in the case's shape and dtype; "
    f"above {CHECKED_PAIRS} pairs y and dtheta are looked at in a random sample of queries, and dy is 0 at all others"
)

Entry = dict[str, Any]


class Score(NamedTuple):
    """How far off a stage is, in units of eps: its worst entry, and all of it; None where all of it cancels."""

    ratio: float
    norm_ratio: float | None


Scores = dict[str, Score]


def scores(values: dict[str, np.ndarray], exact: Exacts, dtype: str) -> Scores:
    """Of every stage that is there and was asked for."""
    return {name: score(value, exact[name], EPS[dtype]) for name, value in values.items() if name in exact}


def score(value: np.ndarray, exact: Exact, eps: float) -> Score:
    """Infinite where it is no number or has another shape."""
    if value.shape != exact.value.shape:
        return Score(math.inf, math.inf)
    return Score(float(np.max(error_ratios(value, *exact, eps), initial=0.0)), norm_ratio(value, exact, eps))


def norm_ratio(value: np.ndarray, exact: Exact, eps: float) -> float | None:
    """||got - exact|| / (eps ||exact||).

    A magnitude grows with the number of terms, their rounding with its root alone: among many terms that cancel, an
    error ratio lets a wrong factor pass.  The norm does not.
    """
    whole = norm(exact.value)
    if whole <= EPS["float32"] * norm(exact.magnitude):  # nothing is left of it in float32: no number to be held to
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        off = norm(value.astype(np.float64) - exact.value) / (eps * whole)
    return math.inf if math.isnan(off) else off


def norm(x: np.ndarray) -> float:
    """The root of the sum of squares."""
    return float(np.linalg.norm(x.ravel()))


def judged(values: dict[str, np.ndarray], exact: Exacts, own: Scores, dtype: str) -> list[Entry]:
    """What a row says of every stage, in the order of computation; ``own`` is NumPy's in float32."""
    found = scores(values, exact, dtype)
    there = [
        verdict(found[name], own.get(name)) | wrong_kind(values[name], exact[name].value.shape, dtype) | {"stage": name}
        if name in found
        else failed("it did not come back") | {"stage": name}
        for name in exact
    ]
    spare = [failed("nobody asked for it") | {"stage": name} for name in values if name not in exact]
    return there + spare


def verdict(score: Score, own: Score | None) -> Entry:
    """Whether both numbers are small enough, and how small that is."""
    ratio, whole = score
    own_ratio, own_whole = own or (math.inf, math.inf)
    limit = min(LIMIT, at_most(own_ratio, AS_GOOD, ALWAYS_GOOD))
    whole_limit = at_most(own_whole or 0.0, AS_GOOD_AS_A_WHOLE, ALWAYS_GOOD_AS_A_WHOLE)
    exact_enough = whole is None or whole <= whole_limit
    reason = ""
    if not math.isfinite(ratio):
        reason = "not a finite number"
    elif ratio <= limit and whole is not None and not exact_enough:
        reason = f"off by {whole:.3g} eps of its norm, at most {whole_limit:.3g} passes"
    return {
        "ratio": digits(ratio),
        "limit": digits(limit),
        "numpy_float32_ratio": digits(own_ratio),
        "norm_ratio": None if whole is None else digits(whole),
        "norm_limit": None if whole is None else digits(whole_limit),
        "pass": ratio <= limit and exact_enough,
        "reason": reason,
    }


def at_most(own: float, times: float, always: float) -> float:
    """So many times NumPy's own, or what is good in any case."""
    return max(times * own, always) if math.isfinite(own) else always


def wrong_kind(value: np.ndarray, shape: tuple[int, ...], dtype: str) -> Entry:
    """That it fails, where shape or dtype are not those of the case; nothing otherwise."""
    if value.shape != shape:
        return {"pass": False, "reason": f"came back in shape {value.shape}, not {shape}"}
    if value.dtype.name != dtype:
        return {"pass": False, "reason": f"came back in {value.dtype.name}, not {dtype}"}
    return {}


def failed(reason: str) -> Entry:
    """A stage without numbers."""
    return no_numbers() | {"pass": False, "reason": reason}


def no_numbers() -> Entry:
    """Every number of a row, where there are none."""
    return dict.fromkeys(("ratio", "limit", "numpy_float32_ratio", "norm_ratio", "norm_limit"))


def digits(value: float, count: int = 4) -> float | None:
    """A number with so many significant digits; None where JSON has no word for it."""
    return float(f"{value:.{count}g}") if math.isfinite(value) else None
