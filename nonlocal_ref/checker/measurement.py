"""n = <u, J v>: the derivative along v of one leaf, measured by calling the operation, with what its error can be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.checker.differences import (
    SLOPES,
    TINY_STEP,
    Line,
    Slope,
    best_slope,
    central,
    complex_step,
    jump,
    off_the_line,
)
from nonlocal_ref.checker.evaluation import DISTANCES, Evaluation
from nonlocal_ref.checker.leaves import Leaf, Values
from nonlocal_ref.checker.noise import RUNS, moved_by_one_ulp, output_noise, steepest_slope
from nonlocal_ref.checker.verdict import SAFETY, judge

STRAIGHT = 0.1  # part of rtol that a bend of the function over the step may take
ENOUGH = 0.5  # part of rtol at which a step need not be improved any further
NEARER = 2.0**-16  # a slope must also hold over a step this much shorter, as far as the rounding lets it be seen

# Where to look at the rounding along a line.  Not evenly: steps of rounding that fit the distance would not be seen.
LOOKS = np.arange(9) + np.random.default_rng(0).uniform(size=9) / 2
STAIRS, LARGER = 64.0, 4.0  # units of ε a step of rounding may have; from one distance between looks to the next
JUMPS, FARTHER = 16, 2  # outputs of which it is seen whether they jump, near and farther out; if so the others do


class Measured(NamedTuple):
    """n for each of K cotangents u."""

    numeric: np.ndarray
    noise: np.ndarray
    truncation: np.ndarray
    seen: np.ndarray | None = None  # the noise that showed itself, where ``noise`` has some for what may not

    @property
    def tells(self) -> bool:
        """Whether any of them stands out of its noise."""
        return bool(np.any(np.abs(self.numeric) > SAFETY * self.noise + self.truncation))

    def agrees(self, other: "Measured", rtol: float) -> bool:
        """Whether two measurements are equal within their errors."""
        noise, truncation = self.noise + other.noise, self.truncation + other.truncation
        rows = zip(self.numeric, other.numeric, noise, truncation, strict=True)
        return all(judge(float(n), float(m), rtol, float(e), float(t)).right for n, m, e, t in rows)


@dataclass(frozen=True)
class SlopeErrors:
    """How far off <u, slope> may be along one line, for each of K cotangents u: what `best_slope` asks for."""

    cotangents: np.ndarray  # (K, outputs)
    noise: Array  # of <u, y>, (K,)
    rtol: float

    @cached_property
    def weights(self) -> Array:
        """|u|, the weights with which errors of y add up."""
        return np.abs(self.cotangents)

    def size(self, slope: Slope) -> Array:
        """|<u, slope>|."""
        return np.abs(self.cotangents @ slope.value.ravel())

    def rounding(self, slope: Slope) -> Array:
        """What the noise of y makes of it."""
        return SAFETY * self.noise * slope.per_noise

    def truncation(self, slope: Slope) -> Array:
        """What the curvature of y makes of it."""
        return self.weights @ slope.truncation.ravel()

    def smooth(self, slope: Slope) -> bool:
        """Whether f is straight enough over the step."""
        bend = self.weights @ slope.bend.ravel()
        return bool(np.all(bend <= STRAIGHT * self.rtol * self.size(slope) + self.rounding(slope)))

    def resolved(self, slope: Slope) -> bool:
        """Whether the slope stands out of the rounding."""
        return bool(np.any(self.size(slope) > self.rounding(slope)))

    def error(self, slope: Slope) -> float:
        """How far off it may be; 0 is good enough."""
        total = float(np.max(self.truncation(slope) + self.rounding(slope)))
        return 0.0 if total <= ENOUGH * self.rtol * float(np.max(self.size(slope))) else total

    def holds_nearer(self, slope: Slope, near: Array, h: float) -> bool:
        """Over a far shorter step stairs (an operation that rounds coarsely inside) are flat, or one jump."""
        apart = self.weights @ np.abs(near - slope.value).ravel()
        allowed = self.weights @ (slope.truncation + slope.bend).ravel() + SAFETY * self.noise / h
        return bool(np.all(apart <= allowed + self.rtol * (self.weights @ np.abs(slope.value).ravel())))

    def bends_unseen(self, slope: Slope, near: Array, finer: Array) -> bool:
        """A kink can hide in a long step and the rounding allowed there; whether a short one sees another slope."""
        apart = np.abs(self.cotangents @ (near - slope.value).ravel())
        return not bool(np.all(apart <= self.rtol * self.size(slope) + self.truncation(slope) + finer))


@dataclass
class Measurement:
    """How to measure along directions of one leaf; ``method`` and ``notes`` say what was found out on the way."""

    evaluation: Evaluation
    position: int
    cotangents: np.ndarray  # (K, outputs)
    output_noise: np.ndarray  # (outputs,)
    moved: Values  # all leaves, one unit in the last place away
    method: str
    rtol: float
    eps: float
    automatic: bool = False  # take another method where the complex step does not hold
    applies: bool = True  # whether the method can be used for this operation at all
    confirmed: bool = False  # whether the complex step has been compared with a difference
    notes: list[str] = field(default_factory=list)
    largest: Array | float = 0.0  # |y| at other places, where they are known
    closely: bool = True  # whether what looks wrong is looked at further, for it may be rounding; until one is wrong

    def __post_init__(self) -> None:
        if self.method == "auto":
            self.method, self.automatic = "complex", True

    @property
    def leaf(self) -> Leaf:
        """The array that is moved."""
        return self.evaluation.arguments.leaves[self.position]

    def along(self, v: np.ndarray, believed: Callable[[Measured], bool]) -> Measured | None:
        """n for every cotangent; None where the operation has a kink along v, or the method does not apply.

        A complex step that is not ``believed`` (it contradicts the analytic gradient) does not decide alone: it sees no
        kinks, it is right only for holomorphic functions, and it cannot tell how much cancels inside.
        """
        if self.method == "adjoint":
            return self.by_adjoint(v)
        if self.method != "complex":
            return self.by_difference(v, believed)
        stepped = self.by_complex_step(v)
        if stepped is None:
            self.notes.append("the operation does not carry complex numbers through")
            self.applies = self.automatic
            self.method = "central" if self.automatic else "complex"
            return self.by_difference(v, believed) if self.automatic else None
        if (self.confirmed or not self.automatic) and believed(stepped):
            return stepped
        differenced = self.by_difference(v, partial(stepped.agrees, rtol=self.rtol))
        if differenced is None:
            return None
        contradicted = differenced.tells and not believed(differenced)  # by both, then
        told = contradicted or believed(stepped) or not self.closely
        if stepped.agrees(differenced, self.rtol) and (told or self.holds_elsewhere(v)):
            self.confirmed = True
            return stepped._replace(noise=stepped.noise + differenced.noise, seen=stepped.noise)
        self.notes.append("complex step and central difference disagree (not holomorphic); the difference decides")
        self.method = "central"
        return self.by_difference(v, believed)  # now it must tell, and not only agree with the complex step

    def holds_elsewhere(self, v: np.ndarray) -> bool:
        """Whether complex step and difference agree at the other places, where the difference tells anything.

        What a step through abs or a cast does not see may be little here, where op is saturated, and is more elsewhere.
        """
        for there in self.elsewhere(self.evaluation.elsewhere(self.position, v)):
            stepped = there.by_complex_step(v)
            differenced = None if stepped is None else there.by_difference(v, partial(stepped.agrees, rtol=self.rtol))
            if stepped is None or differenced is None or not differenced.tells:
                continue
            if not stepped.agrees(differenced, self.rtol):
                return False
        return True

    def elsewhere(self, places: list[Evaluation]) -> Iterator["Measurement"]:
        """The same at other places."""
        largest = np.max([np.abs(there.call.y_values).ravel() for there in places], axis=0, initial=0.0)
        for there in places:
            rng = np.random.default_rng(0)  # which way is of no account
            neighbours = [moved_by_one_ulp(there.arguments, there.values, rng) for _ in range(RUNS)]
            noise = output_noise(there.call, neighbours).ravel()
            changes = {"evaluation": there, "output_noise": noise, "moved": neighbours[0], "largest": largest}
            yield replace(self, **changes, eps=there.eps, notes=[])

    def at(self, values: Values, cotangents: np.ndarray, v: np.ndarray) -> Array:
        """n by complex step for other values of the leaves and other cotangents."""
        h = TINY_STEP * self.leaf.scale
        return cotangents @ complex_step(self.evaluation.line(self.position, v, values), h).ravel()

    def by_complex_step(self, v: np.ndarray) -> Measured | None:
        """ẏ without subtraction; None if the operation does not carry complex numbers through."""
        h = TINY_STEP * self.leaf.scale
        slope = complex_step(self.evaluation.line(self.position, v), h)
        again = complex_step(self.evaluation.line(self.position, v, self.moved), h)
        underflow = float(np.finfo(np.float64).tiny) / h  # numbers below tiny have fewer digits; divided by h they show
        return self.exact(slope, again, underflow) if np.all(np.isfinite(slope)) else None

    def by_adjoint(self, v: np.ndarray) -> Measured | None:
        """ẏ = op(v), for an operation that is linear in this argument; None if it is not."""
        f = self.line_through_zero(self.evaluation.values, v)
        y = f(1.0)
        rounding = 64 * self.evaluation.eps * np.max(np.abs(y), initial=0.0)
        if np.any(f(0.0)) or not np.all(np.abs(f(-2.0) + 2 * y) <= rounding):  # -2 is exact, and tells |x| from x
            self.notes.append("the operation is not linear in it, so linear=True does not apply")
            self.applies = False
            return None
        return self.exact(y, self.line_through_zero(self.moved, v)(1.0))

    def by_difference(self, v: np.ndarray, believed: Callable[[Measured], bool]) -> Measured | None:
        """ẏ by differences; None at a kink.  Stairs look like one: before it is believed they are looked for."""
        f = self.evaluation.line(self.position, v)
        noise = self.noise_along(f)
        differenced = self.differenced(f, noise)
        if not self.closely or (differenced is not None and believed(differenced)):
            return differenced
        stairs = self.stairs_along(f, noise)
        return self.differenced(f, np.maximum(noise, stairs)) if np.any(stairs > noise) else differenced

    def differenced(self, f: Line, noise: Array) -> Measured | None:
        """ẏ by central (or fourth-order) differences, with the best of a few steps; None at a kink."""
        method = "fourth" if self.method == "fourth" else "central"
        errors = SlopeErrors(self.cotangents, np.abs(self.cotangents) @ noise, self.rtol)
        slope = best_slope(f, method, self.leaf.scale, self.eps, errors)
        first_step = self.leaf.scale * self.evaluation.eps ** SLOPES[method].power
        if slope is None or not errors.holds_nearer(slope, central(f, first_step * NEARER), first_step * NEARER):
            return None
        if self.eps > self.evaluation.eps:  # float32: the steps are long and the rounding allowed is large
            finer = SAFETY * self.evaluation.eps * (errors.weights @ np.abs(f(0.0)).ravel()) / first_step
            if errors.bends_unseen(slope, central(f, first_step), finer):
                return None
        numeric = self.cotangents @ slope.value.ravel()
        per_noise = slope.per_noise if errors.resolved(slope) else max(slope.per_noise, 1 / first_step)
        return Measured(numeric, errors.noise * per_noise, errors.truncation(slope))

    def noise_along(self, f: Line) -> Array:
        """ε|y| + δy, or how far y is from a straight line over steps so short that all of it is rounding."""
        h = self.leaf.scale * self.evaluation.eps ** SLOPES["central"].power * NEARER
        return np.fmax(self.output_noise, np.fmax.reduce(off_the_line(f, h * LOOKS)))

    def stairs_along(self, f: Line, noise: Array) -> Array:
        """The steps of an output that moves by jumps; 0 where it does not.

        What is left of a larger number (1 - p for a p near 1) moves in steps of that number's last place.  What stands
        out of a straight line is such a step if it is no more than 64 ε of the largest y on the line (a step that is
        meant, as of round, is larger) and stays where the interval shrinks (at a kink, and where y is curved, it
        vanishes).  Steps may be rare, so the interval grows until there is one or nothing as small is left.
        """
        eps, unit = self.evaluation.eps, self.leaf.scale
        far = np.abs(np.asarray([f(t * unit).ravel() for t in (0.0, *DISTANCES)]))
        limit = STAIRS * eps * np.maximum(self.largest, np.max(np.where(np.isfinite(far), far, 0.0), axis=0))
        stairs, h, tries = np.zeros_like(noise), unit * eps ** SLOPES["central"].power, JUMPS
        small = np.full(noise.shape, True)
        while h <= unit and np.any(small & (stairs == 0)):
            places = h * (LOOKS - np.mean(LOOKS))
            seen = np.fmax.reduce(off_the_line(f, places))
            small &= seen <= limit
            left = np.argmax(np.abs(np.diff([f(t).ravel() for t in places], axis=0)), axis=0)
            candidates = np.flatnonzero(small & (stairs == 0) & (seen > SAFETY * noise))
            for i in candidates[:tries]:
                stairs[i] = jump(partial(one_of, f, int(i)), places[left[i]], places[left[i] + 1], eps * unit)
            if np.all(stairs[candidates[:tries]] > 0):
                stairs[candidates[tries:]] = seen[candidates[tries:]]
            tries, h = FARTHER if candidates.size else tries, LARGER * h
        return stairs

    def noise_elsewhere(self, v: np.ndarray) -> Array:
        """ε times the steepest slope of y along v until it is another y; at least ε|y| over the size of the leaf."""
        f, weights = self.evaluation.line(self.position, v), np.abs(self.cotangents)

        def distance(s: float, t: float) -> Array:
            return weights @ np.abs(f(t) - f(s)).ravel()

        size = weights @ np.abs(f(0.0)).ravel()
        first_step = self.leaf.scale * self.evaluation.eps ** SLOPES["central"].power
        slopes = [steepest_slope(distance, size / 2, sign * first_step) for sign in (1.0, -1.0)]
        return self.evaluation.eps * np.maximum.reduce([*slopes, size / self.leaf.scale])

    def line_through_zero(self, values: Values, v: np.ndarray) -> Line:
        """f(t) = op(t v), the other leaves as they are."""
        others = list(values)
        others[self.position] = np.zeros_like(values[self.position])
        return self.evaluation.line(self.position, v, others)

    def exact(self, slope: np.ndarray, again: np.ndarray, underflow: float = 0.0) -> Measured:
        """A slope without truncation error; ``again`` is the same from inputs one unit in the last place away."""
        apart = np.nan_to_num(np.abs(again - slope), nan=0.0)
        noise = np.abs(self.cotangents) @ (self.evaluation.eps * np.abs(slope) + apart + underflow).ravel()
        return Measured(self.cotangents @ slope.ravel(), noise, np.zeros_like(noise))


def one_of(f: Line, index: int, t: float) -> float:
    """One entry of f(t)."""
    return float(f(t).ravel()[index])
