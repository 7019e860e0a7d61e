"""Exercises on functions of an entry, ReLU, and of a row, softmax."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.exercises.ladder import Exercise, Pair, Rung, climb, normal
from nonlocal_ref.exercises.result import Result
from nonlocal_ref.ops import Backward, relu, softmax


def check_relu(mine: Callable[..., Any]) -> Result:
    """Check ``y, backward = relu(x)``: y = max(x, 0), with derivative 0 at 0.

    Parameters
    ----------
    mine : callable
        x of any shape -> y of the same; backward(dy) -> (dx,).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.2, eq. (5).

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_relu
    >>> check_relu(lambda x: None)
    relu: not yet.
    <BLANKLINE>
    It returned None: is there a `return`? It must be y, backward = relu(x).
    <BLANKLINE>
    The smallest input that shows it
        x = [ 0.5, -1.2]
    """
    return climb(RELU, mine)


def check_softmax(mine: Callable[..., Any]) -> Result:
    """Check ``p, backward = softmax(scores)``: softmax over the last axis, f / C(x) of eqs. (2) and (3).

    Parameters
    ----------
    mine : callable
        scores (B, N, M) -> p (B, N, M); backward(dp) -> (dscores,).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.2, eqs. (2) and (3).

    Examples
    --------
    >>> from nonlocal_ref.exercises import check_softmax
    >>> from nonlocal_ref.ops import softmax
    >>> def mine(scores):
    ...     p, _ = softmax(scores)
    ...     return p, lambda dp: (p * dp,)
    >>> check_softmax(mine).hints[0].name
    'jacobian_missing'
    """
    return climb(SOFTMAX, mine)


# Mistakes: each is a wrong solution, its docstring the hint that is shown.


def absolute_value(x: Array) -> Pair:
    """That is |x|. ReLU gives 0 for negative x."""
    return np.abs(x), lambda dy: (dy * np.sign(x),)


def times_x(x: Array) -> Pair:
    """That is dy times y. The slope of a ReLU is 1 where x is positive, whatever the size of x."""
    y, _ = relu(x)
    return y, lambda dy: (dy * y,)


def passes_everything(x: Array) -> Pair:
    """The gradient passes everywhere. Where x was negative, y did not move, and nothing goes back."""
    return relu(x)[0], lambda dy: (+dy,)


def zero_counts_as_positive(x: Array) -> Pair:
    """At x = 0 the gradient passes. There is no derivative there; this package takes 0, so write x > 0, not x >= 0."""
    return relu(x)[0], lambda dy: (np.where(x >= 0, dy, 0.0),)


def overflow(scores: Array) -> Pair:
    """exp overflows here. Take the row's largest score away first: that cancels between top and bottom."""
    return shifted(scores, 0.0)


def wrong_axis(scores: Array) -> Pair:
    """Columns sum to one here. The sum C(x) runs over j, the last axis: rows sum to one."""
    p, backward = softmax(np.matrix_transpose(scores))
    return np.matrix_transpose(p), lambda dp: (np.matrix_transpose(backward(np.matrix_transpose(dp))[0]),)


def over_everything(scores: Array) -> Pair:
    """All entries together sum to one here. Every row sums to one: keep the axis, axis=-1 and keepdims=True."""
    p, backward = softmax(scores.reshape(1, 1, -1))
    return p.reshape(scores.shape), lambda dp: (backward(dp.reshape(1, 1, -1))[0].reshape(scores.shape),)


def one_shift_for_all(scores: Array) -> Pair:
    """One maximum is subtracted from all rows. A row far below it becomes 0 / 0: each row needs its own, axis=-1."""
    return shifted(scores, np.max(scores))


def mean_subtracted(scores: Array) -> Pair:
    """The mean is subtracted. One score far above it still overflows: subtract the row's largest."""
    return shifted(scores, np.mean(scores, axis=-1, keepdims=True))


def smallest_subtracted(scores: Array) -> Pair:
    """The smallest score is subtracted. One far above it still overflows: subtract the row's largest."""
    return shifted(scores, np.min(scores, axis=-1, keepdims=True))


def shifted(scores: Array, shift: Any) -> Pair:
    """Softmax with another shift, and its way back."""
    e = np.exp(scores - shift)
    p = e / np.sum(e, axis=-1, keepdims=True)
    return p, lambda dp: (p * (dp - np.sum(dp * p, axis=-1, keepdims=True)),)


def jacobian_missing(scores: Array) -> Pair:
    """That is p * dp, the gradient of a product: the softmax's Jacobian is missing.

    A score moves its whole row, because the sum below the fraction moves: subtract Σ_k p_k dp_k from dp first.
    """
    p, _ = softmax(scores)
    return p, lambda dp: (p * dp,)


def diagonal_only(scores: Array) -> Pair:
    """That is p (1 - p) dp, the diagonal of the Jacobian. It has entries -p_j p_k beside the diagonal as well."""
    p, _ = softmax(scores)
    return p, lambda dp: (p * (1 - p) * dp,)


def plain_mean(scores: Array) -> Pair:
    """What is subtracted from dp here is its mean. It must be the mean under the weights p: Σ_k p_k dp_k."""
    p, _ = softmax(scores)
    return p, lambda dp: (p * (dp - np.mean(dp, axis=-1, keepdims=True)),)


def plain_sum(scores: Array) -> Pair:
    """What is subtracted from dp here is its sum. It must be the sum under the weights p: Σ_k p_k dp_k."""
    p, _ = softmax(scores)
    return p, lambda dp: (p * (dp - np.sum(dp, axis=-1, keepdims=True)),)


def dot_over_columns(scores: Array) -> Pair:
    """The sum Σ p dp runs over queries here. It belongs to a row: sum over the last axis, axis=-1."""
    p, _ = softmax(scores)
    return p, lambda dp: (p * (dp - np.sum(dp * p, axis=-2, keepdims=True)),)


def weight_forgotten(scores: Array) -> Pair:
    """The factor p in front is missing: dscores = p * (dp - Σ_k p_k dp_k)."""
    p, _ = softmax(scores)
    return p, lambda dp: (dp - np.sum(dp * p, axis=-1, keepdims=True),)


def not_differentiated(scores: Array) -> Pair:
    """dp is handed on as it came.

    Code looks like this where the caller has differentiated softmax and logarithm together; here backward is that of
    the softmax alone.
    """
    return softmax(scores)[0], lambda dp: (+dp,)


def exponentials_for_p(scores: Array) -> Pair:
    """That is exp(s) where p should be on the way back: divide it by the row's sum. p is what went forth."""
    return softmax(scores)[0], jacobian_with(shifted_exponentials(scores), shifted_exponentials(scores))


def unshifted_exponentials_for_p(scores: Array) -> Pair:
    """That is exp(s) where p should be on the way back: divide it by the row's sum. p is what went forth."""
    return softmax(scores)[0], jacobian_with(np.exp(scores), np.exp(scores))


def exponentials_in_the_sum(scores: Array) -> Pair:
    """The sum that is subtracted from dp has exp(s) in it where p should be: Σ_k p_k dp_k, with the weights p."""
    p, _ = softmax(scores)
    return p, jacobian_with(p, shifted_exponentials(scores))


def exponentials_in_front(scores: Array) -> Pair:
    """The factor in front is exp(s), not p: dscores = p * (dp - Σ_k p_k dp_k)."""
    p, _ = softmax(scores)
    return p, jacobian_with(shifted_exponentials(scores), p)


def shifted_exponentials(scores: Array) -> Array:
    """What p is before the division."""
    return np.exp(scores - np.max(scores, axis=-1, keepdims=True))


def jacobian_with(in_front: Array, inside: Array) -> Backward:
    """The way back of a softmax with other numbers in the places of p."""
    return lambda dp: (in_front * (dp - np.sum(dp * inside, axis=-1, keepdims=True)),)


def relu_ladder() -> list[Rung]:
    """Two numbers, more, and a zero."""
    rungs = [Rung((np.asarray([0.5, -1.2]),)), Rung((normal(2, 3),)), Rung((normal(2, 3, 4),))]
    return [*rungs, Rung((np.asarray([1.5, 0.0, -0.5]),), "one number is exactly 0", smooth=False)]


def softmax_ladder() -> list[Rung]:
    """Two keys, three, several queries, a batch; then scores so large that exp of them is infinite."""
    rungs = [Rung((normal(*shape),)) for shape in [(1, 1, 2), (1, 1, 3), (1, 2, 2), (1, 2, 3), (2, 3, 4)]]
    return [*rungs, *(Rung((scores[None],), about, smooth=False) for scores, about in far_out())]


def far_out() -> list[tuple[Array, str]]:
    """Rows of scores whose exp is infinite or zero, and what they are there to show."""
    return [
        (np.asarray([[1000.0, 1001.0], [999.0, 1000.0]]), "large scores"),
        (np.asarray([[0.0, 1.0], [1000.0, 1002.0], [-1000.0, -1001.0]]), "rows far apart"),
        (np.asarray([[0.0, 0.0, 0.0, 3000.0], [-2000.0, 0.0, 0.0, 0.0]]), "one score far from the others"),
    ]


RELU_MISTAKES = (absolute_value, times_x, passes_everything, zero_counts_as_positive)
SOFTMAX_MISTAKES = (
    *(overflow, one_shift_for_all, mean_subtracted, smallest_subtracted, wrong_axis, over_everything),
    *(jacobian_missing, diagonal_only, plain_mean, plain_sum, dot_over_columns, weight_forgotten, not_differentiated),
    *(exponentials_for_p, unshifted_exponentials_for_p, exponentials_in_the_sum, exponentials_in_front),
)

RELU = Exercise("relu", ("x",), "y", relu, relu_ladder, RELU_MISTAKES)
SOFTMAX = Exercise("softmax", ("scores",), "p", softmax, softmax_ladder, SOFTMAX_MISTAKES)
