"""Exercises on non-local means: the distance of two patches, the weights of a pixel, its form as an inner product."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.exercises.ladder import Exercise, Rung, climb, normal
from nonlocal_ref.exercises.result import Result


def check_patch_distance(mine: Callable[..., Any]) -> Result:
    """Check ``d2 = patch_distance(a, b)``: the mean of the squared differences of two patches.

    Parameters
    ----------
    mine : callable
        a and b, two patches of the same shape -> d2, a number.

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    Buades, Coll and Morel, Image Processing On Line 1 (2011), 208-212.

    Examples
    --------
    >>> from nonlocal_ref.exercises.denoising import check_patch_distance
    >>> check_patch_distance(lambda a, b: ((a - b) ** 2).sum()).hints[0].name
    'sum_not_mean'
    """
    return climb(PATCH_DISTANCE, mine)


def check_weights_of_a_pixel(mine: Callable[..., Any]) -> Result:
    """Check ``w = weights_of_a_pixel(patches, i, h)``: w_ij / Σ_j w_ij with w_ij = exp(-d²_ij / h²).

    Parameters
    ----------
    mine : callable
        patches (N, K), one patch a row, i the number of a row, h a number -> w (N,), adding up to one.

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    Buades, Coll and Morel, CVPR 2005; Image Processing On Line 1 (2011), 208-212.

    Examples
    --------
    >>> import numpy as np
    >>> from nonlocal_ref.exercises.denoising import check_weights_of_a_pixel
    >>> def mine(patches, i, h):
    ...     return np.exp(-np.mean((patches - patches[i]) ** 2, axis=1) / h**2)
    >>> check_weights_of_a_pixel(mine).hints[0].name
    'not_divided'
    """
    return climb(WEIGHTS_OF_A_PIXEL, mine)


def check_augmented_embedding(mine: Callable[..., Any]) -> Result:
    """Check ``embedding = augmented_embedding(patches, h)``: theta = [√2 P / h, 1] and phi = [√2 P / h, -|P|² / h²].

    Parameters
    ----------
    mine : callable
        patches (N, K), one patch a row, h a number -> embedding (2, N, K + 1), first theta, then phi.

    Returns
    -------
    Result
        True when right; printed, it explains.

    References
    ----------
    arXiv 1711.07971, eq. (3); Buades, Coll and Morel, CVPR 2005: the same weights.

    Examples
    --------
    >>> import numpy as np
    >>> from nonlocal_ref.exercises.denoising import check_augmented_embedding
    >>> def mine(patches, h):
    ...     norms = np.sum(patches**2, axis=1, keepdims=True) / h**2
    ...     theta = np.concat([np.sqrt(2) * patches / h, np.ones_like(norms)], axis=1)
    ...     phi = np.concat([np.sqrt(2) * patches / h, norms], axis=1)
    ...     return np.stack([theta, phi])
    >>> check_augmented_embedding(mine).hints[0].name
    'norm_not_negative'
    """
    return climb(AUGMENTED_EMBEDDING, mine)


def patch_distance(a: Array, b: Array) -> Any:
    """The right solution."""
    return np.mean((a - b) ** 2)


def weights_of_a_pixel(patches: Array, i: int, h: float) -> Array:
    """The right solution."""
    w = np.exp(-np.mean((patches - patches[i]) ** 2, axis=1) / h**2)
    return w / np.sum(w)


def augmented_embedding(patches: Array, h: float) -> Array:
    """The right solution."""
    return both_sides(np.sqrt(2) * patches / h, 1.0, np.sqrt(2) * patches / h, -squared_norms(patches / h))


def squared_norms(patches: Array) -> Array:
    """|P_i|² of every row.  (N, K) -> (N, 1)."""
    return np.sum(patches**2, axis=1, keepdims=True)


def both_sides(theta: Array, theta_last: Any, phi: Array, phi_last: Any) -> Array:
    """Theta and phi, each with its last column, as one array (2, N, K + 1)."""
    columns = [np.broadcast_to(last, (len(theta), 1)) for last in (theta_last, phi_last)]
    return np.stack([np.concat([theta, columns[0]], axis=1), np.concat([phi, columns[1]], axis=1)])


# Mistakes: each is a wrong solution, its docstring the hint that is shown.


def sum_not_mean(a: Array, b: Array) -> Any:
    """That is the sum of the squares. Take their mean, so that the size of the patch does not matter."""
    return np.sum((a - b) ** 2)


def root_taken(a: Array, b: Array) -> Any:
    """That is the root of it. d² is the mean of the squares itself; the weight needs no root."""
    return np.sqrt(np.mean((a - b) ** 2))


def absolute_difference(a: Array, b: Array) -> Any:
    """That is the mean of the absolute differences. Square the differences instead."""
    return np.mean(np.abs(a - b))


def squared_too_late(a: Array, b: Array) -> Any:
    """The mean was taken first and then squared: differences above and below zero cancel. Square first."""
    return np.mean(a - b) ** 2


def not_squared(a: Array, b: Array) -> Any:
    """That is the mean of the differences, which cancel. Square them before you take the mean."""
    return np.mean(a - b)


def difference_of_squares(a: Array, b: Array) -> Any:
    """That is the mean of a² - b². Subtract first, then square."""
    return np.mean(a**2 - b**2)


def squares_added(a: Array, b: Array) -> Any:
    """That is the mean of a² + b². Equal patches must have the distance 0: subtract, then square."""
    return np.mean(a**2 + b**2)


def norm_taken(a: Array, b: Array) -> Any:
    """That is the norm, the root of the sum of the squares. d² is the mean of the squares, without a root."""
    return np.sqrt(np.sum((a - b) ** 2))


def divided_by_rows(a: Array, b: Array) -> Any:
    """The sum is divided by len(a), the number of rows. Divide by all numbers of the patch, a.size, or use np.mean."""
    return np.sum((a - b) ** 2) / len(a)


def channels_not_counted(a: Array, b: Array) -> Any:
    """The sum is divided by height times width. A patch in colour has three times as many numbers: divide by a.size."""
    return np.sum((a - b) ** 2) / (a.shape[0] * a.shape[1])


def divided_by_25(a: Array, b: Array) -> Any:
    """The sum is divided by 25. That is right for 5 x 5 pixels in grey; a.size is right for every patch."""
    return np.sum((a - b) ** 2) / 25


def not_divided(patches: Array, i: int, h: float) -> Array:
    """These are the w_ij themselves. Divide them by their sum, so that they add up to one."""
    return np.exp(-np.mean((patches - patches[i]) ** 2, axis=1) / h**2)


def h_not_squared(patches: Array, i: int, h: float) -> Array:
    """d² is divided by h here. It must be h²: then h has the unit of the picture, and the quotient has none."""
    w = np.exp(-np.mean((patches - patches[i]) ** 2, axis=1) / h)
    return w / np.sum(w)


def twice_h_squared(patches: Array, i: int, h: float) -> Array:
    """d² is divided by 2 h² here, as in the bell curve of statistics. Non-local means divides by h²."""
    w = np.exp(-np.mean((patches - patches[i]) ** 2, axis=1) / (2 * h**2))
    return w / np.sum(w)


def h_forgotten(patches: Array, i: int, h: float) -> Array:
    """h has no effect here. Divide d² by h**2 before exp: `/ h * h` divides and multiplies; write `/ h**2`."""
    w = np.exp(-np.mean((patches - patches[i]) ** 2, axis=1))
    return w / np.sum(w)


def minus_forgotten(patches: Array, i: int, h: float) -> Array:
    """The weight grows with the distance here: the minus in exp(-d² / h²) is missing."""
    w = np.exp(np.mean((patches - patches[i]) ** 2, axis=1) / h**2)
    return w / np.sum(w)


def sum_over_the_patch(patches: Array, i: int, h: float) -> Array:
    """d² is the sum over the patch here. It must be the mean over the patch, np.mean(..., axis=1)."""
    w = np.exp(-np.sum((patches - patches[i]) ** 2, axis=1) / h**2)
    return w / np.sum(w)


def root_of_d2(patches: Array, i: int, h: float) -> Array:
    """A root was taken: the weight falls with d². Leave the mean of the squares as it is."""
    w = np.exp(-np.sqrt(np.mean((patches - patches[i]) ** 2, axis=1)) / h**2)
    return w / np.sum(w)


def divided_by_count(patches: Array, i: int, h: float) -> Array:
    """The weights are divided by their number, N. Divide by their sum: they must add up to one."""
    return np.exp(-np.mean((patches - patches[i]) ** 2, axis=1) / h**2) / len(patches)


def itself_left_out(patches: Array, i: int, h: float) -> Array:
    """Pixel i itself got the weight 0. It takes part too: its d² is 0, so w_ii = 1 before the division."""
    w = np.exp(-np.mean((patches - patches[i]) ** 2, axis=1) / h**2) * (np.arange(len(patches)) != i)
    return w / np.sum(w)


def first_pixel(patches: Array, i: int, h: float) -> Array:
    """These are the weights of pixel 0. Compare with the patch of pixel i: patches - patches[i]."""
    return weights_of_a_pixel(patches, 0, h)


def root_of_two_forgotten(patches: Array, h: float) -> Array:
    """The factor √2 is missing. The square of a difference has -2 P_i · P_j: each side takes a factor √2 of the 2."""
    return both_sides(patches / h, 1.0, patches / h, -squared_norms(patches / h))


def two_on_both_sides(patches: Array, h: float) -> Array:
    """Both sides have the factor 2, so their product has 4. Each side takes √2, since √2 · √2 = 2."""
    return both_sides(2 * patches / h, 1.0, 2 * patches / h, -squared_norms(patches / h))


def all_on_one_side(patches: Array, h: float) -> Array:
    """The inner products are right: the weights would be too. The page asks for √2 P / h on both sides."""
    return both_sides(2 * patches / h**2, 1.0, patches, -squared_norms(patches / h))


def h_squared_on_both_sides(patches: Array, h: float) -> Array:
    """Both sides are divided by h², so their product by h⁴. Divide each side by h, since h · h = h²."""
    return both_sides(np.sqrt(2) * patches / h**2, 1.0, np.sqrt(2) * patches / h**2, -squared_norms(patches / h))


def norm_not_negative(patches: Array, h: float) -> Array:
    """The last column of phi lacks its minus: -|P_j - P_i|² has the term -|P_j|²."""
    return both_sides(np.sqrt(2) * patches / h, 1.0, np.sqrt(2) * patches / h, squared_norms(patches / h))


def norm_without_h(patches: Array, h: float) -> Array:
    """The last column of phi is not divided by h². All of |P_i - P_j|² is divided by h², so this term is as well."""
    return both_sides(np.sqrt(2) * patches / h, 1.0, np.sqrt(2) * patches / h, -squared_norms(patches))


def norm_not_squared(patches: Array, h: float) -> Array:
    """The last column of phi has |P_j| instead of |P_j|²: a root too many."""
    norms = np.sqrt(squared_norms(patches)) / h**2
    return both_sides(np.sqrt(2) * patches / h, 1.0, np.sqrt(2) * patches / h, -norms)


def norm_with_the_two(patches: Array, h: float) -> Array:
    """The last column of phi is twice too large: the norm of √2 P / h is 2 |P|² / h². Asked for is |P|² / h²."""
    norms = 2 * squared_norms(patches / h)
    return both_sides(np.sqrt(2) * patches / h, 1.0, np.sqrt(2) * patches / h, -norms)


def mean_in_the_norm(patches: Array, h: float) -> Array:
    """The last column of phi has the mean of the squares. |P_j|² is their sum."""
    norms = np.mean((patches / h) ** 2, axis=1, keepdims=True)
    return both_sides(np.sqrt(2) * patches / h, 1.0, np.sqrt(2) * patches / h, -norms)


def exchanged_sides(patches: Array, h: float) -> Array:
    """theta and phi have changed places. |P_i|² cancels, |P_j|² must stay, and phi is j's."""
    return augmented_embedding(patches, h)[::-1]


def patch_distance_ladder() -> list[Rung]:
    """Two pixels, four, nine, twenty-five; then colour."""
    shapes = [(1, 2), (2, 2), (3, 3), (5, 5)]
    rungs = [Rung((normal(*shape), normal(*shape, seed=1))) for shape in shapes]
    return [*rungs, Rung((normal(3, 3, 3), normal(3, 3, 3, seed=1)), "colour, the last axis")]


def weights_of_a_pixel_ladder() -> list[Rung]:
    """Two patches of one pixel, then more of more; another h."""
    first = [Rung((normal(2, 1), 0, 0.5)), Rung((normal(2, 2), 1, 0.5)), Rung((normal(3, 2), 1, 2.0))]
    return [*first, Rung((normal(5, 3), 2, 0.7)), Rung((normal(8, 9), 7, 1.5))]


def augmented_embedding_ladder() -> list[Rung]:
    """One patch of one pixel, then more of more; several h."""
    return [Rung((normal(n, k), h)) for n, k, h in [(1, 1, 0.5), (1, 2, 2.0), (2, 2, 0.5), (3, 4, 1.5), (6, 9, 0.3)]]


PATCH_DISTANCE_MISTAKES = (
    *(sum_not_mean, root_taken, absolute_difference, squared_too_late),
    *(not_squared, difference_of_squares, squares_added, norm_taken, divided_by_rows),
    *(channels_not_counted, divided_by_25),
)
WEIGHTS_OF_A_PIXEL_MISTAKES = (
    *(not_divided, h_not_squared, twice_h_squared, h_forgotten, minus_forgotten, sum_over_the_patch, root_of_d2),
    *(divided_by_count, itself_left_out, first_pixel),
)
AUGMENTED_EMBEDDING_MISTAKES = (
    *(root_of_two_forgotten, two_on_both_sides, all_on_one_side, h_squared_on_both_sides),
    *(norm_not_negative, norm_without_h, norm_not_squared, norm_with_the_two, mean_in_the_norm, exchanged_sides),
)

PATCH_DISTANCE = Exercise(
    *("patch_distance", ("a", "b"), "d2", patch_distance, patch_distance_ladder, PATCH_DISTANCE_MISTAKES), plain=True
)
WEIGHTS_OF_A_PIXEL = Exercise(
    "weights_of_a_pixel",
    ("patches", "i", "h"),
    "w",
    weights_of_a_pixel,
    weights_of_a_pixel_ladder,
    WEIGHTS_OF_A_PIXEL_MISTAKES,
    plain=True,
)
AUGMENTED_EMBEDDING = Exercise(
    "augmented_embedding",
    ("patches", "h"),
    "embedding",
    augmented_embedding,
    augmented_embedding_ladder,
    AUGMENTED_EMBEDDING_MISTAKES,
    plain=True,
)
