"""Off by a constant factor, and which: the sign, a small number, a length of an axis, the scale of the call."""

from collections.abc import Iterator
from itertools import combinations, islice
from math import prod, sqrt
from typing import NamedTuple

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence
from nonlocal_ref.checker.report import Proposal

SAME = 1e-6  # two factors that are this near, relatively, are the same
LETTERS = {"theta": "BND", "phi": "BMD", "g": "BME"}
SMALL = {2.0: "twice", 3.0: "three times", 0.5: "half of", 1 / 3: "a third of", 4.0: "four times", 0.25: "a quarter of"}
LONGEST = 64  # an axis for each index of which a factor is fitted
ROOTS = {0.5: "sqrt({})", -0.5: "1 / sqrt({})", 2.0: "{} squared", -2.0: "1 / {} squared"}
SCALE_WORDS = ("scale", "temperature", "sqrt")


class Named(NamedTuple):
    """A number that a factor may be, and how to write it."""

    value: float
    text: str
    inverse: str
    where: str


def zero_gradient(evidence: Evidence) -> Iterator[Proposal]:
    """Nothing came, for any cotangent, and something must."""
    if not np.any(evidence.given) and np.any(evidence.right):
        yield Proposal("zero_gradient", "zero everywhere; is it returned before it is computed, or cut off?")


def scale_twice(evidence: Evidence) -> Iterator[Proposal]:
    """The factor is the scale of the call, or one over it."""
    factor = constant_times(evidence)
    if factor is None:
        return
    for scale in scales(evidence):
        if same(factor, scale.value):
            told = f"{number(factor)} times what it must be: {scale.text}{scale.where}; is the scale applied twice?"
            yield Proposal("scale_twice", told)
            return
        if same(factor, 1 / scale.value):
            told = f"{number(factor)} times what it must be: {scale.inverse}{scale.where}; is the scale forgotten?"
            yield Proposal("scale_twice", told)
            return


def mean_for_sum(evidence: Evidence) -> Iterator[Proposal]:
    """The array is used at several positions of y alike, and the factor is one over their number."""
    factor = constant_times(evidence)
    if factor is None or not 0 < factor < 1:
        return
    axes = broadcast_axes(evidence)
    for count in range(len(axes), 0, -1):
        for some in combinations(axes, count):
            length = prod(evidence.scene.y.shape[axis] for axis in some)
            if same(factor, 1 / length) and (length > 2 or len(axes) == count):
                told = f"1 / {length} of what it must be: the mean over {axes_of('dy', some)} in the place of the sum"
                yield Proposal("missing_sum", told)
                return


def constant_factor(evidence: Evidence) -> Iterator[Proposal]:
    """The same number times the right gradient, for every cotangent."""
    factor = constant_times(evidence)
    if factor is not None:
        yield Proposal("constant_factor", described(factor, evidence))


def factor_along_an_axis(evidence: Evidence) -> Iterator[Proposal]:
    """Another factor for each index of one axis; as one of the arguments has, it is that argument."""
    for axis, length in enumerate(evidence.shape):
        if length < 2:
            continue
        index = np.unravel_index(evidence.entries, evidence.shape)[axis]
        sums = [np.zeros(length), np.zeros(length)]
        np.add.at(sums[0], index, np.sum(evidence.came * evidence.right, axis=0))
        np.add.at(sums[1], index, np.sum(evidence.right**2, axis=0))
        factors = np.divide(sums[0], sums[1], out=np.ones(length), where=sums[1] > 0)
        if (
            evidence.equations >= 2 * length
            and evidence.values.size > length
            and np.all(np.abs(factors) > SAME)
            and evidence.explained_by(evidence.right * factors[index])
        ):
            yield told_along(factors, axis, evidence)
            return


def cotangent_scaled(evidence: Evidence) -> Iterator[Proposal]:
    """What comes after forgets or repeats a factor for each index of one axis of y."""
    scene = evidence.scene
    for axis, length in enumerate(scene.y.shape):
        if not 2 <= length <= LONGEST:
            continue
        parts = [np.where(on(scene.y.shape, axis, i), scene.cotangents, 0.0) for i in range(length)]
        if length * 2 > evidence.equations:
            continue
        columns = np.stack([evidence.right_for(part).ravel() for part in parts], axis=1)
        factors, _, rank, _ = np.linalg.lstsq(columns, evidence.came.ravel(), rcond=1e-10)
        if rank == length and evidence.explained_by((columns @ factors).reshape(evidence.came.shape)):
            none = [index for index, factor in enumerate(factors) if abs(factor) < SAME]
            if none and len(none) < length:
                yield Proposal("missing_sum", f"the parts of axis {axis} of dy at {none} give nothing to it")
            elif not none:
                yield told_along(factors, axis, evidence, of="y")
            return


def told_along(factors: np.ndarray, axis: int, evidence: Evidence, of: str = "") -> Proposal:
    """The proposal for one factor per index of an axis."""
    shown = ", ".join(f"{factor:.5g}" for factor in factors[:4]) + (", ..." if len(factors) > 4 else "")
    told = f"{shown} times what it must be, along axis {axis}{' of ' + of if of else ''}"
    for leaf, values in zip(evidence.scene.leaves, evidence.scene.values, strict=True):
        if values.shape != factors.shape or values.dtype.kind != "f":
            continue
        if np.allclose(factors, values, rtol=SAME, atol=0):
            return Proposal("scale_twice", f"{told}: {leaf.name}; is it applied twice?")
        if np.allclose(factors * values, 1, rtol=SAME, atol=0):
            return Proposal("scale_twice", f"{told}: 1 / {leaf.name}; is it forgotten?")
    return Proposal("constant_factor", told)


def constant_times(evidence: Evidence) -> float | None:
    """c with came = c right; None where there is none, or where every c would do."""
    right, came = evidence.right, evidence.came
    norm = float(np.sum(right * right))
    if norm == 0:
        return None
    factor = float(np.sum(came * right)) / norm
    if evidence.leaf.values.size * evidence.scene.y.size < 2 and not any(same(abs(factor), k) for k in (1, *SMALL)):
        return None  # one number is some multiple of any other
    return factor if factor != 0 and evidence.explained_by(factor * right) else None


def described(factor: float, evidence: Evidence) -> str:
    """A factor in words: what numbers of this call it may be."""
    if same(factor, -1):
        return "-1 times what it must be: the sign is turned"
    said = [f"{'minus ' if factor < 0 else ''}{SMALL[key]} what it must be" for key in SMALL if same(abs(factor), key)]
    found = names_of(abs(factor), evidence, ROOTS if not said else {})  # a half is seldom one over the root of 4
    names = [f"{'-' if factor < 0 else ''}{text}" for text in islice(found, 2)]
    text = f"{said[0]} (factor {factor:.7f})" if said else f"{number(factor)} times what it must be"
    return f"{text}: {', or '.join(names)}" if names else text


def names_of(factor: float, evidence: Evidence, roots: dict[float, str]) -> Iterator[str]:
    """Lengths of axes and numbers of the call that give this factor, those of the array itself first."""
    for named in (*call_numbers(evidence), *lengths(evidence)):
        if same(named.value, 1) or named.value <= 0:
            continue
        for power, form in ({1.0: "{}", -1.0: "1 / {}"} | roots).items():
            if same(factor, named.value**power):
                text = form.format(named.text)
                yield (text + named.where).replace(f"{text}, {text} = ", f"{text} = ")


def scales(evidence: Evidence) -> Iterator[Named]:
    """Numbers that scale what this array goes through: those of the call by that name, and sqrt(D)."""
    for name, value in evidence.scene.constants.numbers.items():
        if any(word in name.lower() for word in SCALE_WORDS) and value > 0 and not same(value, 1):
            yield Named(value, name, f"1 / {name}", f", {name} = {value:.6g}")
    for named in lengths(evidence):
        root = 1 / sqrt(named.value)
        if scaled_by(evidence, root):
            yield Named(root, f"1 / sqrt({named.text})", f"sqrt({named.text})", named.where)


def scaled_by(evidence: Evidence, scale: float) -> bool:
    """Whether the operation is known to hold this scale; an irrational root of the last axis is taken for one."""
    recognised = evidence.scene.recognised
    if recognised is not None:
        return recognised.scale is not None and same(recognised.scale, scale) and evidence.name in recognised.scaled
    depth = evidence.shape[-1] if evidence.shape else 1
    return same(scale, depth**-0.5) and round(sqrt(depth)) ** 2 != depth


def call_numbers(evidence: Evidence) -> Iterator[Named]:
    """Numbers among the arguments."""
    for name, value in evidence.scene.constants.numbers.items():
        yield Named(abs(value), name, f"1 / {name}", f", {name} = {value:.6g}")


def lengths(evidence: Evidence) -> Iterator[Named]:
    """Lengths of axes and products of them: of the array, of y, of the others."""
    arrays = [(evidence.name, evidence.shape), ("y", evidence.scene.y.shape)]
    arrays += [(leaf.name, leaf.values.shape) for leaf in evidence.scene.leaves if leaf.name != evidence.name]
    for name, shape in arrays:
        letters = LETTERS.get(name, "") if len(shape) == 3 else ""
        for axis, length in reversed(list(enumerate(shape))):
            if length > 1:
                letter = letters[axis : axis + 1]
                where = f"{name}.shape[{axis}]"
                text, more = (letter, f", {letter} = {where} = {length}") if letter else (where, f" = {length}")
                yield Named(float(length), text, f"1 / {text}", more if letter else f", {where} = {length}")
    for name, shape in arrays:
        for count in range(2, len(shape) + 1):
            for axes in combinations(range(len(shape)), count):
                text = " ".join(f"{name}.shape[{axis}]" for axis in axes)
                size = prod(shape[axis] for axis in axes)
                if size < 2:
                    continue
                yield Named(float(size), f"({text})", f"1 / ({text})", f" = {size}")


def broadcast_axes(evidence: Evidence) -> list[int]:
    """Axes of y along which each slice depends on the whole array, though it has no such axis: a sum goes over them."""
    scene = evidence.scene
    y_shape, shape = scene.y.shape, evidence.shape
    recognised = scene.recognised
    if recognised is not None and evidence.name in recognised.positions:
        return []
    candidates = [axis for axis in range(len(y_shape)) if y_shape[axis] > 1]
    if len(shape) == len(y_shape) > 2:  # both have a batch axis
        candidates = [axis for axis in candidates if shape[axis] == 1]
    if len(shape) > len(y_shape):
        return []
    used = np.abs(evidence.jacobian).reshape(*y_shape, -1)
    largest = float(np.max(used, initial=0.0))
    found = []
    for axis in candidates:
        others = tuple(other for other in range(len(y_shape)) if other != axis)
        if np.all(np.max(used, axis=others) > 1e-12 * largest):
            found.append(axis)
    return found


def on(shape: tuple[int, ...], axis: int, index: int) -> np.ndarray:
    """True at one index of an axis."""
    return np.asarray(np.indices(shape)[axis] == index)


def axes_of(name: str, axes: tuple[int, ...]) -> str:
    """Axes of an array in words: "axes 0 and 1 of dy"."""
    return f"ax{'is' if len(axes) == 1 else 'es'} {' and '.join(map(str, axes))} of {name}"


def same(a: float, b: float) -> bool:
    """Whether two factors are one."""
    return abs(a - b) <= SAME * max(abs(a), abs(b))


def number(factor: float) -> str:
    """A factor with as many digits as tell it from 1."""
    return f"{factor:.5g}" if abs(factor - 1) > 0.01 else f"{factor:.10g}"


def axes_in_words(axes: tuple[int, ...]) -> str:
    """Axes in words, of no array in particular: "axes 0 and 1"."""
    return f"ax{'is' if len(axes) == 1 else 'es'} {' and '.join(map(str, axes))}"
