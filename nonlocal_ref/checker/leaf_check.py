"""One leaf: its analytic gradient against measured derivatives, along random directions or entry by entry."""

from collections.abc import Iterable

import numpy as np

from nonlocal_ref.checker.measurement import Measured, Measurement
from nonlocal_ref.checker.verdict import Entry, Verdict, judge, worst

REDRAWS = 10


class LeafCheck:
    """Compares a = <backward(u), v> with n = <u, J v>: v a direction of the leaf, u each of K cotangents."""

    def __init__(self, measurement: Measurement, gradients: np.ndarray, noise: np.ndarray) -> None:
        self.measurement = measurement
        self.gradients = gradients  # (K, entries)
        self.noise = noise  # (K, entries)
        self.shape = measurement.leaf.values.shape
        self.smooth = 0  # directions or entries that were compared
        self.kinked = 0  # and those along which there was a kink

    def compare(self, v: np.ndarray) -> Verdict | None:
        """The worst verdict over the cotangents along v; None where there is no derivative to compare with."""
        flat = v.ravel()
        analytic, analytic_noise = self.gradients @ flat, self.noise @ np.abs(flat)

        def verdict(measured: Measured) -> Verdict:
            noise = analytic_noise + measured.noise
            rows = zip(analytic, measured.numeric, noise, measured.truncation, strict=True)
            rtol = self.measurement.rtol
            return worst(judge(float(a), float(n), rtol, float(e), float(t)) for a, n, e, t in rows)

        with np.errstate(all="ignore"):  # steps out of the domain of op show as NaN
            measured = self.measurement.along(v, believed=lambda stepped: verdict(stepped).right)
        self.smooth += measured is not None
        self.kinked += measured is None and self.measurement.applies
        return None if measured is None else verdict(measured)

    def along_directions(self, rng: np.random.Generator, count: int) -> list[Verdict]:
        """Random directions; where one has a kink another is drawn, with half as many entries moving each time."""
        verdicts = []
        for _ in range(count):
            verdict = self.compare(self.draw(rng))
            while verdict is None and self.kinked <= REDRAWS and self.measurement.applies:
                verdict = self.compare(self.draw(rng))
            if verdict is None:
                break
            verdicts.append(verdict)
        return verdicts

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """A random direction; after k kinks only one entry in 2 ** k moves, at least one."""
        v = rng.normal(size=self.shape)
        order = rng.permutation(v.size).reshape(self.shape)
        return np.where(order < max(v.size >> self.kinked, 1), v, 0.0)

    def at_entries(self, entries: Iterable[int]) -> list[Entry]:
        """Entry by entry: v is a unit vector, so a and n are entries of the gradient."""
        found = []
        for entry in entries:
            v = np.zeros(self.shape)
            index = tuple(int(i) for i in np.unravel_index(entry, self.shape))
            v[index] = 1.0
            verdict = self.compare(v)
            if verdict is not None:
                found.append(Entry(index, verdict))
        return found
