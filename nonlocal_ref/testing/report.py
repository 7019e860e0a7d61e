"""What a comparison with the reference found: numbers as attributes, and text that a person can act on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from nonlocal_ref.testing.traps import TRAPS
from nonlocal_ref.wording import columns


class Finding(NamedTuple):
    """A known mistake whose numbers are the implementation's: its name, one of `TRAPS` as a rule, and what happened."""

    name: str
    what: str


@dataclass(frozen=True)
class Row:
    """One array of the implementation beside the reference's."""

    name: str
    shape: tuple[int, ...]
    ratio: float
    limit: float
    index: tuple[int, ...]
    got: float
    expected: float

    @property
    def right(self) -> bool:
        """Whether the error ratio is within the limit."""
        return self.ratio <= self.limit


@dataclass(frozen=True, repr=False)
class ConformanceReport:
    """How an implementation compares with the reference; true when everything that it computes is right.

    Attributes
    ----------
    subject : str
        What was compared with what.
    rows : tuple of Row
        One an array: y or z, and every gradient; ``report["dx"]`` finds one by name.
    findings : tuple of Finding
        The mistakes that give the same numbers.
    problems : tuple of str
        What went wrong besides the numbers: an exception, a gradient that is missing, inputs that were changed.
    notes : tuple of str
        What else there is to know.
    seed : int
        ``rng=seed`` repeats the comparison.
    call : str
        What repeats it in Python, where it was not called from there; the command line fills it in.
    gradient_check : Report or None
        Where gradients are wrong in no known way: what `nonlocal_ref.gradcheck` says of the implementation by itself.
    """

    subject: str
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    seed: int
    gradient_check: Any = None
    call: str = ""

    def __bool__(self) -> bool:
        return bool(self.rows) and not self.problems and not self.findings and all(row.right for row in self.rows)

    @property
    def traps(self) -> tuple[str, ...]:
        """Names of the traps it fell into, out of `TRAPS`."""
        return tuple(dict.fromkeys(finding.name for finding in self.findings if finding.name in TRAPS))

    @property
    def worst(self) -> float:
        """The largest error ratio."""
        return max((row.ratio for row in self.rows), default=float("inf"))

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        msg = f"nothing was compared under the name {name!r}; there are {', '.join(row.name for row in self.rows)}"
        raise KeyError(msg)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = [self._headline(), "", *_table(self.rows)]
        lines += [f"trap: {name}: {what}" if name in TRAPS else f"{name}: {what}" for name, what in self.findings]
        lines += [f"problem: {problem}" for problem in self.problems]
        lines += [f"note: {note}" for note in self.notes]
        if self.gradient_check is not None:
            by_itself, _, _ = str(self.gradient_check).rpartition("\n")  # how to repeat it is said once, at the end
            lines += ["", "by itself, without the reference:", by_itself.rstrip(), ""]
        lines.append(f"repeat with {self.call or f'rng={self.seed}'}")
        return "\n".join(lines)

    def _headline(self) -> str:
        if self:
            count = len(self.rows)
            return (
                f"{self.subject}: right ({count} {'array' if count == 1 else 'arrays'}, error ratio {self.worst:.2g})"
            )
        wrong = [row.name for row in self.rows if not row.right]
        return f"{self.subject}: WRONG{': ' if wrong else ''}{', '.join(wrong)}"


class ConformanceError(AssertionError):
    """An implementation does not agree with the reference; ``report`` has the details, and so has the text."""

    def __init__(self, report: ConformanceReport) -> None:
        super().__init__(str(report))
        self.report = report


def _table(rows: tuple[Row, ...]) -> list[str]:
    """One line an array, columns lined up; nothing where nothing could be compared."""
    if not rows:
        return []
    cells = [("array", "shape", "error ratio", "at most", "verdict", "worst entry", "implementation", "reference")]
    for row in rows:
        verdict = "right" if row.right else "WRONG"
        numbers = (f"{row.ratio:.2g}", f"{row.limit:g}")
        entry = (str(list(row.index)), f"{row.got:.9g}", f"{row.expected:.9g}")
        cells.append((row.name, str(row.shape), *numbers, verdict, *entry))
    return [*columns(cells, {2, 3, 6, 7}), ""]
