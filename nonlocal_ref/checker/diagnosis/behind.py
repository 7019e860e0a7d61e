"""The same questions one layer further: x is multiplied by a weight first, h = x W, and the gradients are those of h.

dx = dh Wᵀ, so dh is known where W has as many inputs as outputs, or more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence
from nonlocal_ref.checker.diagnosis.layers import layers_of


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
