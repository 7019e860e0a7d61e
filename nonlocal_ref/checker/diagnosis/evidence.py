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
from nonlocal_ref.checker.evaluation import Evaluation
from nonlocal_ref.checker.jacobians import Jacobians
from nonlocal_ref.checker.leaves import Leaf, Values

COTANGENTS = 4
FEW_ENTRIES = 6  # columns of J, where the operation is run at other values
MOST_OUTPUTS = 128  # rows of the two matrices that are compared
MOST_RECOGNISED = 20_000  # entries of an array, of an operation that is written out with every mistake
LEAST_TOLERANCE = 1e-6  # far above what a measured derivative is off, far below any mistake that has a name
PART_OF_ERROR = 0.02  # what a hypothesis leaves unexplained is this small beside what it explains


class Scene:
    """One operation at one set of arguments, asked by every hypothesis on every leaf."""

    def __init__(self, jacobians: Jacobians, seed: int) -> None:
        self.jacobians = jacobians
        self.evaluation: Evaluation = jacobians.evaluation
        evaluation = self.evaluation
        self.call: Call = evaluation.call
        self.rng = np.random.default_rng([seed, 1])  # not the checker's own: a diagnosis must not move a verdict
        self.values: Values = evaluation.values
        self.y: np.ndarray = self.call.y_values.astype(np.float64)
        self.cotangents = self.draw(COTANGENTS)
        self.tolerance = max(LEAST_TOLERANCE, 50 * evaluation.eps ** (2 / 3))

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
        return self.jacobians.of(position)[0]

    def jacobian(self, position: int) -> np.ndarray:
        """Measured ∂y / ∂leaf, (outputs, entries)."""
        return self.jacobians.of(position)[1]

    def gradients(self, u: np.ndarray, values: Values | None = None) -> dict[int, np.ndarray]:
        """What backward gives for one more cotangent; at other values, of a call of its own."""
        with self.jacobians.runs.of(0 if values is None else 1):
            return (self.call if values is None else self.call.again(values)).gradients(u)

    def gradient(self, position: int, u: np.ndarray) -> np.ndarray:
        """The same to one array."""
        found = self.gradients(u)
        if position not in found:
            raise ContractError(self.leaves[position].name, "gets no gradient for another dy")
        return found[position].ravel()

    def value(self, values: Values) -> np.ndarray:
        """y at other values."""
        with self.jacobians.runs.of(1):
            return self.call.again(values).y_values

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

    def right_along(self, v: np.ndarray, values: Values) -> np.ndarray:
        """The measured derivative of y along v at other values of all leaves, (outputs,)."""
        return self.scene.jacobians.along(self.position, v, values)

    def is_gradient_at(self, values: Values, gradient: np.ndarray, error: float = np.inf) -> bool:
        """Whether (cotangents, entries) is what is measured at other values: along a line, then at a few entries."""
        flat = self.scene.cotangents.reshape(len(self.scene.cotangents), -1)
        v = np.zeros(self.values.size)
        v[self.entries] = self.scene.rng.normal(size=len(self.entries))
        along = flat @ self.right_along(v, values)
        if not np.all(np.isfinite(along)) or not self.close(along, gradient @ v[self.entries]):
            return False
        few = slice(None, None, -(-len(self.entries) // FEW_ENTRIES))
        right = flat @ self.scene.jacobians.measure(self.position, self.entries[few], values)
        return bool(np.all(np.isfinite(right))) and self.close(right, gradient[:, few], error)


def usable(scene: Scene, position: int) -> bool:
    """Whether the gradients of a leaf have its shape and can be computed with."""
    leaf = scene.leaves[position]
    return all(position in found and unusable(leaf, found[position]) is None for found in scene.returned)
