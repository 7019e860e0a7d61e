"""Exercises on what the block adds around the operation: subsampling and batch norm."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.exercises.ladder import Exercise, Pair, Rung, climb, normal
from nonlocal_ref.exercises.result import Result
from nonlocal_ref.norm import affine, standardise, standardise_with
from nonlocal_ref.positions import max_pool

EPS = 1e-5


def check_max_pool(mine: Callable[..., Any]) -> Result:
    """Check ``y, backward = max_pool(x)``: the maximum of each window of 2 x 2, channels last.

    Parameters
    ----------
    mine : callable
        x (B, H, W, C) -> y (B, H // 2, W // 2, C), an odd last row or column dropped; backward(dy) -> (dx,), where on a
        tie the first position in row-major order gets the whole gradient.

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.3, the subsampling trick.

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_max_pool
    >>> from nonlocal_ref.positions import max_pool
    >>> bool(check_max_pool(lambda x: max_pool(x, (2, 2))))
    True
    """
    return climb(MAX_POOL, mine)


def check_batch_norm(mine: Callable[..., Any]) -> Result:
    """Check ``y, backward = batch_norm(x, gamma, beta)`` in training: γ (x - mean) / sqrt(var + 1e-5) + β.

    Parameters
    ----------
    mine : callable
        x (B, N, C), gamma and beta (C,) -> y (B, N, C), mean and biased variance over all B N positions;
        backward(dy) -> (dx, dgamma, dbeta).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    Ioffe and Szegedy, arXiv 1502.03167, algorithm 1; arXiv 1711.07971, section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> from nonlocal_ref.exercises import check_batch_norm
    >>> from nonlocal_ref.norm import affine, standardise_with
    >>> def mine(x, gamma, beta):
    ...     x_hat, back = standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)), 1e-5)
    ...     y, affine_backward = affine(x_hat, gamma, beta)
    ...
    ...     def backward(dy):
    ...         dx_hat, dgamma, dbeta = affine_backward(dy)
    ...         return *back(dx_hat), dgamma, dbeta
    ...
    ...     return y, backward
    >>> check_batch_norm(mine).hints[0].name
    'statistics_are_constants'
    """
    return climb(BATCH_NORM, mine)


def pool(x: Array) -> Pair:
    """Max-pooling with windows of 2 x 2."""
    return max_pool(x, (2, 2))


def batch_norm(x: Array, gamma: Array, beta: Array) -> Pair:
    """Batch norm in training: `standardise`, then `affine`."""
    return with_affine(standardise(x, EPS), gamma, beta)


def with_affine(standardised: Pair, gamma: Array, beta: Array) -> Pair:
    """γ x̂ + β behind some way of making x̂."""
    x_hat, standardise_backward = standardised
    y, affine_backward = affine(x_hat, gamma, beta)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx_hat, dgamma, dbeta = affine_backward(dy)
        (dx,) = standardise_backward(dx_hat)
        return dx, dgamma, dbeta

    return y, backward


# Mistakes: each is a wrong solution, its docstring the hint that is shown.


def mean_pooled(x: Array) -> Pair:
    """That is the mean of each window. Subsampling here takes the maximum."""
    windows = cut(x)
    y = np.mean(windows, axis=-1)
    return y, lambda dy: (paste(np.broadcast_to(dy[..., None] / 4, windows.shape), x),)


def strided(x: Array) -> Pair:
    """That is the first position of each window, as a stride without pooling. Take the maximum of all four."""
    windows = cut(x)
    first = np.arange(4) == 0
    return windows[..., 0], lambda dy: (paste(np.where(first, dy[..., None], 0.0), x),)


def cut_without_transpose(x: Array) -> Pair:
    """Four neighbours in memory are taken as a window here: reshape alone does not cut squares out of a picture.

    Split both axes, (B, H / 2, 2, W / 2, 2, C), and take the maximum over axes 2 and 4.
    """
    rows, columns, channels = x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
    cropped = x[:, : 2 * rows, : 2 * columns]
    windows = cropped.reshape(x.shape[0], rows, columns, 4, channels).swapaxes(-1, -2)
    first = np.arange(4) == np.argmax(windows, axis=-1)[..., None]

    def backward(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        dx[:, : 2 * rows, : 2 * columns] = np.where(first, dy[..., None], 0.0).swapaxes(-1, -2).reshape(cropped.shape)
        return (dx,)

    return np.max(windows, axis=-1), backward


def times_the_maximum(x: Array) -> Pair:
    """That is dy times the maximum. The largest one gets dy itself: y moves exactly as it does."""
    y, backward = pool(x)
    return y, lambda dy: backward(dy * y)


def last_of_a_tie(x: Array) -> Pair:
    """On a tie the last winner gets the gradient here. In this package the first one gets it (argmax)."""
    windows = cut(x)
    last = np.arange(4) == 3 - np.argmax(windows[..., ::-1], axis=-1)[..., None]
    return np.max(windows, axis=-1), lambda dy: (paste(np.where(last, dy[..., None], 0.0), x),)


def spread_over_the_window(x: Array) -> Pair:
    """The gradient goes to all four positions of a window. Only the largest one moved y; the others get 0."""
    windows = cut(x)
    return np.max(windows, axis=-1), lambda dy: (paste(np.broadcast_to(dy[..., None], windows.shape), x),)


def tie_counted_twice(x: Array) -> Pair:
    """On a tie every winner gets the whole gradient here, more than came in. The first one gets it (argmax)."""
    windows = cut(x)
    y = np.max(windows, axis=-1, keepdims=True)
    return y[..., 0], lambda dy: (paste(np.where(windows == y, dy[..., None], 0.0), x),)


def tie_shared(x: Array) -> Pair:
    """On a tie the winners share the gradient here. In this package the first one gets all of it (argmax)."""
    windows = cut(x)
    y = np.max(windows, axis=-1, keepdims=True)
    share = (windows == y) / np.sum(windows == y, axis=-1, keepdims=True)
    return y[..., 0], lambda dy: (paste(share * dy[..., None], x),)


def cut(x: Array) -> Array:
    """The windows.  (B, H, W, C) -> (B, H // 2, W // 2, C, 4)."""
    batch, height, width, channels = x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
    cropped = x[:, : 2 * height, : 2 * width]
    split = cropped.reshape(batch, height, 2, width, 2, channels)
    return split.transpose(0, 1, 3, 5, 2, 4).reshape(batch, height, width, channels, 4)


def paste(windows: Array, x: Array) -> Array:
    """The windows back in their places, zeros where x was dropped."""
    batch, height, width, channels, _ = windows.shape
    split = windows.reshape(batch, height, width, channels, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    dx = np.zeros_like(x)
    dx[:, : 2 * height, : 2 * width] = split.reshape(batch, 2 * height, 2 * width, channels)
    return dx


def unbiased(x: Array, gamma: Array, beta: Array) -> Pair:
    """The variance is divided by count - 1 here. Batch norm divides by count; only the stored one is unbiased."""
    count = x.shape[0] * x.shape[1]
    return with_affine(
        standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)) * count / (count - 1), EPS), gamma, beta
    )


def eps_missing(x: Array, gamma: Array, beta: Array) -> Pair:
    """eps is missing: divide by sqrt(var + eps)."""
    return with_affine(standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)), 0.0), gamma, beta)


def eps_outside_the_root(x: Array, gamma: Array, beta: Array) -> Pair:
    """eps is added to the root here. It stands under it, beside the variance: sqrt(var + eps)."""
    std = x.std(axis=(0, 1)) + EPS
    return with_affine(standardise_with(x, x.mean(axis=(0, 1)), std**2, 0.0), gamma, beta)


def divided_by_the_variance(x: Array, gamma: Array, beta: Array) -> Pair:
    """Divided by the variance. Divide by its root, sqrt(var + eps)."""
    return with_affine(standardise_with(x, x.mean(axis=(0, 1)), (x.var(axis=(0, 1)) + EPS) ** 2, 0.0), gamma, beta)


def divided_by_the_variance_alone(x: Array, gamma: Array, beta: Array) -> Pair:
    """Divided by the variance, without eps. Divide by the root of their sum, sqrt(var + eps)."""
    return with_affine(standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)) ** 2, 0.0), gamma, beta)


def over_channels(x: Array, gamma: Array, beta: Array) -> Pair:
    """Each position is normalised over its channels here, a layer norm. Batch norm takes axes 0 and 1 together."""
    mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return with_affine(standardise_with(x, mean, var, EPS), gamma, beta)


def over_everything(x: Array, gamma: Array, beta: Array) -> Pair:
    """All channels share one mean and variance here. Each channel has its own: axes 0 and 1, not the last."""
    flat, backward = standardise(x.reshape(1, -1, 1), EPS)
    x_hat = flat.reshape(x.shape)
    return with_affine((x_hat, lambda d: (backward(d.reshape(flat.shape))[0].reshape(x.shape),)), gamma, beta)


def each_example_alone(x: Array, gamma: Array, beta: Array) -> Pair:
    """Each example of the batch is normalised alone here. Mean and variance run over all B N positions."""
    alone = [standardise(x[b : b + 1], EPS) for b in range(x.shape[0])]

    def backward(dx_hat: Array) -> tuple[Array]:
        return (np.concat([back(dx_hat[b : b + 1])[0] for b, (_, back) in enumerate(alone)]),)

    return with_affine((np.concat([x_hat for x_hat, _ in alone]), backward), gamma, beta)


def statistics_are_constants(x: Array, gamma: Array, beta: Array) -> Pair:
    """Mean and variance are treated as constants on the way back. In training they come from x and move with it.

    From dx̂ its mean, and x̂ times the mean of dx̂ x̂, have to be subtracted.
    """
    return with_affine(standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)), EPS), gamma, beta)


def variance_is_constant(x: Array, gamma: Array, beta: Array) -> Pair:
    """The way through the variance is missing: subtract x̂ times the mean of dx̂ x̂ as well."""
    x_hat, backward = standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)), EPS)
    return with_affine((x_hat, lambda d: backward(d - np.mean(d, axis=(0, 1)))), gamma, beta)


def sums_for_means(x: Array, gamma: Array, beta: Array) -> Pair:
    """What is subtracted from dx̂ are sums over the positions. They are means: divide both by B N."""
    x_hat, backward = standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)), EPS)
    return with_affine(
        (x_hat, lambda d: backward(d - np.sum(d, axis=(0, 1)) - x_hat * np.sum(d * x_hat, axis=(0, 1)))), gamma, beta
    )


def root_forgotten_on_the_way_back(x: Array, gamma: Array, beta: Array) -> Pair:
    """The division by sqrt(var + eps) is missing in dx. What is divided on the way forth is divided on the way back."""
    x_hat, backward = standardise(x, EPS)
    root = np.sqrt(x.var(axis=(0, 1)) + EPS)
    return with_affine((x_hat, lambda d: (backward(d)[0] * root,)), gamma, beta)


def gamma_forgotten_on_the_way_back(x: Array, gamma: Array, beta: Array) -> Pair:
    """The factor gamma is missing in dx: dx̂ = γ dy."""
    y, backward = batch_norm(x, gamma, beta)
    _, standardise_backward = standardise(x, EPS)
    return y, lambda dy: (*standardise_backward(dy), *backward(dy)[1:])


def means_of_one_example(x: Array, gamma: Array, beta: Array) -> Pair:
    """The means on the way back run over the positions of one example; they run over axis=(0, 1)."""
    x_hat, backward = standardise_with(x, x.mean(axis=(0, 1)), x.var(axis=(0, 1)), EPS)

    def mean(values: Array) -> Array:
        return np.mean(values, axis=1, keepdims=True)

    return with_affine((x_hat, lambda d: backward(d - mean(d) - x_hat * mean(d * x_hat))), gamma, beta)


def beta_missing(x: Array, gamma: Array, beta: Array) -> Pair:
    """β is not added: y = γ x̂ + β."""
    y, backward = batch_norm(x, gamma, beta)
    return y - beta, backward


def gamma_missing(x: Array, gamma: Array, beta: Array) -> Pair:
    """x̂ is not multiplied by γ: y = γ x̂ + β."""
    return standardise(x, EPS)[0] + beta, batch_norm(x, gamma, beta)[1]


def max_pool_ladder() -> list[Rung]:
    """One window, two, channels and a batch, a remainder; then windows with ties, as after a ReLU."""
    rungs = [Rung((normal(*shape),)) for shape in [(1, 2, 2, 1), (1, 2, 4, 1), (2, 4, 4, 3)]]
    odd = Rung((normal(1, 3, 5, 1),), "an odd number of rows and columns")
    ties = np.asarray([[[0.0, 0.7, 0.0, 0.0], [0.7, 0.2, 0.0, 0.0]]])[..., None]
    return [*rungs, odd, Rung((ties,), "zeros, as after a ReLU: ties", smooth=False)]


def batch_norm_ladder() -> list[Rung]:
    """Three positions, more channels, two examples."""
    shapes = [(1, 3, 1), (1, 4, 2), (2, 3, 2), (3, 5, 4)]
    return [Rung((normal(*s), 1 + 0.1 * normal(s[-1], seed=1), normal(s[-1], seed=2))) for s in shapes]


POOL_MISTAKES = (
    *(mean_pooled, strided, cut_without_transpose, spread_over_the_window, times_the_maximum),
    *(tie_counted_twice, tie_shared, last_of_a_tie),
)
NORM_MISTAKES = (
    *(unbiased, eps_missing, eps_outside_the_root, divided_by_the_variance, divided_by_the_variance_alone),
    *(each_example_alone, over_channels, over_everything, beta_missing, gamma_missing, means_of_one_example),
    *(statistics_are_constants, variance_is_constant, sums_for_means, root_forgotten_on_the_way_back),
    gamma_forgotten_on_the_way_back,
)

MAX_POOL = Exercise("max_pool", ("x",), "y", pool, max_pool_ladder, POOL_MISTAKES)
BATCH_NORM = Exercise("batch_norm", ("x", "gamma", "beta"), "y", batch_norm, batch_norm_ladder, NORM_MISTAKES)
