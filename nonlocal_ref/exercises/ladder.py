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
from nonlocal_ref.exercises.attempt import outputs, quiet
from nonlocal_ref.exercises.explanation import attempt, explain, first_wrong, measure
from nonlocal_ref.exercises.hints import Hint
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
        What this input is there to show: "large scores".  It shows that alone: it explains nothing that is wrong with
        smaller inputs.
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
    first = attempt(exercise, mine, rung)
    if first.trouble is not None:
        return failed(exercise, first, number, hints=[Hint(first.trouble.name, str(first.trouble))])
    wrong = first_wrong(exercise, first)
    if wrong:
        larger = [attempt(exercise, mine, other) for other in rungs[number + 1 :] if not other.about]
        return failed(
            exercise, first, number, wrong=wrong, **explain(exercise, mine, rungs[:number], [first, *larger], wrong)
        )
    report = measure(exercise, mine, rung)
    if report is not None and report.problems:  # right numbers, but something is changed on the way
        hints = [Hint("promise", f"{problem.culprit} {problem.message}.") for problem in report.problems]
        return failed(exercise, first, number, hints=hints, report=report, measured=first)
    return None


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Random numbers of two decimals, that a person can read: the same for the same shape and seed."""
    return np.round(np.random.default_rng((seed, *shape)).normal(size=shape), 2) + 0.0  # no -0.0
