"""Numbers that keep account of their rounding: a value, and the magnitude that its error is measured against.

    |computed - exact| <= c ε M,    c about one for every rounding on the way

The magnitude M is the formula itself, with every product replaced by its absolute value before anything is added:

    an input x      M(x) = |x|
    a sum           M(a ± b) = M(a) + M(b)
    a product       M(a b) = |a b| + (M(a) - |a|) |b| + |a| (M(b) - |b|)        matrix products likewise, term by term

So a sum that cancels has a small value and keeps the magnitude of its terms: nobody could do better, and nobody is
blamed.  M(a) - |a|, what has cancelled, is the error that a brings along beyond a rounding of its own size.  Where one
factor brings none, a product is M(a) M(b).  Where both do, M(a) M(b) would multiply an error by an error: of second
order, and yet, through the many steps of a block, larger than all the rest.

Errors of different positions have common causes (a row's sum, the mean of a batch norm), with any signs: they add
straight.  Those of different channels either are strangers to each other and add like the sides of a right angle,
sqrt(e² + f²), or have one cause and go the same way: `across_channels` takes the larger of the two.

No order of summation is assumed, so the account holds for every implementation.  It ends where errors are not small:
where the variance of a batch norm is itself nothing but rounding.  Host NumPy, float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nonlocal_ref.ops import Tap, no_tap


@dataclass(frozen=True)
class Rounded:
    """Values and their magnitudes."""

    value: np.ndarray
    magnitude: np.ndarray

    def __add__(self, other: "Rounded") -> "Rounded":
        return Rounded(self.value + other.value, self.magnitude + other.magnitude)

    def __sub__(self, other: "Rounded") -> "Rounded":
        return Rounded(self.value - other.value, self.magnitude + other.magnitude)

    def __mul__(self, other: "Rounded") -> "Rounded":
        return self._product(other, np.multiply)

    def __matmul__(self, other: "Rounded") -> "Rounded":
        """Summed over positions: errors add straight."""
        return self._product(other, np.matmul)

    def across_channels(self, other: "Rounded") -> "Rounded":
        """``self @ other``, summed over channels: errors from before go all the same way, or each its own."""
        pairs = [(self.inherited, other.value), (self.value, other.inherited)]
        squares = [
            np.maximum((a @ b) ** 2, a**2 @ b**2) for a, b in pairs if a.any() and b.any()
        ]  # an input brings none
        return Rounded(self.value @ other.value, np.abs(self.value) @ np.abs(other.value) + np.sqrt(sum(squares)))

    def _product(self, other: "Rounded", multiply: Callable[[Any, Any], np.ndarray]) -> "Rounded":
        magnitude = multiply(self.magnitude, np.abs(other.value))
        inherited = other.inherited
        if inherited.any():
            magnitude = magnitude + multiply(np.abs(self.value), inherited)
        return Rounded(multiply(self.value, other.value), magnitude)

    @property
    def inherited(self) -> np.ndarray:
        """M(a) - |a|: the error from before, beyond a rounding of this size."""
        inherited: np.ndarray = self.magnitude - np.abs(self.value)
        return inherited

    def times(self, factor: Any) -> "Rounded":
        """Multiplied by a number, or by numbers, that are inputs."""
        return Rounded(self.value * factor, self.magnitude * np.abs(factor))

    def sum(self, axis: int | tuple[int, ...], *, keepdims: bool = False) -> "Rounded":
        """Summed over axes."""
        return self.move(lambda array: array.sum(axis=axis, keepdims=keepdims))

    def move(self, rearrange: Callable[[np.ndarray], Any]) -> "Rounded":
        """Values and magnitudes alike, by a function of arrays that multiplies nothing."""
        return Rounded(rearrange(self.value), rearrange(self.magnitude))

    @property
    def mT(self) -> "Rounded":
        """The last two axes exchanged."""
        return self.move(np.matrix_transpose)

    @property
    def rows(self) -> "Rounded":
        """All axes but the last as one."""
        return self.move(lambda array: array.reshape(-1, array.shape[-1]))


def given(x: np.ndarray) -> Rounded:
    """An input, which has no error."""
    return Rounded(x, np.abs(x))


RoundedBackward = Callable[..., Any]


def linear(x: Rounded, weight: Rounded, bias: Rounded | None) -> tuple[Rounded, RoundedBackward]:
    """W x + b at every position, and its way back to x, W and b."""
    y = x.across_channels(weight.mT)
    y = y if bias is None else y + bias

    def backward(dy: Rounded) -> tuple[Rounded, ...]:
        dx, dweight, dbias = dy.across_channels(weight), dy.rows.mT @ x.rows, dy.rows.sum(0)
        return (dx, dweight) if bias is None else (dx, dweight, dbias)

    return y, backward


def softmax(logits: Rounded, allowed: Any = True, tap: Tap = no_tap) -> tuple[Rounded, RoundedBackward]:
    """exp turns an error of a logit into a relative one, and whoever shifts a row rounds at the size of its logits.

    So 1 + the largest magnitude of a row is the growth of its exponentials.
    """
    largest = np.where(allowed, logits.value, -np.inf).max(axis=-1, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0)  # a row that may look at nothing has no largest logit
    growth = 1 + np.where(allowed, logits.magnitude, 0).max(axis=-1, keepdims=True)
    e = np.exp(np.where(allowed, logits.value - shift, -np.inf))
    total = e.sum(axis=-1, keepdims=True)
    p = e / np.where(total > 0, total, 1)
    weights = Rounded(p, growth * p)
    tap("max", Rounded(shift, growth - 1))
    tap("exp", Rounded(e, growth * e))
    tap("sum", Rounded(total, growth * total))

    def backward(dp: Rounded) -> Rounded:
        return weights * (dp - (weights * dp).sum(-1, keepdims=True))

    return weights, backward


def relu(x: Rounded) -> tuple[Rounded, RoundedBackward]:
    """Where x is not positive there is nothing, and no error either."""
    active = x.value > 0
    return x.times(active), lambda dy: dy.times(active)


def standardise(x: Rounded, eps: float) -> tuple[Rounded, RoundedBackward]:
    """Batch norm in training.  x (B', N, C)."""
    count = x.value.shape[0] * x.value.shape[1]

    def mean(values: Rounded) -> Rounded:
        return values.sum((0, 1)).times(1 / count)

    centred = x - mean(x)
    variance = mean(centred * centred)
    inverse = (variance.value + eps) ** -0.5
    inverse_std = Rounded(inverse, inverse + inverse**3 * variance.magnitude / 2)
    x_hat = centred * inverse_std

    def backward(dx_hat: Rounded) -> Rounded:
        return (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) * inverse_std

    return x_hat, backward


def standardise_with(x: Rounded, mean: Rounded, var: Rounded, eps: float) -> tuple[Rounded, RoundedBackward]:
    """Batch norm with given statistics.  x (B', N, C), mean and var (C,)."""
    inverse_std = (var.value + eps) ** -0.5
    return (x - mean).times(inverse_std), lambda dx_hat: dx_hat.times(inverse_std)
