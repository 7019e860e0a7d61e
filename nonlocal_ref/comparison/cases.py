"""What is compared: variants, sizes, and the numbers that go in, the same for every backend."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.arguments import FLOATS, check_choice, check_integer
from nonlocal_ref.pairwise import SOFTMAX_VARIANTS

CHANNELS = 64  # D and E where a size names N alone
SIZES = {  # whether there is a GPU, whether it must be quick -> N
    (False, False): (128, 512),
    (False, True): (128,),
    (True, False): (256, 1024, 4096, 16384),
    (True, True): (256, 2048),
}
DIRECTIONS = ("forward", "both")
DTYPES = tuple(FLOATS)
STAGE_PAIRS = 2**20  # weights that the stage-by-stage comparison looks at, at most
CHECKED_PAIRS = (
    2**28
)  # of queries that have an oracle, with all keys, at most: with more it takes minutes on many cores
LARGE_LOGIT = 100.0  # exp of it is more than float32 holds: who forgets to subtract the maximum is seen
STEP = 2**-8  # no a_i + b_j of eq. (5) is nearer to 0 than half of this


class Size(NamedTuple):
    """Batch, query positions, key positions, channels compared, channels averaged."""

    B: int
    N: int
    M: int
    D: int
    E: int

    def __str__(self) -> str:
        """1024 where that says it all, 8x784x196x512x512 otherwise."""
        if self == Size.square(self.N):
            return str(self.N)
        return "x".join(map(str, self))

    @property
    def words(self) -> str:
        """With letters, for people."""
        return ", ".join(f"{letter} = {value}" for letter, value in self._asdict().items())

    @classmethod
    def square(cls, n: int) -> "Size":
        """As many keys as queries."""
        return cls(1, n, n, CHANNELS, CHANNELS)

    @classmethod
    def parse(cls, size: object) -> "Size":
        """From N, from (B, N, M, D, E), or from either as text: "1024", "8x784x196x512x512"."""
        what = f"a size must be N or BxNxMxDxE, whole numbers of at least 1, got {size!r}"
        if isinstance(size, str):
            words = size.split("x")
            if not all(word.isascii() and word.isdigit() for word in words):
                raise ValueError(what)
            size = [int(word) for word in words]
        values: list[Any] = list(size) if isinstance(size, (tuple, list)) else [size]
        if len(values) not in {1, 5}:
            raise ValueError(what)
        for value in values:
            check_integer("sizes", value, least=1)
        return cls.square(values[0]) if len(values) == 1 else cls(*values)

    def pairs(self) -> int:
        """How many (i, j) there are."""
        return self.B * self.N * self.M

    @property
    def stage_queries(self) -> int:
        """How many queries the stage-by-stage comparison looks at."""
        return max(min(self.N, STAGE_PAIRS // (self.B * self.M)), 1)

    @property
    def checked_queries(self) -> np.ndarray:
        """Which queries have an oracle: all, or above so many pairs a random sample, always the same, with the first.

        At the others dy is 0.  So they add exactly nothing to any gradient, and those of the keys are known from the
        sample alone.
        """
        count = max(CHECKED_PAIRS // (self.B * self.M), 1)
        if count >= self.N:
            return np.arange(self.N)
        others = 1 + np.random.default_rng(self.N).choice(self.N - 1, count - 1, replace=False)
        return np.asarray([0, *np.sort(others)])


class Case(NamedTuple):
    """One operation at one size."""

    variant: str
    size: Size

    @property
    def names(self) -> tuple[str, ...]:
        """Arguments that have a gradient."""
        return ("theta", "phi", "g", "w_f") if self.variant == "concatenation" else ("theta", "phi", "g")

    @property
    def kind(self) -> str:
        """Here the Gaussian and the embedded Gaussian are the same function of theta, phi, g."""
        return "softmax" if self.variant in SOFTMAX_VARIANTS else self.variant

    @property
    def numbers(self) -> int:
        """How many numbers the arguments, dy, y and the gradients hold together."""
        s = self.size
        return 2 * (s.B * (s.N * (s.D + s.E) + s.M * (s.D + s.E)) + (2 * s.D if "w_f" in self.names else 0))

    def plan(self, dtype: str, library: str) -> nl.Plan:
        """What `nonlocal_op` is going to do."""
        return nl.plan(self.variant, *self.size, dtype=dtype, backend=library)

    def draw(self, seed: int) -> dict[str, np.ndarray]:
        """theta, phi, g, dy (and w_f): float64 numbers that float32 holds exactly, logits about standard normal.

        dy is 0 at the queries without an oracle.

        Under a softmax those of the first of several queries reach 100, and its dy is as much smaller: so its rounding,
        large as the logits are, does not drown that of the others.
        """
        s, rng = self.size, np.random.default_rng(seed)
        shapes: dict[str, tuple[int, ...]] = {"theta": (s.B, s.N, s.D), "phi": (s.B, s.M, s.D)}
        shapes |= {"g": (s.B, s.M, s.E), "dy": (s.B, s.N, s.E)} | ({"w_f": (2 * s.D,)} if "w_f" in self.names else {})
        scales = {"theta": s.D**-0.25, "phi": s.D**-0.25, "w_f": s.D**-0.25}
        x = {name: in_float32(scales.get(name, 1.0) * rng.standard_normal(shape)) for name, shape in shapes.items()}
        if len(s.checked_queries) < s.N:
            x["dy"] = np.where(np.isin(np.arange(s.N), s.checked_queries)[:, None], x["dy"], 0.0)
        if self.kind == "softmax" and s.N > 1:
            first = (np.arange(s.N) == 0)[:, None]
            dy = np.where(first, in_float32(x["dy"] / LARGE_LOGIT), x["dy"])
            return x | {"theta": with_large_logits(x["theta"], x["phi"]), "dy": dy}
        if "w_f" not in x:
            return x
        left, right = x["w_f"][: s.D], x["w_f"][s.D :]
        return x | {"theta": off_the_kink(x["theta"], left, 0.0), "phi": off_the_kink(x["phi"], right, 0.5)}

    def checked(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Of y and dtheta the queries that have an oracle; the rest as it is."""
        s = self.size
        if len(s.checked_queries) == s.N:
            return values
        return {
            name: x[:, s.checked_queries] if name in {"y", "dtheta"} and x.shape[:2] == (s.B, s.N) else x
            for name, x in values.items()
        }


def in_float32(x: np.ndarray) -> np.ndarray:
    """The float64 numbers that float32 rounds to."""
    return x.astype(np.float32).astype(np.float64)


def with_large_logits(theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """The first query of each batch element, times what makes the largest of its logits 100 and none less than -100."""
    logits = np.einsum("bd,bmd->bm", theta[:, 0], phi)
    farthest = np.take_along_axis(logits, np.abs(logits).argmax(axis=1, keepdims=True), axis=1)  # from 0, with its sign
    moved = np.array(theta)
    moved[:, 0] *= LARGE_LOGIT / farthest
    return in_float32(moved)


def off_the_kink(vectors: np.ndarray, weight: np.ndarray, offset: float) -> np.ndarray:
    """Move one coordinate of each vector a little, so that vector · weight is (an integer + offset) steps.

    With a_i on that grid and b_j half a step off it, ReLU lets the same pairs through in every precision.  A pair that
    went the other way would be a difference of its own, as large as the pair, and no rounding error.
    """
    values = vectors @ weight
    pivot = int(np.argmax(np.abs(weight)))
    moved = np.array(vectors)
    moved[..., pivot] += ((np.floor(values / STEP) + offset) * STEP - values) / weight[pivot]
    return in_float32(moved)


def check_sizes(sizes: Any) -> list[Size]:
    """Each once, however it was written; what is no list of sizes is refused."""
    if isinstance(sizes, (str, bytes)) or not isinstance(sizes, Iterable):
        msg = f"sizes must be a list of N or (B, N, M, D, E), got {sizes!r}"
        raise ValueError(msg)
    found = list(dict.fromkeys(Size.parse(size) for size in sizes))
    if not found:
        msg = "sizes must be a list of at least one size, got none"
        raise ValueError(msg)
    return found


def check_request(name: str, words: Any, choices: Sequence[str] = ()) -> list[str]:
    """The words that were asked for, each once, or all there are; unknown ones and asking for nothing are refused."""
    if words is None:
        return list(choices)
    if isinstance(words, str) or not isinstance(words, Sequence) or not words:
        msg = f"{name} must be a list{' of some of ' + ', '.join(choices) if choices else ''}, got {words!r}"
        raise ValueError(msg)
    for word in words:
        if choices:
            check_choice(name, word, choices)
    return [str(word) for word in dict.fromkeys(words)]
