"""The common part of every exercise: one function of the learner, compared on inputs that grow.

    exercise = Exercise("relu", ("x",), "y", relu, ladder, mistakes)
    climb(exercise, mine)  ->  Result, true when everything is right

A new exercise is a reference solution, a ladder of inputs (smallest first), and the mistakes that people make.  A
mistake is a wrong solution whose docstring is the hint: where the learner's numbers are those of the wrong solution,
its docstring is shown.  What the learner hands in is never trusted: see attempt.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.checker import Report, gradcheck
from nonlocal_ref.exercises.attempt import TroubleError, outputs, quiet
from nonlocal_ref.exercises.hints import Hint, exchanged, general, read_hint, same
from nonlocal_ref.exercises.result import Result, failed, passed
from nonlocal_ref.ops import Backward

Solution = Callable[..., Any]
Pair = tuple[Array, Backward]


@dataclass(frozen=True)
class Rung:
    """One input of the ladder.

    Attributes
    ----------
    args : tuple
        What the learner's function is called with.
    about : str
        What this input is there to show: "large scores".
    smooth : bool
        False where the function has no derivative: then the gradient is compared with the reference's, not measured.
    """

    args: tuple[Any, ...]
    about: str = ""
    smooth: bool = True


@dataclass(frozen=True)
class Exercise:
    """What is asked, and how an answer is judged.

    Attributes
    ----------
    name : str
        What the function is called on the page.
    arguments : tuple of str
        Names of its arguments, in order.
    value : str
        Name of what it returns.
    reference : callable
        The right solution, ``y, backward = reference(*args)``; a plain function where ``plain`` is set.
    ladder : callable
        Makes the inputs, smallest first.
    mistakes : tuple of callable
        Wrong solutions, in the order in which they are looked for; name and docstring are name and text of the hint.
    constants : tuple of str
        Arguments that get no gradient.
    plain : bool
        The function returns its value alone.
    """

    name: str
    arguments: tuple[str, ...]
    value: str
    reference: Solution
    ladder: Callable[[], list[Rung]]
    mistakes: tuple[Solution, ...] = ()
    constants: tuple[str, ...] = ()
    plain: bool = False

    @property
    def gradients(self) -> tuple[str, ...]:
        """Names of what ``backward`` returns, in order."""
        return () if self.plain else tuple(f"d{name}" for name in self.arguments if name not in self.constants)

    @property
    def call(self) -> str:
        """How the function is called: ``p, backward = softmax(scores)``."""
        result = self.value if self.plain else f"{self.value}, backward"
        return f"{result} = {self.name}({', '.join(self.arguments)})"

    def outputs(self, solution: Any, rung: Rung, right: dict[str, Any] | None = None) -> dict[str, Any]:
        """Value and gradients of a solution for one input, by name; ``right`` is what they are held against."""
        return outputs(solution, rung.args, self.value, self.gradients, self.call, right)


def climb(exercise: Exercise, mine: Any) -> Result:
    """Compare the learner's function with the reference, smallest input first; stop at the first that is wrong.

    Parameters
    ----------
    exercise : Exercise
        What is asked.
    mine : callable
        What the learner hands in; anything else is explained, not raised.

    Returns
    -------
    Result
        True when every input came out right; str(result) explains.

    Examples
    --------
    >>> from nonlocal_ref.ops import relu
    >>> exercise = Exercise("relu", ("x",), "y", relu, lambda: [Rung((normal(2, 3),))])
    >>> climb(exercise, relu)
    relu: right. 1 input, x (2, 3): the value, its gradient, and what backward promises.
    """
    rungs = exercise.ladder()
    for number in range(len(rungs)):
        with quiet():
            result = check_rung(exercise, mine, rungs, number)
        if result is not None:
            return result
    return passed(exercise, rungs)


def check_rung(exercise: Exercise, mine: Any, rungs: Sequence[Rung], number: int) -> Result | None:
    """None if the answer to one input is right, else what is wrong with it."""
    rung = rungs[number]
    right = exercise.outputs(exercise.reference, rung)
    try:
        got = exercise.outputs(mine, rung, right)
    except TroubleError as trouble:
        return failed(exercise, rung, number, right, {}, hints=[Hint(trouble.name, str(trouble))])
    wrong = first_wrong(exercise, got, right)
    report = None if exercise.value in wrong else measure(exercise, mine, rung)
    if wrong:
        hints = [find_hint(exercise, mine, rungs[number:], name) or proposed(report, name) for name in wrong]
        return failed(exercise, rung, number, right, got, wrong=wrong, hints=hints, report=report)
    if report is not None and report.problems:  # right numbers, but something is changed on the way
        hints = [Hint("promise", f"{problem.culprit} {problem.message}.") for problem in report.problems]
        return failed(exercise, rung, number, right, got, hints=hints, report=report)
    return None


def first_wrong(exercise: Exercise, got: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """The value alone if it is wrong (the gradient of something else says nothing), else all gradients that are."""
    if not same(got[exercise.value], right[exercise.value]):
        return [exercise.value]
    return [name for name in exercise.gradients if not same(got[name], right[name])]


def measure(exercise: Exercise, mine: Any, rung: Rung) -> Report | None:
    """What `nonlocal_ref.gradcheck` says of the learner's function on this input, where there is a derivative."""
    if exercise.plain or not rung.smooth:
        return None
    try:
        return gradcheck(mine, *rung.args, rng=0, names=exercise.arguments)
    except Exception:  # whatever a learner's object does when it is looked at
        return None


def proposed(report: Report | None, name: str) -> Hint | None:
    """What the gradient checker proposes for the gradient ``name``, dtheta for theta."""
    found = () if report is None else report.diagnosis.get(name.removeprefix("d"), ())
    return Hint(found[0].name, f"{name}: perhaps {found[0].text}") if found else None


def find_hint(exercise: Exercise, mine: Any, rungs: Sequence[Rung], name: str) -> Hint | None:
    """What to say of the output ``name``, which is wrong on the first of these inputs."""
    for mistake in exercise.mistakes:
        if made(mistake, exercise, mine, rungs, name):
            return read_hint(mistake)
    for rung in rungs:  # with one number alone little can be told
        right = exercise.outputs(exercise.reference, rung)
        try:
            got = exercise.outputs(mine, rung, right)
        except TroubleError:
            continue
        hint = exchanged(name, got, right, exercise.gradients) or general(name, got[name], right[name])
        if hint is not None:
            return hint
    return None


def made(mistake: Solution, exercise: Exercise, mine: Any, rungs: Sequence[Rung], name: str) -> bool:
    """Whether the learner's ``name`` is that of the mistake, here and on all larger inputs: small ones confuse them."""
    for rung in rungs:
        right = exercise.outputs(exercise.reference, rung)
        try:
            got = exercise.outputs(mine, rung, right)
        except TroubleError:  # something else happens there
            continue
        try:
            wrong = exercise.outputs(mistake, rung)
        except TroubleError:
            return False
        if not same(got[name], wrong[name]):
            return False
        if rung is rungs[0] and name not in first_wrong(exercise, wrong, right):
            return False
    return True


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Random numbers of two decimals, that a person can read: the same for the same shape and seed."""
    return np.round(np.random.default_rng((seed, *shape)).normal(size=shape), 2) + 0.0  # no -0.0
