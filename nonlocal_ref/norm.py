"""What stands after W_z and before the residual sum: batch norm, or a plain scale and shift, per channel.

x (B', N, C): the statistics are those of all positions of all batch elements, as for (B, C, T, H, W) in the paper.
"""

from nonlocal_ref.backend import Array, array_namespace
from nonlocal_ref.ops import Backward, Tap, no_tap, sum_over_rows


def affine(x: Array, weight: Array, bias: Array) -> tuple[Array, Backward]:
    """y = γ x + β.  x (B', N, C), weight γ and bias β (C,) -> y (B', N, C).  Keeps: x, weight."""

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        return dy * weight, sum_over_positions(dy * x), sum_over_positions(dy)

    return x * weight + bias, backward


def standardise(x: Array, eps: float, tap: Tap = no_tap) -> tuple[Array, Backward]:
    """x̂ = (x - mean) / sqrt(var + eps) with the statistics of x itself: batch norm in training mode.

    x (B', N, C) -> x̂ (B', N, C); var is the mean of the centred square (biased).  Keeps: x̂, 1 / sqrt(var + eps).
    """
    xp = array_namespace(x)
    count = x.shape[0] * x.shape[1]

    def mean_over_positions(values: Array) -> Array:
        return sum_over_positions(values) / max(count, 1)  # an empty batch: 0, not 0 / 0

    mean = mean_over_positions(x)
    centred = x - mean
    var = mean_over_positions(centred * centred)
    inverse_std = 1 / xp.sqrt(var + eps)
    x_hat = centred * inverse_std
    for name, value in (("bn.mean", mean), ("bn.var", var), ("bn.count", count)):
        tap(name, value)

    def backward(dx_hat: Array) -> tuple[Array]:
        # mean and var depend on x as well: what dx̂ has in common with 1 and with x̂ goes away
        along_one = mean_over_positions(dx_hat)
        along_x_hat = mean_over_positions(dx_hat * x_hat)
        return ((dx_hat - along_one - x_hat * along_x_hat) * inverse_std,)

    return x_hat, backward


def standardise_with(x: Array, mean: Array, var: Array, eps: float) -> tuple[Array, Backward]:
    """x̂ = (x - mean) / sqrt(var + eps) with given statistics, which are constants: batch norm in eval mode.

    x (B', N, C), mean and var (C,) -> x̂ (B', N, C).  Keeps: 1 / sqrt(var + eps).
    """
    inverse_std = 1 / array_namespace(x).sqrt(var + eps)

    def backward(dx_hat: Array) -> tuple[Array]:
        return (dx_hat * inverse_std,)

    return (x - mean) * inverse_std, backward


def sum_over_positions(x: Array) -> Array:
    """Over all positions of all batch elements.  x (B', N, C) -> (C,)."""
    return sum_over_rows(array_namespace(x).reshape(x, (-1, x.shape[2])))
