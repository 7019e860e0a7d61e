"""Numbers with the rounding error that they carry: the unit in which a difference is measured.

A `Rounded` is an array of values and an array of errors, in units of ε.  Computing with it is computing with the values
while keeping account: an input is exact, a sum is off by the errors of its terms, a product by the error of each factor
times the size of the other, and every result by one rounding more.

    a + b    error(a) ⊕ error(b) ⊕ |a + b|
    a b      error(a) |b| ⊕ |a| error(b) ⊕ |a b|        matrix products likewise, term by term

So a sum that cancels has a small value and keeps the error of its terms: nobody could do better, and nobody is blamed.
Errors have random signs, so they add like the sides of a right angle, e ⊕ f = sqrt(e² + f²).  Where they have a common
cause they do not; `magnitudes` makes up for that.  Errors are small: products of two are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


def together(*errors: Any) -> Any:
    """e ⊕ f ⊕ ... = sqrt(e² + f² + ...)."""
    return np.sqrt(sum(error * error for error in errors))


@dataclass(frozen=True)
class Rounded:
    """Values, and their errors in units of ε."""

    value: np.ndarray
    error: np.ndarray

    def __add__(self, other: "Rounded") -> "Rounded":
        value = self.value + other.value
        return Rounded(value, together(self.error, other.error, value))

    def __sub__(self, other: "Rounded") -> "Rounded":
        value = self.value - other.value
        return Rounded(value, together(self.error, other.error, value))

    def __mul__(self, other: "Rounded") -> "Rounded":
        value = self.value * other.value
        return Rounded(value, together(self.error * other.value, self.value * other.error, value))

    def __matmul__(self, other: "Rounded") -> "Rounded":
        square, other_square = self.value**2, other.value**2
        squares = self.error**2 @ other_square + square @ other.error**2 + square @ other_square
        return Rounded(self.value @ other.value, np.sqrt(squares))

    def times(self, factor: Any) -> "Rounded":
        """Multiplied by a number, or by numbers, that are exact."""
        return Rounded(self.value * factor, together(self.error, self.value) * np.abs(factor))

    def sum(self, axis: int | tuple[int, ...], *, keepdims: bool = False) -> "Rounded":
        """Summed over axes."""
        squares = (self.error**2 + self.value**2).sum(axis=axis, keepdims=keepdims)
        return Rounded(self.value.sum(axis=axis, keepdims=keepdims), np.sqrt(squares))

    def move(self, rearrange: Callable[[np.ndarray], Any]) -> "Rounded":
        """The entries elsewhere, by a function of arrays that computes nothing."""
        return Rounded(rearrange(self.value), rearrange(self.error))

    @property
    def mT(self) -> "Rounded":
        """The last two axes exchanged."""
        return self.move(np.matrix_transpose)

    @property
    def rows(self) -> "Rounded":
        """All axes but the last as one."""
        return self.move(lambda array: array.reshape(-1, array.shape[-1]))


def given(x: np.ndarray) -> Rounded:
    """An input: exact."""
    return Rounded(x, np.zeros(x.shape))


RoundedBackward = Callable[..., Any]


def linear(x: Rounded, weight: Rounded, bias: Rounded | None) -> tuple[Rounded, RoundedBackward]:
    """W x + b at every position, and its way back to x, W and b."""
    y = x @ weight.mT
    y = y if bias is None else y + bias

    def backward(dy: Rounded) -> tuple[Rounded, ...]:
        dweight, dbias = dy.rows.mT @ x.rows, dy.rows.sum(0)
        return (dy @ weight, dweight) if bias is None else (dy @ weight, dweight, dbias)

    return y, backward


def softmax(logits: Rounded) -> tuple[Rounded, RoundedBackward]:
    """exp turns the error of a logit into a relative one; whoever shifts a row rounds at the size of its logits."""
    e = np.exp(logits.value - logits.value.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    largest = np.max(np.abs(logits.value), axis=-1, keepdims=True)
    relative = together(logits.error, largest, largest, 1)
    total = np.sqrt(np.sum((p * relative) ** 2, axis=-1, keepdims=True))
    weights = Rounded(p, p * together(relative, total))

    def backward(dp: Rounded) -> Rounded:
        return weights * (dp - (weights * dp).sum(-1, keepdims=True))

    return weights, backward


def relu(x: Rounded) -> tuple[Rounded, RoundedBackward]:
    """Where x is not positive there is nothing, and no error either."""
    active = x.value > 0
    return x.move(lambda array: array * active), lambda dy: dy.move(lambda array: array * active)


def standardise(x: Rounded, eps: float) -> tuple[Rounded, RoundedBackward]:
    """Batch norm in training.  x (B', N, C)."""
    count = x.value.shape[0] * x.value.shape[1]

    def mean(values: Rounded) -> Rounded:
        return values.sum((0, 1)).times(1 / count)

    centred = x - mean(x)
    variance = mean(centred * centred)
    inverse = (variance.value + eps) ** -0.5
    inverse_std = Rounded(inverse, together(inverse**3 * variance.error / 2, inverse))
    x_hat = centred * inverse_std

    def backward(dx_hat: Rounded) -> Rounded:
        return (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)) * inverse_std

    return x_hat, backward


def standardise_with(x: Rounded, mean: Rounded, var: Rounded, eps: float) -> tuple[Rounded, RoundedBackward]:
    """Batch norm with given statistics.  x (B', N, C), mean and var (C,)."""
    inverse_std = (var.value + eps) ** -0.5
    return (x - mean).times(inverse_std), lambda dx_hat: dx_hat.times(inverse_std)
