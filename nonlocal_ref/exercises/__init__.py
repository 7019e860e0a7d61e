"""Exercises that check themselves: hand in one function, read what is wrong with it.

    from nonlocal_ref.exercises import check_softmax
    check_softmax(my_softmax)

Every check takes one function of yours, in the form ``y, backward = function(*arrays)`` (a few ask for a plain
function), and compares it with a reference on a fixed ladder of inputs, smallest first.  What comes back is true when
everything was right; printed, it shows the smallest input that breaks your function, a hint, and what
`nonlocal_ref.gradcheck` says.  The tutorials ask for every one of them.

    ladder.py                   the common part: an exercise is a reference, a ladder of inputs, and known mistakes
    attempt.py                  calling what was handed in, which may be anything
    explanation.py, hints.py    what to say of wrong numbers; the small named tests that say it
    result.py                   the text that comes out
    products.py                 a matrix at every position, a product, the product of all pairs
    entries_and_rows.py         ReLU, softmax
    softmax_operation.py        eq. (2); eq. (1) with eq. (3)
    dot_and_concatenation.py    eqs. (4) and (5)
    derivatives.py              central difference, complex step
    block_pieces.py             max-pooling, batch norm
    whole_block.py              eq. (6), and what it costs
    denoising.py, pairwise.py   non-local means; eqs. (2) to (5), values alone
"""

from nonlocal_ref.exercises.block_pieces import check_batch_norm, check_max_pool
from nonlocal_ref.exercises.denoising import (
    check_augmented_embedding,
    check_patch_distance,
    check_weights_of_a_pixel,
)
from nonlocal_ref.exercises.derivatives import check_central_difference, check_complex_step
from nonlocal_ref.exercises.dot_and_concatenation import check_concatenation, check_dot_product
from nonlocal_ref.exercises.entries_and_rows import check_relu, check_softmax
from nonlocal_ref.exercises.hints import Hint
from nonlocal_ref.exercises.pairwise import check_normaliser, check_pair_scores, check_softmax_rows
from nonlocal_ref.exercises.products import check_linear, check_matmul, check_scaled_product
from nonlocal_ref.exercises.result import Result
from nonlocal_ref.exercises.softmax_operation import check_gaussian, check_nonlocal
from nonlocal_ref.exercises.whole_block import check_block, check_multiply_adds

__all__ = [
    "Hint",
    "Result",
    "check_augmented_embedding",
    "check_batch_norm",
    "check_block",
    "check_central_difference",
    "check_complex_step",
    "check_concatenation",
    "check_dot_product",
    "check_gaussian",
    "check_linear",
    "check_matmul",
    "check_max_pool",
    "check_multiply_adds",
    "check_nonlocal",
    "check_normaliser",
    "check_pair_scores",
    "check_patch_distance",
    "check_relu",
    "check_scaled_product",
    "check_softmax",
    "check_softmax_rows",
    "check_weights_of_a_pixel",
]
