"""What a hypothesis can look at and ask for: the gradient that came, the measured one, and both for other cotangents.

backward is linear, so it is a matrix, and so is the measured derivative.  With J the measured Jacobian (y by entries of
one leaf), the right gradient is J ᵀ u for every cotangent u, also for one that a hypothesis makes up: u on one slice of
y alone, u orthogonal to y, u transposed.  J is measured once, entry by entry; of a large array only some entries are.

given           what backward gave for the scene's random cotangents, (cotangents, all entries)
came            the measured entries of it, (cotangents, entries): what a hypothesis must explain
right           what it must be, J ᵀ u; the error is right - came
given_matrix    what backward gives for unit cotangents, (outputs, entries): the matrix that backward is
right_matrix    what it must be: the rows of J
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nonlocal_ref.backend import to_numpy
from nonlocal_ref.checker.contract import Call, ContractError, unusable
from nonlocal_ref.checker.diagnosis.constants import Constants, read_constants
from nonlocal_ref.checker.diagnosis.known_operation.recognition import Recognised, recognise
from nonlocal_ref.checker.differences import TINY_STEP, central, complex_step
from nonlocal_ref.checker.evaluation import Evaluation
from nonlocal_ref.checker.leaves import Leaf, Values

COTANGENTS = 4
MOST_ENTRIES = 128  # columns of J that are measured
FEW_ENTRIES = 12  # of them, where the operation is run at other values
MOST_OUTPUTS = 128  # rows of the two matrices that are compared
MOST_NUMBERS = 1_000_000  # in one measured Jacobian
MOST_RECOGNISED = 20_000  # entries of an array, of an operation that is written out with every mistake
LEAST_TOLERANCE = 1e-6  # far above what a measured derivative is off, far below any mistake that has a name
PART_OF_ERROR = 0.02  # what a hypothesis leaves unexplained is this small beside what it explains


class Scene:
    """One operation at one set of arguments, asked by every hypothesis on every leaf."""

    def __init__(self, evaluation: Evaluation, methods: dict[int, str], seed: int) -> None:
        self.evaluation = evaluation
        self.call: Call = evaluation.call
        self.methods = methods  # how each leaf's derivative was measured
        self.rng = np.random.default_rng([seed, 1])  # not the checker's own: a diagnosis must not move a verdict
        self.values: Values = evaluation.values
        self.y: np.ndarray = self.call.y_values.astype(np.float64)
        self.cotangents = self.draw(COTANGENTS)
        self.tolerance = max(LEAST_TOLERANCE, 50 * evaluation.eps ** (2 / 3))
        self._columns: dict[int, np.ndarray] = {}
        self._entries: dict[int, np.ndarray] = {}

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """All arrays among the arguments."""
        return self.evaluation.arguments.leaves

    @cached_property
    def constants(self) -> Constants:
        """Numbers, masks and settings that the operation was called with or holds in its closure."""
        return read_constants(self.call.op, self.evaluation.arguments)

    @cached_property
    def recognised(self) -> Recognised | None:
        """The operation as we write it, where it is one that we know."""
        if max(self.y.size, *(x.size for x in self.values)) > MOST_RECOGNISED:
            return None
        return recognise(self.leaves, self.values, self.y, self.cotangents, self.constants)

    def draw(self, count: int) -> np.ndarray:
        """Random cotangents, exact in the dtype of y."""
        drawn = self.rng.normal(size=(count, *self.y.shape)).astype(self.call.y_values.dtype)
        return np.asarray(drawn, dtype=np.float64)

    @cached_property
    def returned(self) -> list[dict[int, Any]]:
        """What backward returns for each of the cotangents."""
        return [self.call.returned(u) for u in self.cotangents]

    def entries(self, position: int) -> np.ndarray:
        """Which entries of a leaf are measured: all, or a random choice."""
        if position not in self._entries:
            size = self.values[position].size
            most = min(MOST_ENTRIES, max(MOST_NUMBERS // max(self.y.size, 1), 1))
            chosen = np.arange(size) if size <= most else np.sort(self.rng.choice(size, most, replace=False))
            self._entries[position] = chosen
        return self._entries[position]

    def jacobian(self, position: int) -> np.ndarray:
        """Measured ∂y / ∂leaf, (outputs, entries)."""
        if position not in self._columns:
            entries = self.entries(position)
            found = self.measure(position, entries, self.values)
            known = np.all(np.isfinite(found), axis=0)  # the operation may have no value a step away
            self._columns[position], self._entries[position] = found[:, known], entries[known]
        return self._columns[position]

    def gradient(self, position: int, u: np.ndarray) -> np.ndarray:
        """What backward gives to one array for one more cotangent."""
        found = self.call.gradients(u)
        if position not in found:
            raise ContractError(self.leaves[position].name, "gets no gradient for another dy")
        return found[position].ravel()

    def measure(self, position: int, entries: np.ndarray, values: Values) -> np.ndarray:
        """The same at any values; NaN where the operation has none."""
        columns = [self._slope(position, entry, values).ravel() for entry in entries]
        return np.stack(columns, axis=1) if columns else np.zeros((self.y.size, 0))

    def _slope(self, position: int, entry: int, values: Values) -> np.ndarray:
        v = np.zeros(values[position].size)
        v[entry] = 1.0
        line = self.evaluation.line(position, v.reshape(values[position].shape), values)
        scale = self.leaves[position].scale
        with np.errstate(all="ignore"):
            if self.methods.get(position) == "complex":
                return np.asarray(complex_step(line, TINY_STEP * scale))
            return np.asarray(central(line, scale * self.evaluation.eps ** (1 / 3)))

    def right(self, position: int, cotangents: np.ndarray) -> np.ndarray:
        """The measured gradient for each cotangent, (cotangents, entries)."""
        return np.asarray(cotangents.reshape(len(cotangents), -1) @ self.jacobian(position))


@dataclass(frozen=True)
class Evidence:
    """One leaf with a wrong gradient of the right shape; ``through`` is what both gradients were freed of."""

    scene: Scene
    position: int
    through: float = 0.0  # of the cotangent itself: a path straight through, as a residual has

    @property
    def leaf(self) -> Leaf:
        """The array."""
        return self.scene.leaves[self.position]

    @property
    def name(self) -> str:
        """Its name."""
        return self.leaf.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.leaf.values.shape

    @property
    def values(self) -> np.ndarray:
        """Its values."""
        return self.scene.values[self.position]

    @cached_property
    def entries(self) -> np.ndarray:
        """Which entries are measured."""
        self.scene.jacobian(self.position)  # leaves out what has no value
        return self.scene.entries(self.position)

    @property
    def complete(self) -> bool:
        """Whether every entry is."""
        return len(self.entries) == self.leaf.values.size

    @cached_property
    def jacobian(self) -> np.ndarray:
        """Measured, (outputs, entries); less the path straight through."""
        found = self.scene.jacobian(self.position)
        if not self.through:
            return found
        return np.asarray(found - self.through * (np.arange(self.scene.y.size)[:, None] == self.entries))

    @cached_property
    def given(self) -> np.ndarray:
        """What backward gave for the scene's cotangents, (cotangents, all entries)."""
        rows = [to_numpy(found[self.position]).astype(np.float64).ravel() for found in self.scene.returned]
        return np.stack(rows) - self.through * self._straight(self.scene.cotangents)

    @cached_property
    def came(self) -> np.ndarray:
        """The measured entries of it."""
        return np.asarray(self.given[:, self.entries])

    @property
    def equations(self) -> int:
        """How many independent ones it takes to explain what came."""
        return min(len(self.came), self.scene.y.size) * len(self.entries)

    @cached_property
    def right(self) -> np.ndarray:
        """What it must be, (cotangents, entries)."""
        return self.right_for(self.scene.cotangents)

    @cached_property
    def error(self) -> np.ndarray:
        """What is missing: right - came."""
        return np.asarray(self.right - self.came)

    def right_for(self, cotangents: np.ndarray) -> np.ndarray:
        """What it must be for other cotangents."""
        return np.asarray(cotangents.reshape(len(cotangents), -1) @ self.jacobian)

    def given_for(self, cotangents: np.ndarray) -> np.ndarray:
        """What backward gives for other cotangents, at the measured entries."""
        rows = [self.scene.gradient(self.position, u) for u in cotangents]
        found = np.stack(rows) - self.through * self._straight(cotangents)
        return np.asarray(found[:, self.entries])

    def _straight(self, cotangents: np.ndarray) -> np.ndarray | float:
        return cotangents.reshape(len(cotangents), -1) if self.through else 0.0

    def less_the_path_straight_through(self) -> "Evidence | None":
        """The same without what a residual path carries; None where there can be none."""
        if self.shape != self.scene.y.shape or self.through or self.scene.y.size < 2:
            return None
        return replace(self, through=1.0)

    def others(self) -> Iterator["Evidence"]:
        """The other arrays that get a gradient."""
        for position in self.scene.returned[0]:
            if position != self.position and self.scene.values[position].size:
                yield Evidence(self.scene, position)

    def explained_by(self, candidate: np.ndarray) -> bool:
        """Whether a candidate for the measured entries is what came, for every cotangent."""
        return self.close(candidate, self.came, float(np.max(np.abs(self.error), initial=0.0)))

    def close(self, a: np.ndarray, b: np.ndarray, error: float = np.inf) -> bool:
        """Equal but for the errors of measuring, and far closer than the mistake in question is large."""
        if a.shape != b.shape:
            return False
        size = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
        off = float(np.max(np.abs(a - b), initial=0.0))
        return bool(off <= min(self.scene.tolerance * size, PART_OF_ERROR * error))

    @property
    def wrong(self) -> bool:
        """Whether there is anything to explain in the precision of the diagnosis."""
        size = max(float(np.max(np.abs(self.came), initial=0.0)), float(np.max(np.abs(self.right), initial=0.0)))
        return bool(np.max(np.abs(self.error), initial=0.0) > 1e3 * self.scene.evaluation.eps * size)

    @cached_property
    def outputs(self) -> np.ndarray:
        """Which entries of y the two matrices below have rows for."""
        size = self.scene.y.size
        if size <= MOST_OUTPUTS:
            return np.arange(size)
        fed = self.entries if self.shape == self.scene.y.shape else np.argmax(np.abs(self.jacobian), axis=0)
        chosen = self.scene.rng.choice(size, MOST_OUTPUTS, replace=False)
        return np.unique(np.concatenate([fed[: MOST_OUTPUTS // 2], chosen[: MOST_OUTPUTS // 2]]))

    @cached_property
    def given_matrix(self) -> np.ndarray:
        """What backward gives for each unit cotangent, (outputs, entries)."""
        units = np.zeros((len(self.outputs), self.scene.y.size))
        units[np.arange(len(self.outputs)), self.outputs] = 1.0
        return self.given_for(units.reshape(-1, *self.scene.y.shape))

    @cached_property
    def right_matrix(self) -> np.ndarray:
        """What it must give."""
        return np.asarray(self.jacobian[self.outputs])

    @property
    def few(self) -> slice:
        """Some of the measured entries, where each costs runs of the operation again."""
        return slice(None, None, max(len(self.entries) // FEW_ENTRIES, 1))

    def right_at(self, values: Values) -> np.ndarray:
        """The measured gradient at other values of all leaves, (cotangents, few entries)."""
        flat = self.scene.cotangents.reshape(len(self.scene.cotangents), -1)
        return np.asarray(flat @ self.scene.measure(self.position, self.entries[self.few], values))


def usable(scene: Scene, position: int) -> bool:
    """Whether the gradients of a leaf have its shape and can be computed with."""
    leaf = scene.leaves[position]
    return all(position in found and unusable(leaf, found[position]) is None for found in scene.returned)
