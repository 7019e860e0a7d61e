"""The same questions one layer further: x is multiplied by a weight first, h = x W, and the gradients are those of h.

dx = dh Wᵀ, so dh is known where W has as many inputs as outputs, or more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence
from nonlocal_ref.checker.diagnosis.layers import LEAST_CHANNELS, Layer, layers_of


@dataclass(frozen=True)
class Behind(Evidence):
    """The evidence on h; W is ``weights`` (in, out)."""

    weights: tuple[tuple[float, ...], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """That of h."""
        return (*self.leaf.values.shape[:-1], len(self.weights[0]))

    @cached_property
    def entries(self) -> np.ndarray:
        """Every entry of h is known where every entry of x is."""
        return np.arange(int(np.prod(self.shape)))

    @property
    def complete(self) -> bool:
        """Every entry is known."""
        return True

    @cached_property
    def values(self) -> np.ndarray:
        """Those of h."""
        return np.asarray(self.scene.values[self.position] @ np.asarray(self.weights))

    @cached_property
    def jacobian(self) -> np.ndarray:
        """∂y / ∂h."""
        return self._behind(self.scene.jacobian(self.position))

    @cached_property
    def given(self) -> np.ndarray:
        """What came for h."""
        return self._behind(Evidence(self.scene, self.position).given)

    def given_for(self, cotangents: np.ndarray) -> np.ndarray:
        """The same for other cotangents."""
        return self._behind(np.stack([self.scene.gradient(self.position, u) for u in cotangents]))

    def _behind(self, gradients: np.ndarray) -> np.ndarray:
        back = np.linalg.pinv(np.asarray(self.weights).T)
        return np.asarray(
            (gradients.reshape(len(gradients), *self.leaf.values.shape) @ back).reshape(len(gradients), -1)
        )


@dataclass(frozen=True, eq=False)
class Hidden(Evidence):
    """The evidence on h = x W as the gradient of W shows it, where each output depends on one row of x.

    Then what an output gives to W is x_nᵀ d_n, and d_n what it gives to h_n, whatever comes after.
    """

    h: np.ndarray = field(default_factory=lambda: np.zeros(0))
    slopes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # ∂y / ∂h, (outputs, entries of h)
    came_back: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # what backward makes of it

    @property
    def shape(self) -> tuple[int, ...]:
        """That of h."""
        return self.h.shape

    @cached_property
    def entries(self) -> np.ndarray:
        """All."""
        return np.arange(self.h.size)

    @property
    def complete(self) -> bool:
        """Every entry is known."""
        return True

    @property
    def values(self) -> np.ndarray:
        """Those of h."""
        return self.h

    @property
    def jacobian(self) -> np.ndarray:
        """∂y / ∂h."""
        return self.slopes

    @cached_property
    def given(self) -> np.ndarray:
        """What came for h."""
        return self.given_for(self.scene.cotangents)

    def given_for(self, cotangents: np.ndarray) -> np.ndarray:
        """The same for other cotangents."""
        return np.asarray(cotangents.reshape(len(cotangents), -1) @ self.came_back)


def hidden_rows(evidence: Evidence) -> Iterator[tuple[str, Hidden]]:
    """For a weight, or for what is multiplied by it and gets the gradient that follows from that of the weight."""
    for inputs in evidence.others():
        for layer in layers_of(inputs, [evidence]):
            hidden = seen_in_the_weight(layer)
            if hidden is not None:
                yield evidence.name, hidden
    for layer in layers_of(evidence, list(evidence.others())):
        hidden = seen_in_the_weight(layer)
        if hidden is not None and all(
            evidence.close((there.reshape(-1, *hidden.shape) @ layer.w.T).reshape(here.shape), here)
            for there, here in ((hidden.given, evidence.given), (hidden.right, evidence.right))
        ):
            yield layer.weights.name, hidden


def seen_in_the_weight(layer: Layer) -> Hidden | None:
    """h of this layer, if each output gives to the weight a multiple of one row of x for each column."""
    x, y, weights = layer.x, layer.inputs.scene.y, layer.weights
    if y.shape[:-1] != x.shape[:-1] or len(weights.outputs) < y.size or x.shape[-1] < LEAST_CHANNELS:
        return None
    rows = np.repeat(x.reshape(-1, x.shape[-1]), y.shape[-1], axis=0)  # for each output its row
    size = np.sum(rows * rows, axis=1)
    if not np.all(size > 0):
        return None
    h = x @ layer.w
    own = np.repeat(np.eye(len(rows) // y.shape[-1]), y.shape[-1], axis=0)  # (outputs, rows)
    found = []
    for matrix in (weights.right_matrix, weights.given_matrix):
        dw = layer.dw(matrix)
        d = np.sum(rows[:, :, np.newaxis] * dw, axis=1) / size[:, np.newaxis]
        if not weights.close(rows[:, :, np.newaxis] * d[:, np.newaxis, :], dw):
            return None
        found.append((own[:, :, np.newaxis] * d[:, np.newaxis, :]).reshape(y.size, h.size))
    return Hidden(weights.scene, weights.position, h=h, slopes=found[0], came_back=found[1])


def behind_a_layer(evidence: Evidence) -> Iterator[tuple[str, Behind]]:
    """For each weight that may come next, if both gradients are what can come back through it."""
    for layer in layers_of(evidence, list(evidence.others())):
        w = layer.w
        if w.shape[0] < w.shape[1] or np.linalg.matrix_rank(w) < w.shape[1]:
            continue
        span = np.linalg.pinv(w.T) @ w.T
        came, right = (x.reshape(-1, *evidence.shape) for x in (evidence.came, evidence.right))
        if evidence.close(came @ span, came) and evidence.close(right @ span, right):
            rows = tuple(tuple(float(value) for value in row) for row in w)
            yield layer.weights.name, Behind(evidence.scene, evidence.position, weights=rows)
