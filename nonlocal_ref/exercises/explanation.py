"""Why an output is wrong: what the wrong numbers of the smallest input, and of all larger ones, have in common.

One or two numbers alone confuse mistakes: a row of two entries looks like a multiple of almost anything.  So whatever
is said must hold for the larger inputs as well, and what only a larger one shows is printed with its numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nonlocal_ref.checker import Report, gradcheck
from nonlocal_ref.exercises.attempt import TroubleError
from nonlocal_ref.exercises.hints import OF_A_NUMBER, Hint, exchanged, factor_of_numbers, general, read_hint, same

if TYPE_CHECKING:
    from nonlocal_ref.exercises.ladder import Exercise, Rung, Solution


@dataclass(frozen=True)
class Attempt:
    """What came out for one input and what should have, by name; ``got`` is empty where there was trouble."""

    rung: "Rung"
    right: dict[str, Any]
    got: dict[str, Any]
    trouble: TroubleError | None = None

    def is_wrong(self, name: str) -> bool:
        """Whether there is a number, and another one than there should be."""
        return self.got.get(name) is not None and not same(self.got[name], self.right[name])


def attempt(exercise: "Exercise", mine: Any, rung: "Rung") -> Attempt:
    """Call the learner's function with one input."""
    right = exercise.outputs(exercise.reference, rung)
    try:
        return Attempt(rung, right, exercise.outputs(mine, rung, right))
    except TroubleError as trouble:
        return Attempt(rung, right, {}, trouble)


def first_wrong(exercise: "Exercise", tried: Attempt) -> list[str]:
    """The value alone if it is wrong (the gradient of something else says nothing), else all gradients that are."""
    if not same(tried.got[exercise.value], tried.right[exercise.value]):
        return [exercise.value]
    return [name for name in exercise.gradients if not same(tried.got[name], tried.right[name])]


def explain(
    exercise: "Exercise", mine: Any, fine: "Sequence[Rung]", tried: Sequence[Attempt], wrong: Sequence[str]
) -> dict[str, Any]:
    """Hints, the report of the checker, and the larger inputs that they are read off.

    ``fine`` are inputs that came out right, ``tried`` begins with the smallest that did not.
    """
    measured, report = None, None
    if exercise.value not in wrong:
        measured, report = measure_the_largest(exercise, mine, tried, wrong)
    hints, larger = [], None
    for name in wrong:
        hint, seen = (
            known(exercise, fine, tried, name)
            or not_linear(report, name)
            or fails_later(tried, name)
            or in_common(name, tried, exercise.gradients)
            or proposed(report, name)
            or (None, None)
        )
        hints.append(hint)
        larger = larger or seen
    return {"hints": hints, "larger": larger, "report": report, "measured": measured}


Found = tuple[Hint, Attempt | None] | None  # a hint, and the larger input it is read off, where that is to be printed


def known(exercise: "Exercise", fine: "Sequence[Rung]", tried: Sequence[Attempt], name: str) -> Found:
    """A mistake of the exercise whose numbers are these, and which this input is the first to show."""
    for mistake in exercise.mistakes:
        if (
            all(made(mistake, exercise, one, name) for one in tried)
            and name in wrong_outputs(mistake, exercise, tried[0].rung)
            and not any(name in wrong_outputs(mistake, exercise, rung) for rung in fine)
        ):
            return read_hint(mistake), None
    return None


def made(mistake: "Solution", exercise: "Exercise", tried: Attempt, name: str) -> bool:
    """Whether the learner's ``name`` is that of the mistake; where there is trouble, nothing speaks against it."""
    if tried.trouble is not None:
        return True
    try:
        return same(tried.got[name], exercise.outputs(mistake, tried.rung)[name])
    except TroubleError:
        return False


def wrong_outputs(mistake: "Solution", exercise: "Exercise", rung: "Rung") -> list[str]:
    """What the mistake gets wrong."""
    right = exercise.outputs(exercise.reference, rung)
    return first_wrong(exercise, Attempt(rung, right, exercise.outputs(mistake, rung)))


def not_linear(report: Report | None, name: str) -> Found:
    """A way back that does not follow dy: then no other relation to the right numbers means anything."""
    for problem in () if report is None else report.problems:
        if problem.culprit == name.removeprefix("d") and problem.message.endswith("backward must be linear"):
            return Hint("not_linear", f"{problem.culprit} {problem.message}: is dy used, and just once?"), None
    return None


def fails_later(tried: Sequence[Attempt], name: str) -> Found:
    """What a larger input brings to light: shapes that fit together in a small one by chance."""
    if np.shape(tried[0].got[name]) != np.shape(tried[0].right[name]):  # that says enough
        return None
    for one in tried:
        if one.trouble is not None:
            return Hint(one.trouble.name, f"With a larger input more goes wrong. {one.trouble}"), one
    return None


def in_common(name: str, tried: Sequence[Attempt], gradients: Sequence[str]) -> Found:
    """The relation to the right numbers that all these inputs show, but for the smallest, which may be too small."""
    failing = [one for one in tried if one.is_wrong(name)]
    pairs = [(one.got[name], one.right[name]) for one in failing]
    if all(np.ndim(got) == np.ndim(right) == 0 for got, right in pairs):
        hint = factor_of_numbers(name, pairs)
        if hint is not None:
            return hint, None
    hints = [
        exchanged(name, one.got, one.right, gradients) or general(name, one.got[name], one.right[name])
        for one in failing
    ]
    shown = [(hint, one) for hint, one in zip(hints, failing, strict=True) if hint is not None]
    if not shown or len({hint.name for hint, _ in shown}) > 1 or None in hints[1:]:
        return None
    hint, seen = shown[0]
    if hint.name in OF_A_NUMBER and len({other.text for other, _ in shown}) > 1:
        hint = hint._replace(text=f"{hint.text} With another input the number is another.")
    return hint, None if seen is failing[0] else seen


def proposed(report: Report | None, name: str) -> Found:
    """What the gradient checker proposes for the gradient ``name``, dtheta for theta."""
    found = () if report is None else report.diagnosis.get(name.removeprefix("d"), ())
    return (Hint(found[0].name, f"{name}: perhaps {found[0].text}"), None) if found else None


def measure_the_largest(
    exercise: "Exercise", mine: Any, tried: Sequence[Attempt], wrong: Sequence[str]
) -> tuple[Attempt | None, Report | None]:
    """The report on the largest input with a wrong gradient, as more numbers tell more mistakes apart."""
    for one in reversed(tried):
        if any(one.is_wrong(name) for name in wrong):
            report = measure(exercise, mine, one.rung)
            if report is not None:
                return one, report
    return None, None


def measure(exercise: "Exercise", mine: Any, rung: "Rung") -> Report | None:
    """What `nonlocal_ref.gradcheck` says of the learner's function on this input, where there is a derivative."""
    if exercise.plain or not rung.smooth:
        return None
    try:
        return gradcheck(mine, *rung.args, rng=0, names=exercise.arguments)
    except Exception:  # whatever a learner's object does when it is looked at
        return None
