"""What comes out of an exercise: true or false, and a text that helps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import fill, indent
from typing import TYPE_CHECKING, Any

import numpy as np

from nonlocal_ref.checker import Report
from nonlocal_ref.exercises.attempt import cotangent
from nonlocal_ref.exercises.hints import Hint

if TYPE_CHECKING:
    from nonlocal_ref.exercises.explanation import Attempt
    from nonlocal_ref.exercises.ladder import Exercise, Rung

MOST_ENTRIES = 24  # of an array that is printed whole
WIDTH = 100
DIGITS = (4, 8, 12, 16)  # after the point: as few as tell two numbers apart


@dataclass(frozen=True, repr=False)
class Result:
    """The verdict on one exercise; true when the answer is right.

    Attributes
    ----------
    exercise : str
        Its name.
    right : bool
        Whether everything was right.
    text : str
        What to read; also str(result).
    hints : tuple of Hint
        What is wrong, each with a name and a text.
    inputs : dict
        The smallest input that shows it, by the names of the arguments.
    report : Report or None
        What `nonlocal_ref.gradcheck` says of the answer, where it was asked: of the largest input that shows it, since
        more numbers tell more mistakes apart.
    """

    exercise: str
    right: bool
    text: str
    hints: tuple[Hint, ...] = ()
    inputs: dict[str, Any] | None = None
    report: Report | None = None

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text


def passed(exercise: "Exercise", rungs: "Sequence[Rung]") -> Result:
    """Everything was right."""
    sizes = dict.fromkeys(size_of(exercise, rung) for rung in (rungs[0], max(rungs, key=entries)))
    inputs = "1 input," if len(rungs) == 1 else f"{len(rungs)} inputs, from"
    count = len(exercise.gradients)
    gradients = "its gradient" if count == 1 else f"{count} gradients"
    what = "the value" if exercise.plain else f"the value, {gradients}, and what backward promises"
    return Result(exercise.name, True, f"{exercise.name}: right. {inputs} {' to '.join(sizes)}: {what}.")


def failed(
    exercise: "Exercise",
    tried: "Attempt",
    number: int,
    *,
    wrong: Sequence[str] = (),
    hints: Sequence[Hint | None] = (),
    larger: "Attempt | None" = None,
    report: Report | None = None,
    measured: "Attempt | None" = None,
) -> Result:
    """Something was wrong, first with this input; ``larger`` is the one that a hint was read off, if it is another."""
    inputs = dict(zip(exercise.arguments, tried.rung.args, strict=True))
    said = tuple({hint.name: hint for hint in reversed(hints) if hint is not None}.values())[::-1]
    label = "Hint: " if wrong else ""
    parts = [headline(exercise, wrong)]
    parts += [fill(label + hint.text, WIDTH, subsequent_indent=" " * len(label)) for hint in said]
    if not {hint.name for hint in said} & {"to_be_written", "not_callable"}:
        before = f" ({number} smaller {'was' if number == 1 else 'were'} right)" if number else ""
        about = f": {tried.rung.about}" if tried.rung.about else ""
        parts.append(shown_input(f"The smallest input that shows it{before}{about}", exercise, tried, wrong))
    if larger is not None:
        parts.append(shown_input("The larger input", exercise, larger, wrong))
    if report is not None:
        what = "it" if measured is None or measured is tried else f"a larger input, {size_of(exercise, measured.rung)}"
        parts.append(f"nl.gradcheck says of {what}\n" + indent(str(report), "    "))
    return Result(exercise.name, False, "\n\n".join(parts), said, inputs, report)


def shown_input(head: str, exercise: "Exercise", tried: "Attempt", wrong: Sequence[str]) -> str:
    """An input, what came out, and what should."""
    named = dict(zip(exercise.arguments, tried.rung.args, strict=True))
    if exercise.gradients and tried.got and exercise.value not in wrong:
        named[f"d{exercise.value}"] = cotangent(tried.right[exercise.value])
    lines = [line(name, x) for name, x in named.items()]
    for name in wrong if tried.got else ():
        lines += comparison(name, tried.got[name], tried.right[name])
    return "\n".join([head, *(indent(text, "    ") for text in lines)])


def headline(exercise: "Exercise", wrong: Sequence[str]) -> str:
    """Which of its outputs are wrong, and which are not."""
    if not wrong:
        return f"{exercise.name}: not yet."
    if wrong[0] == exercise.value:
        return f"{exercise.name}: not yet. The value {exercise.value} is not right."
    fine = [name for name in exercise.gradients if name not in wrong]
    also = f" So {'is' if len(fine) == 1 else 'are'} {listed(fine)}." if fine else ""
    verb = "is" if len(wrong) == 1 else "are"
    return f"{exercise.name}: not yet. The value {exercise.value} is right.{also} {listed(wrong)} {verb} not."


def listed(names: Sequence[str]) -> str:
    """dx, dweight and dbias."""
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + [names[-1]])


def comparison(name: str, got: Any, right: Any) -> list[str]:
    """Both numbers, or the entry where they differ most."""
    a, b = np.asarray(got), np.asarray(right)
    if a.shape != b.shape or b.size <= MOST_ENTRIES:
        labels = f"your  {name}", f"right {name}"
        return told_apart(
            lambda digits: [line(label, x, digits) for label, x in zip(labels, (got, right), strict=True)]
        )
    difference = np.nan_to_num(np.abs(a - b), nan=np.inf)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(difference)), b.shape))
    yours, correct = told_apart(lambda digits: [plain_number(x[index], digits) for x in (a, b)])
    return [f"{name} differs most at {list(index)}: yours {yours}, right {correct}"]


def told_apart(write: Callable[[int], list[str]]) -> list[str]:
    """Both numbers with few digits, more where they would look the same."""
    return next(
        (texts for texts in map(write, DIGITS) if texts[0].split("=")[-1] != texts[1].split("=")[-1]), write(DIGITS[-1])
    )


def line(name: str, x: Any, digits: int = DIGITS[0]) -> str:
    """``name = value`` in few characters; ``digits`` after the point in an array."""
    if isinstance(x, np.ndarray):
        if x.size > MOST_ENTRIES:
            return f"{name}: shape {x.shape}"
        text = np.array2string(x, precision=digits, suppress_small=True, separator=", ", prefix=f"{name} = ")
        return f"{name} = {text}"
    if callable(x):
        return f"{name} = {getattr(x, '__doc__', None) or getattr(x, '__name__', 'a function')}"
    return f"{name} = {plain_number(x, digits)}"


def plain_number(x: Any, digits: int) -> str:
    """A number as people write it, not np.float64(2.5); two digits more in all than an array has after the point."""
    return f"{x:.{digits + 2}g}" if isinstance(x, (float, np.floating)) else f"{x}"


def size_of(exercise: "Exercise", rung: "Rung") -> str:
    """The size of an input: the shapes of its arrays, or its numbers."""
    named = zip(exercise.arguments, rung.args, strict=True)
    return ", ".join(f"{name} {x.shape}" if isinstance(x, np.ndarray) else line(name, x) for name, x in named)


def entries(rung: "Rung") -> float:
    """How large an input is."""
    sizes = (x.size if isinstance(x, np.ndarray) else x for x in rung.args)
    return float(sum(size for size in sizes if isinstance(size, (int, float))))
