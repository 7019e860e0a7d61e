"""What the checker found: numbers as attributes, and text that a person can act on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from nonlocal_ref.checker.contract import Problem
from nonlocal_ref.checker.verdict import Entry
from nonlocal_ref.wording import columns, sentence

METHOD_NAMES = {
    "complex": "complex step",
    "central": "central difference",
    "fourth": "fourth-order difference",
    "adjoint": "adjoint identity",
    "none": "-",
}


Cause = Literal[
    "zero_gradient",
    "constant_factor",
    "permuted",
    "missing_sum",
    "missing_term",
    "softmax_jacobian",
    "scale_twice",
    "another_argument",
    "index_ignored",
    "stale_value",
]


class Proposal(NamedTuple):
    """What may be wrong: a name for programs, and a sentence for people.

    Attributes
    ----------
    name : Cause
        "zero_gradient", "constant_factor", "permuted", "missing_sum", "missing_term", "softmax_jacobian",
        "scale_twice", "another_argument", "index_ignored" or "stale_value".
    text : str
        What the gradient is, in numbers, and what may have led to it.
    """

    name: Cause
    text: str


@dataclass(frozen=True)
class LeafReport:
    """The verdict on the gradient of one array.

    Attributes
    ----------
    name, shape
        Which array: the argument's name, or ``argument.key`` for an array in a dict.
    status : {"right", "wrong", "inconclusive"}
    method : {"complex", "central", "fourth", "adjoint", "none"}
        How the derivative was measured.
    analytic, numeric : float
        Of the worst comparison, what backward gave and what was measured: a derivative along a random direction, or in
        mode "full" an entry of the gradient.
    error, bound : float
        Their distance, and how large it may be.
    worst : tuple of int or None
        Index of the worst entry, where entries were looked at.
    worst_entry : Entry or None
        The verdict on that entry.
    zero : bool
        Whether all that was compared is zero within rounding, so that nothing else was checked.
    smooth, kinked : int
        How many directions or entries were compared, and how many had a kink and were not.
    notes : tuple of str
        What else there is to know.
    diagnosis : tuple of Proposal
        What may be wrong, the likeliest first; empty where nothing is, or nothing fits.
    """

    name: str
    shape: tuple[int, ...]
    status: str
    method: str = "none"
    analytic: float = np.nan
    numeric: float = np.nan
    error: float = np.nan
    bound: float = np.nan
    worst_entry: Entry | None = None
    zero: bool = False
    smooth: int = 0
    kinked: int = 0
    notes: tuple[str, ...] = ()
    diagnosis: tuple[Proposal, ...] = ()

    @property
    def worst(self) -> tuple[int, ...] | None:
        """Index of the worst entry, where entries were looked at."""
        return None if self.worst_entry is None else self.worst_entry.position

    @property
    def relative_error(self) -> float:
        """The error in units of the larger of the two numbers; 0 where both are 0."""
        largest = max(abs(self.analytic), abs(self.numeric))
        return self.error / largest if largest > 0 else self.error


@dataclass(frozen=True, repr=False)
class Report:
    """The verdict on an operation; true when every gradient is right and every promise of the contract is kept.

    Attributes
    ----------
    op : str
        Name of the operation.
    status : {"right", "wrong", "inconclusive"}
    leaves : tuple of LeafReport
        One per array that gets a gradient; ``report["theta"]`` finds one by name.
    problems : tuple of Problem
        Promises of the contract that were not kept, each with a culprit and a message.
    constants : tuple of str
        Float arrays in dicts that the operation returned no gradient for.
    notes : tuple of str
        What else there is to know.
    seed : int
        ``rng=seed`` repeats the check.
    mode : {"fast", "full"}
    directions : int
    """

    op: str
    leaves: tuple[LeafReport, ...]
    problems: tuple[Problem, ...]
    constants: tuple[str, ...]
    notes: tuple[str, ...]
    seed: int
    mode: str
    directions: int

    @property
    def status(self) -> str:
        """The worst status of all."""
        found = {leaf.status for leaf in self.leaves}
        if self.problems or "wrong" in found:
            return "wrong"
        return "right" if found == {"right"} else "inconclusive"

    @property
    def diagnosis(self) -> dict[str, tuple[Proposal, ...]]:
        """What may be wrong, by the name of the array; only those for which there is a proposal."""
        return {leaf.name: leaf.diagnosis for leaf in self.leaves if leaf.diagnosis}

    def __bool__(self) -> bool:
        return self.status == "right"

    def __iter__(self) -> Iterator[LeafReport]:
        return iter(self.leaves)

    def __getitem__(self, name: str) -> LeafReport:
        """The report on one array, by name; the key of a dict argument will do where it is the only one."""
        matches = [leaf for leaf in self.leaves if leaf.name == name]
        matches = matches or [leaf for leaf in self.leaves if leaf.name.partition(".")[2] == name]
        if len(matches) != 1:
            msg = f"no gradient was checked for {name!r}; there are {', '.join(leaf.name for leaf in self.leaves)}"
            raise KeyError(msg)
        return matches[0]

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        repeat = f"repeat with rng={self.seed}, mode={self.mode!r}, directions={self.directions}"
        said = [sentence(label, text) for label, text in (*self._wrong(), *_proposed(self.leaves), *self._notes())]
        return "\n".join([self._headline(), "", *_table(self.leaves), "", *said, repeat])

    def _wrong(self) -> Iterator[tuple[str, str]]:
        """Broken promises, and where each gradient is worst."""
        yield from (("wrong: ", f"{problem.culprit} {problem.message}") for problem in self.problems)
        yield from (
            ("wrong: ", _where(leaf.name, leaf.worst_entry))
            for leaf in self.leaves
            if leaf.status == "wrong" and leaf.worst_entry
        )

    def _notes(self) -> Iterator[tuple[str, str]]:
        """What else there is to know; what is said of several arrays is said once."""
        tried = "entries" if self.mode == "full" else "directions"
        for note in dict.fromkeys(note for leaf in self.leaves for note in leaf.notes):
            yield "note: ", f"{', '.join(leaf.name for leaf in self.leaves if note in leaf.notes)}: {note}"
        for leaf in self.leaves:
            if leaf.kinked:
                count = f"{leaf.kinked} of {leaf.smooth + leaf.kinked}"
                yield "note: ", f"{leaf.name}: {count} {tried} had a kink and were not compared"
        zero = [leaf.name for leaf in self.leaves if leaf.zero and leaf.status == "right"]
        if zero:
            yield "note: ", f"{', '.join(zero)}: zero within rounding for these arguments, nothing else was checked"
        if self.constants:
            yield "note: ", f"{', '.join(self.constants)}: no gradient returned, so taken as constant"
        yield from (("note: ", note) for note in self.notes)

    def _headline(self) -> str:
        count = len(self.leaves)
        gradients = "gradient" if count == 1 else "gradients"
        if self.status == "right":
            return f"{self.op}: right ({count} {gradients} checked)"
        bad = [leaf.name for leaf in self.leaves if leaf.status == self.status]
        culprits = dict.fromkeys([*(problem.culprit for problem in self.problems), *bad])
        return f"{self.op}: {self.status.upper()}: {', '.join(culprits)}"


def _table(leaves: tuple[LeafReport, ...]) -> list[str]:
    """One row per gradient, columns lined up."""
    rows = [("gradient of", "shape", "verdict", "backward gives", "measured", "difference", "allowed", "method")]
    for leaf in leaves:
        numbers = (f"{leaf.analytic:.8g}", f"{leaf.numeric:.8g}", f"{leaf.error:.1e}", f"{leaf.bound:.1e}")
        if leaf.method == "none" or leaf.smooth == 0:
            numbers = ("-",) * 4
        rows.append((leaf.name, str(leaf.shape), leaf.status, *numbers, METHOD_NAMES[leaf.method]))
    return columns(rows, range(3, 7))


def _where(name: str, worst: Entry) -> str:
    """Where to look first."""
    verdict = worst.verdict
    return (
        f"{name} is worst at {list(worst.position)}: backward gives {verdict.analytic:.10g}, measured "
        f"{verdict.numeric:.10g} (difference {verdict.error:.1e}, allowed {verdict.bound:.1e})"
    )


def _proposed(leaves: tuple[LeafReport, ...]) -> list[tuple[str, str]]:
    """What may be wrong; what is said of several arrays is said once."""
    said: dict[tuple[Proposal, ...], list[str]] = {}
    for leaf in leaves:
        if leaf.diagnosis:
            said.setdefault(leaf.diagnosis, []).append(leaf.name)
    return [
        ("or: " if rank else "perhaps: ", f"{', '.join(names)}: {proposal.text}")
        for proposals, names in said.items()
        for rank, proposal in enumerate(proposals)
    ]
