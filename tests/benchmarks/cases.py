"""What is measured: which f, at which sizes, on which numbers."""

from typing import NamedTuple

import numpy as np

import nonlocal_ref as nl

# at this level the Gaussian and the embedded Gaussian are the same function of theta, phi, g
VARIANTS = {"softmax": "embedded_gaussian", "dot_product": "dot_product", "concatenation": "concatenation"}
TITLES = {
    "softmax": "Gaussian, embedded Gaussian",
    "dot_product": "Dot product",
    "concatenation": "Concatenation",
}

# (B, N, M, D = E): res4 and res3 of a video network with subsampled keys, then images seen whole
SIZES = [
    (1, 784, 196, 512),
    (4, 784, 196, 512),
    (1, 6272, 1568, 256),
    (1, 4096, 4096, 32),
    (1, 8192, 8192, 64),
    (1, 16384, 16384, 32),
]
QUICK_SIZES = [(1, 48, 12, 16), (2, 48, 12, 16), (1, 96, 24, 16), (1, 64, 64, 8)]

STEP = 2.0**-14  # distance of the grid that keeps a_i + b_j away from 0, see `on_a_grid`


class Case(NamedTuple):
    """One operation at one size, forward and backward, float32."""

    kind: str  # a key of VARIANTS
    B: int
    N: int
    M: int
    D: int

    @property
    def E(self):
        return self.D

    @property
    def variant(self):
        return VARIANTS[self.kind]

    @property
    def label(self):
        return f"{self.kind} {self.B}x{self.N}x{self.M}x{self.D}"

    @property
    def pairs(self):
        return self.B * self.N * self.M

    @property
    def names(self):
        """The arguments that have a gradient, in order."""
        return ("theta", "phi", "g", "w_f") if self.kind == "concatenation" else ("theta", "phi", "g")

    def plan(self, method="auto"):
        return nl.plan(self.variant, self.B, self.N, self.M, self.D, self.E, method=method)

    def draw(self, seed=0):
        """theta, phi, g, dy and, for concatenation, w_f: float32, by name.

        Normal numbers; logits and a_i, b_j have variance one, so that exp neither overflows nor runs into denormals.
        """
        rng = np.random.default_rng(seed)
        size = self.D**-0.25

        def normal(*shape, scale=1.0):
            return (scale * rng.standard_normal(shape, dtype=np.float32)).astype(np.float32)

        x = {
            "theta": normal(self.B, self.N, self.D, scale=size),
            "phi": normal(self.B, self.M, self.D, scale=size),
            "g": normal(self.B, self.M, self.E),
            "dy": normal(self.B, self.N, self.E),
        }
        if self.kind == "concatenation":
            x["w_f"] = normal(2 * self.D, scale=size)
            x["theta"] = on_a_grid(x["theta"], x["w_f"][: self.D], 0.0)
            x["phi"] = on_a_grid(x["phi"], x["w_f"][self.D :], 0.5)
        return x


def on_a_grid(vectors, weight, offset):
    """Move one coordinate of each vector a little, so that vector · weight is (an integer + offset) steps.

    With a_i on the grid and b_j half a step off it, no a_i + b_j is nearer to 0 than half a step, hundreds of roundings
    away: ReLU is open for the same pairs in float32 and in float64, and the error of a gradient is rounding alone.
    """
    values = vectors.astype(np.float64) @ weight.astype(np.float64)
    goal = (np.floor(values / STEP) + offset) * STEP
    pivot = int(np.argmax(np.abs(weight)))
    moved = vectors.copy()
    moved[..., pivot] += ((goal - values) / weight[pivot]).astype(np.float32)
    return moved


def cases(quick):
    """All operations to measure, one variant after the other."""
    return [Case(kind, *size) for kind in VARIANTS for size in (QUICK_SIZES if quick else SIZES)]


def cases_for_memory(quick):
    """Those whose memory is measured: all; in a quick run one of each, since each starts some processes."""
    return [Case(kind, *QUICK_SIZES[0]) for kind in VARIANTS] if quick else cases(quick)
