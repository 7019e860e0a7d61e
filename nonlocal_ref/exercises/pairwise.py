"""Exercises on eqs. (2) to (5): a softmax of rows, the pairs of eq. (5), what C(x) divides by.  Values alone."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.exercises.entries_and_rows import far_out
from nonlocal_ref.exercises.ladder import Exercise, Rung, climb, normal
from nonlocal_ref.exercises.result import Result

SOFTMAX = (2, 3)  # the equations whose weights are a softmax
DOT_PRODUCT = 4
CONCATENATION = 5


def check_softmax_rows(mine: Callable[..., Any]) -> Result:
    """Check ``p = softmax_rows(scores)``: exp of every entry, divided by the sum over its row.

    Parameters
    ----------
    mine : callable
        scores (N, M) -> p (N, M), rows adding up to one.

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.2, eqs. (2) and (3).

    Examples
    --------
    >>> import numpy as np
    >>> from nonlocal_ref.exercises.pairwise import check_softmax_rows
    >>> def mine(scores):
    ...     return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    >>> check_softmax_rows(mine).hints[0].name
    'shift_forgotten'
    """
    return climb(SOFTMAX_ROWS, mine)


def check_pair_scores(mine: Callable[..., Any]) -> Result:
    """Check ``f = pair_scores(theta, phi, w_f)``: f_ij = ReLU(w_fᵀ [θ_i, φ_j]), eq. (5) before its division by C(x).

    Parameters
    ----------
    mine : callable
        theta (N, D), phi (M, D), w_f (2D,) -> f (N, M).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.2, eq. (5).

    Examples
    --------
    >>> import numpy as np
    >>> from nonlocal_ref.exercises.pairwise import check_pair_scores
    >>> def mine(theta, phi, w_f):
    ...     depth = theta.shape[1]
    ...     return (theta @ w_f[:depth])[:, None] + (phi @ w_f[depth:])[None, :]
    >>> check_pair_scores(mine).hints[0].name
    'relu_forgotten'
    """
    return climb(PAIR_SCORES, mine)


def check_normaliser(mine: Callable[..., Any]) -> Result:
    """Check ``c = normaliser(equation, f)``: C(x) of every row, for eq. (2), (3), (4) or (5).

    Parameters
    ----------
    mine : callable
        equation, one of 2, 3, 4, 5, f (N, M) with f_ij = f(x_i, x_j) of that equation -> c (N,).

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, section 3.2: C(x) under eqs. (2) to (5).

    Examples
    --------
    >>> from nonlocal_ref.exercises.pairwise import check_normaliser
    >>> check_normaliser(lambda equation, f: f.sum(axis=1)).hints[0].name
    'always_the_sum'
    """
    return climb(NORMALISER, mine)


def softmax_rows(scores: Array) -> Array:
    """The right solution."""
    e = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def pair_scores(theta: Array, phi: Array, w_f: Array) -> Array:
    """The right solution."""
    a, b = halves(theta, phi, w_f)
    return np.maximum(a[:, None] + b[None, :], 0.0)


def halves(theta: Array, phi: Array, w_f: Array) -> tuple[Array, Array]:
    """a_i = w_f[:D] · θ_i and b_j = w_f[D:] · φ_j.  -> a (N,), b (M,)."""
    depth = theta.shape[1]
    return theta @ w_f[:depth], phi @ w_f[depth:]


def normaliser(equation: int, f: Array) -> Array:
    """The right solution."""
    if equation in SOFTMAX:
        return np.sum(f, axis=1)
    return np.full(f.shape[0], float(f.shape[1]))


# Mistakes: each is a wrong solution, its docstring the hint that is shown.


def shift_forgotten(scores: Array) -> Array:
    """exp overflows here, and inf / inf is nan. Subtract the row's largest score first: it cancels in the fraction."""
    e = np.exp(scores)
    return e / np.sum(e, axis=1, keepdims=True)


def one_shift_for_all(scores: Array) -> Array:
    """One maximum was subtracted from all rows. A row far below it becomes 0 / 0: each row needs its own maximum."""
    e = np.exp(scores - np.max(scores))
    return e / np.sum(e, axis=1, keepdims=True)


def mean_subtracted(scores: Array) -> Array:
    """The mean is subtracted. One score far above it still overflows: subtract the row's largest."""
    e = np.exp(scores - np.mean(scores, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def smallest_subtracted(scores: Array) -> Array:
    """The smallest score is subtracted. One far above it still overflows: subtract the row's largest."""
    e = np.exp(scores - np.min(scores, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def keepdims_forgotten(scores: Array) -> Array:
    """Entry (i, j) is divided by the sum of row j. Sums of rows must stand as a column: axis=1 with keepdims=True."""
    e = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    return e / np.sum(e, axis=1)


def of_absolute_scores(scores: Array) -> Array:
    """That is the softmax of |scores|. A negative score has the smallest weight, not a large one: no abs."""
    return softmax_rows(np.abs(scores))


def columns_sum_to_one(scores: Array) -> Array:
    """Columns add up to one here. Rows must: sum along the row, axis=1 with keepdims=True."""
    e = np.exp(scores - np.max(scores, axis=0, keepdims=True))
    return e / np.sum(e, axis=0, keepdims=True)


def everything_sums_to_one(scores: Array) -> Array:
    """All entries together add up to one here. Every row must, by itself: axis=1 with keepdims=True."""
    e = np.exp(scores - np.max(scores))
    return e / np.sum(e)


def only_exponentials(scores: Array) -> Array:
    """These are the exponentials. Divide each row by its sum."""
    return np.exp(scores)


def shifted_exponentials(scores: Array) -> Array:
    """The shift is there, the division is not. Divide each row by its sum."""
    return np.exp(scores - np.max(scores, axis=1, keepdims=True))


def divided_by_length(scores: Array) -> Array:
    """The exponentials are divided by the length of the row. Divide by their sum."""
    return np.exp(scores) / scores.shape[1]


def exponential_forgotten(scores: Array) -> Array:
    """The scores themselves are divided by their sum. Take exp first: then all are positive."""
    return scores / np.sum(scores, axis=1, keepdims=True)


def sum_of_scores(scores: Array) -> Array:
    """exp is divided by a sum of the scores. Divide by the sum of the exponentials."""
    return np.exp(scores) / np.sum(scores, axis=1, keepdims=True)


def relu_forgotten(theta: Array, phi: Array, w_f: Array) -> Array:
    """The ReLU is missing: what is below zero becomes zero, np.maximum(..., 0)."""
    a, b = halves(theta, phi, w_f)
    return a[:, None] + b[None, :]


def relu_too_early(theta: Array, phi: Array, w_f: Array) -> Array:
    """The ReLU was taken of a_i and of b_j. It belongs to their sum."""
    a, b = halves(theta, phi, w_f)
    return np.maximum(a, 0.0)[:, None] + np.maximum(b, 0.0)[None, :]


def halves_exchanged(theta: Array, phi: Array, w_f: Array) -> Array:
    """The halves of w_f have changed places. θ comes first in [θ_i, φ_j], so the first half is its."""
    a, b = halves(theta, phi, np.roll(w_f, len(w_f) // 2))
    return np.maximum(a[:, None] + b[None, :], 0.0)


def first_half_twice(theta: Array, phi: Array, w_f: Array) -> Array:
    """The first half of w_f meets both. φ_j takes the second half, w_f[D:]."""
    depth = theta.shape[1]
    return np.maximum((theta @ w_f[:depth])[:, None] + (phi @ w_f[:depth])[None, :], 0.0)


def product_of_halves(theta: Array, phi: Array, w_f: Array) -> Array:
    """That is a_i times b_j. The product of w_f with the joined vector is the sum of both parts."""
    a, b = halves(theta, phi, w_f)
    return np.maximum(a[:, None] * b[None, :], 0.0)


def products_of_channels(theta: Array, phi: Array, w_f: Array) -> Array:
    """Here θ_i and φ_j, both weighted, are multiplied. Eq. (5) joins them end to end, so f = ReLU(a_i + b_j)."""
    depth = theta.shape[1]
    return np.maximum((theta * w_f[:depth]) @ (phi * w_f[depth:]).T, 0.0)


def products_without_relu(theta: Array, phi: Array, w_f: Array) -> Array:
    """Here θ_i and φ_j, both weighted, are multiplied. Eq. (5) joins them end to end: ReLU(a_i + b_j)."""
    depth = theta.shape[1]
    return (theta * w_f[:depth]) @ (phi * w_f[depth:]).T


def divided_already(theta: Array, phi: Array, w_f: Array) -> Array:
    """The result is divided by M already. That is right for f / C(x); here f alone is asked for."""
    return pair_scores(theta, phi, w_f) / len(phi)


def exponential_too_much(theta: Array, phi: Array, w_f: Array) -> Array:
    """There is an exp, as in eqs. (2) and (3). Eq. (5) has none, a ReLU stands in its place."""
    return np.exp(relu_forgotten(theta, phi, w_f))


def dot_product_instead(theta: Array, phi: Array, w_f: Array) -> Array:
    """That is a ReLU of θ_i · φ_j, near eq. (4). Eq. (5) joins both vectors and multiplies the result with w_f."""
    return np.maximum(theta @ phi.T, 0.0)


def always_the_sum(equation: int, f: Array) -> Array:
    """The sum of the row is right for eqs. (2) and (3) only. Eqs. (4) and (5) divide by the number of positions."""
    return np.sum(f, axis=1)


def always_the_number(equation: int, f: Array) -> Array:
    """The number of positions is right for eqs. (4) and (5) only. Eqs. (2) and (3) divide by the sum of the row."""
    return np.full(f.shape[0], float(f.shape[1]))


def sum_of_absolute_values(equation: int, f: Array) -> Array:
    """That is the sum of |f|. No C(x) of the paper has it: eq. (4), whose f has both signs, divides by the number."""
    return np.sum(np.abs(f), axis=1)


def absolute_values_for_the_dot_product(equation: int, f: Array) -> Array:
    """For eq. (4) that is the sum of |f|. There f has both signs, and is divided by the number of positions."""
    return np.sum(np.abs(f), axis=1) if equation == DOT_PRODUCT else normaliser(equation, f)


def sum_for_the_dot_product(equation: int, f: Array) -> Array:
    """Eq. (4) is divided by the sum of the row here. That sum may be zero; (4) takes the number of positions."""
    return np.sum(f, axis=1) if equation == DOT_PRODUCT else normaliser(equation, f)


def sum_for_the_concatenation(equation: int, f: Array) -> Array:
    """Eq. (5) is divided by the sum of the row here. The paper divides it, as (4), by the number of positions."""
    return np.sum(f, axis=1) if equation == CONCATENATION else normaliser(equation, f)


def sum_over_columns(equation: int, f: Array) -> Array:
    """The sum runs over i here. C(x) is a sum over j, along the row: axis=1."""
    return np.sum(f, axis=0) if equation in SOFTMAX else normaliser(equation, f)


def sum_of_everything(equation: int, f: Array) -> Array:
    """The sum runs over all pairs here. Every row i has its own C(x): sum along the row, axis=1."""
    return np.full(f.shape[0], np.sum(f)) if equation in SOFTMAX else normaliser(equation, f)


def queries_counted(equation: int, f: Array) -> Array:
    """That is the number of rows. The sum of eq. (1) runs along a row, over the M columns: count those."""
    if equation in SOFTMAX:
        return normaliser(equation, f)
    return np.full(f.shape[0], float(f.shape[0]))


def mean_not_sum(equation: int, f: Array) -> Array:
    """That is the mean of the row. With C(x) the sum of the row, the weights f / C(x) add up to one."""
    return np.mean(f, axis=1) if equation in SOFTMAX else normaliser(equation, f)


def swapped_kinds(equation: int, f: Array) -> Array:
    """The two kinds are exchanged: (2) and (3) take the sum of the row, (4) and (5) the number of positions."""
    return always_the_number(equation, f) if equation in SOFTMAX else always_the_sum(equation, f)


def axis_kept(equation: int, f: Array) -> Array:
    """The numbers are right, but as a column (N, 1). Asked for is one number a row, (N,): leave keepdims out."""
    return normaliser(equation, f)[:, None]


def softmax_rows_ladder() -> list[Rung]:
    """Two scores, three, several rows; then scores whose exp is infinite or zero."""
    rungs = [Rung((normal(*shape),)) for shape in [(1, 2), (1, 3), (2, 2), (2, 3), (4, 5)]]
    return [*rungs, *(Rung((scores,), about) for scores, about in far_out())]


def pair_scores_ladder() -> list[Rung]:
    """One pair of one channel, then more of more."""
    shapes = [(1, 1, 1), (1, 2, 1), (2, 2, 2), (2, 3, 2), (4, 5, 3)]
    return [Rung((normal(n, d), normal(m, d, seed=1), normal(2 * d, seed=8))) for n, m, d in shapes]


def normaliser_ladder() -> list[Rung]:
    """f of each kind: positive for (2) and (3), of both signs for (4), not negative for (5)."""
    rungs = []
    for n, m in [(1, 2), (2, 2), (2, 3), (4, 3)]:
        score = normal(n, m)
        rungs += [
            Rung((2, np.round(np.exp(score), 2))),
            Rung((3, np.round(np.exp(-score), 2))),
            Rung((4, score)),
            Rung((5, np.maximum(score, 0.0))),
        ]
    return rungs


SOFTMAX_ROWS_MISTAKES = (
    *(shift_forgotten, one_shift_for_all, mean_subtracted, smallest_subtracted, keepdims_forgotten),
    *(of_absolute_scores, columns_sum_to_one, everything_sums_to_one, only_exponentials),
    *(shifted_exponentials, divided_by_length, exponential_forgotten, sum_of_scores),
)
PAIR_SCORES_MISTAKES = (
    *(relu_forgotten, relu_too_early, halves_exchanged, first_half_twice, product_of_halves),
    *(products_of_channels, products_without_relu),
    *(divided_already, exponential_too_much, dot_product_instead),
)
NORMALISER_MISTAKES = (
    *(
        sum_of_absolute_values,
        absolute_values_for_the_dot_product,
        sum_for_the_dot_product,
        sum_for_the_concatenation,
        swapped_kinds,
        always_the_sum,
        always_the_number,
        sum_over_columns,
        sum_of_everything,
    ),
    *(queries_counted, mean_not_sum, axis_kept),
)

SOFTMAX_ROWS = Exercise(
    "softmax_rows", ("scores",), "p", softmax_rows, softmax_rows_ladder, SOFTMAX_ROWS_MISTAKES, plain=True
)
PAIR_SCORES = Exercise(
    "pair_scores", ("theta", "phi", "w_f"), "f", pair_scores, pair_scores_ladder, PAIR_SCORES_MISTAKES, plain=True
)
NORMALISER = Exercise(
    "normaliser", ("equation", "f"), "c", normaliser, normaliser_ladder, NORMALISER_MISTAKES, plain=True
)
