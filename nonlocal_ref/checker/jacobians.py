"""∂y / ∂leaf, measured entry by entry: once for each leaf, and for no longer than it may take.

One complex step, or one central difference, an entry: enough to say where a gradient is worst, and to test what may be
wrong with it.  Whether it is wrong is not decided here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import numpy as np

from nonlocal_ref.checker.differences import TINY_STEP, central, complex_step
from nonlocal_ref.checker.evaluation import Evaluation
from nonlocal_ref.checker.leaves import Values

MOST_ENTRIES = 128  # of a leaf
MOST_NUMBERS = 1_000_000  # in one Jacobian
MOST_RUNS = 1000  # of the operation, beyond the verdict
MOST_SECONDS = 30.0


class CutShortError(Exception):
    """The operation has been run as often, or for as long, as it may be."""


class Runs:
    """How often, and for how long, an operation that has a wrong gradient may be run to find out more."""

    def __init__(self) -> None:
        self.most, self.seconds = MOST_RUNS, MOST_SECONDS
        self.made, self.took = 0, 0.0
        self.cut_short = False

    @contextmanager
    def of(self, count: int) -> Iterator[None]:
        """So many runs (0: backward alone, which takes its time as well); raises where there may be no more."""
        if not self.allows(count, self.most, self.seconds):
            raise CutShortError
        self.made += count
        start = monotonic()
        try:
            yield
        finally:
            self.took += monotonic() - start

    def allows(self, count: int, most: int, seconds: float) -> bool:
        """Whether that is within the limits; it is remembered where it was not."""
        allowed = self.made + count <= most and self.took <= seconds
        self.cut_short = self.cut_short or not allowed
        return allowed

    def half(self) -> tuple[int, float]:
        """The limits for one leaf: half of what is left, so that there is some for the next."""
        return (self.made + self.most) // 2, (self.took + self.seconds) / 2


class Jacobians:
    """Those of one operation at one set of arguments; ``methods`` says how the derivative of each leaf was measured."""

    def __init__(self, evaluation: Evaluation, seed: int) -> None:
        self.evaluation = evaluation
        self.runs = Runs()
        self.methods: dict[int, str] = {}
        self._rng = np.random.default_rng([seed, 2])  # not the checker's own: a diagnosis must not move a verdict
        self._found: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def of(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Which entries of a leaf were measured, all or a random choice, and ∂y by them, (outputs, entries)."""
        if position not in self._found:
            size, outputs = self.evaluation.values[position].size, int(np.prod(self.evaluation.shape))
            order = self._rng.permutation(size)[: min(MOST_ENTRIES, max(MOST_NUMBERS // max(outputs, 1), 1))]
            columns: list[np.ndarray] = []
            limits, cost = self.runs.half(), self.cost(position)
            for entry in order:
                if columns and not self.runs.allows(cost, *limits):
                    break
                columns.append(self.measure(position, np.asarray([entry]), self.evaluation.values))
            found = np.concatenate(columns, axis=1) if columns else np.zeros((outputs, 0))
            entries = order[: len(columns)]
            known = np.flatnonzero(np.all(np.isfinite(found), axis=0))  # it may have no value a step away
            known = known[np.argsort(entries[known])]
            self._found[position] = entries[known], found[:, known]
        return self._found[position]

    def cost(self, position: int) -> int:
        """Runs of the operation for one slope."""
        return 1 if self.methods.get(position) == "complex" else 2

    def measure(self, position: int, entries: np.ndarray, values: Values) -> np.ndarray:
        """The same columns at any values; NaN where the operation has none."""
        columns = []
        for entry in entries:
            v = np.zeros(values[position].size)
            v[entry] = 1.0
            columns.append(self.along(position, v, values))
        return np.stack(columns, axis=1) if columns else np.zeros((int(np.prod(self.evaluation.shape)), 0))

    def along(self, position: int, v: np.ndarray, values: Values) -> np.ndarray:
        """The derivative of y along v, (outputs,)."""
        line = self.evaluation.line(position, v.reshape(values[position].shape), values)
        scale = self.evaluation.arguments.leaves[position].scale
        with self.runs.of(self.cost(position)), np.errstate(all="ignore"):
            if self.methods.get(position) == "complex":
                return np.asarray(complex_step(line, TINY_STEP * scale)).ravel()
            return np.asarray(central(line, scale * self.evaluation.eps ** (1 / 3))).ravel()
