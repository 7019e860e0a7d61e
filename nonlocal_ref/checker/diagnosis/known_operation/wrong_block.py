"""Wrong ways back of the pieces of the block, eq. (6): weights, norm, pooling, axes.  As in wrong_pairwise.py."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.checker.diagnosis.known_operation.wrong_pairwise import Wrong
from nonlocal_ref.norm import standardise_with
from nonlocal_ref.ops import linear


def weight_not_transposed(right: Any, dy: np.ndarray, x: Any, weight: Any, bias: Any = None) -> tuple[Any, ...]:
    """dx = dy W, not dy Wᵀ: a weight is transposed on the way back."""
    return (dy @ weight.T, *right(dy)[1:])


def weight_gradient_transposed(right: Any, dy: np.ndarray, x: Any, weight: Any, bias: Any = None) -> tuple[Any, ...]:
    """the gradient of a weight is transposed."""
    dx, dweight, *dbias = right(dy)
    return dx, dweight.T, *dbias


def y_for_x(right: Any, dy: np.ndarray, x: Any, weight: Any, bias: Any = None) -> tuple[Any, ...]:
    """the output of the embedding stands where its input belongs."""
    dx, _, *dbias = right(dy)
    y = linear(x, weight, bias)[0]
    return dx, linear(y, weight)[1](dy)[1], *dbias


def one_position(index: Any) -> Wrong:
    """The sum over positions reduced to one of them; index into (B, *S)."""

    def wrong(right: Any, dy: np.ndarray, x: Any, weight: Any, bias: Any = None) -> tuple[Any, ...]:
        part = np.zeros_like(dy)
        part[index] = dy[index]
        return (right(dy)[0], *right(part)[1:])

    return wrong


def statistics_constant(right: Any, dx_hat: np.ndarray, x: np.ndarray, eps: float) -> tuple[Any, ...]:
    """mean and variance of the batch depend on x as well."""
    return tuple(standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)), eps)[1](dx_hat))


def variance_constant(right: Any, dx_hat: np.ndarray, x: np.ndarray, eps: float) -> tuple[Any, ...]:
    """the variance of the batch depends on x as well."""
    return ((dx_hat - dx_hat.mean(axis=(0, 1))) / np.sqrt(x.var(axis=(0, 1)) + eps),)


def mean_constant(right: Any, dx_hat: np.ndarray, x: np.ndarray, eps: float) -> tuple[Any, ...]:
    """the mean of the batch depends on x as well."""
    return (right(dx_hat)[0] + dx_hat.mean(axis=(0, 1)) / np.sqrt(x.var(axis=(0, 1)) + eps),)


def std_forgotten(right: Any, dx_hat: np.ndarray, x: np.ndarray, eps: float) -> tuple[Any, ...]:
    """1 / sqrt(var + eps) is forgotten."""
    return (right(dx_hat)[0] * np.sqrt(x.var(axis=(0, 1)) + eps),)


def running_std_forgotten(right: Any, dx_hat: np.ndarray, x: Any, mean: Any, var: Any, eps: float) -> tuple[Any, ...]:
    """1 / sqrt(var + eps) is forgotten."""
    return (dx_hat,)


def running_std_twice(right: Any, dx_hat: np.ndarray, x: Any, mean: Any, var: Any, eps: float) -> tuple[Any, ...]:
    """1 / sqrt(var + eps) is applied twice."""
    return (dx_hat / (var + eps),)


def gamma_forgotten(right: Any, dy: np.ndarray, x: Any, weight: Any, bias: Any) -> tuple[Any, ...]:
    """gamma is forgotten."""
    return (dy, *right(dy)[1:])


def gamma_twice(right: Any, dy: np.ndarray, x: Any, weight: Any, bias: Any) -> tuple[Any, ...]:
    """gamma is applied twice."""
    return (dy * weight * weight, *right(dy)[1:])


def y_for_x_hat(right: Any, dy: np.ndarray, x: Any, weight: Any, bias: Any) -> tuple[Any, ...]:
    """y stands where x_hat belongs in dgamma."""
    dx, _, dbias = right(dy)
    return dx, np.sum(dy * (x * weight + bias), axis=(0, 1)), dbias


def fold_reshaped(right: Any, dfeatures: np.ndarray, x: np.ndarray, *_: Any) -> tuple[Any, ...]:
    """reshaped where the axes must be moved (channels last to channels first)."""
    return (np.reshape(dfeatures, x.shape),)


def unfold_reshaped(right: Any, dx: np.ndarray, features: np.ndarray, *_: Any) -> tuple[Any, ...]:
    """reshaped where the axes must be moved (channels first to channels last)."""
    return (np.reshape(dx, features.shape),)


def pool_to(share: Callable[[int, int], float]) -> Wrong:
    """Cell number k of a window of n gets share(k, n) of its gradient, whichever cell won."""

    def wrong(right: Any, dy: np.ndarray, x: np.ndarray, kernel: Any) -> tuple[Any, ...]:
        if kernel is None:
            return (dy,)
        cells = list(np.ndindex(*kernel))
        dx = np.zeros_like(x)
        for number, cell in enumerate(cells):
            sizes = zip(cell, kernel, dy.shape[1:-1], strict=True)
            where = tuple(slice(start, start + k * n, k) for start, k, n in sizes)
            dx[(slice(None), *where, slice(None))] = share(number, len(cells)) * dy
        return (dx,)

    return wrong


POOLING: dict[str, Wrong] = {
    "pooling gives the gradient to the last cell of a window, whichever won": pool_to(lambda k, n: float(k == n - 1)),
    "pooling gives the gradient to the first cell of a window, whichever won": pool_to(lambda k, n: float(k == 0)),
    "pooling spreads the gradient over the window, as that of a mean": pool_to(lambda k, n: 1 / n),
    "pooling gives every cell of a window the whole gradient": pool_to(lambda k, n: 1.0),
}
