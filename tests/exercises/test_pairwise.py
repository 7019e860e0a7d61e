"""Exercises of the tutorial on eqs. (2) to (5): answers as people write them, right and wrong."""

import numpy as np
import pytest
from scipy.special import softmax

import nonlocal_ref as nl
from nonlocal_ref.exercises import check_normaliser, check_pair_scores, check_softmax_rows
from nonlocal_ref.exercises.pairwise import normaliser, pair_scores


def row_by_row(scores):
    p = np.zeros_like(scores)
    for i, row in enumerate(scores):
        e = np.exp(row - row.max())
        p[i] = e / e.sum()
    return p


def all_joined(theta, phi, w_f):
    return np.asarray([[max(0.0, w_f @ np.concatenate([t, p])) for p in phi] for t in theta])


def counted(equation, f):
    return np.asarray([row.sum() if equation < 4 else float(len(row)) for row in f])


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (check_softmax_rows, row_by_row),
        (check_softmax_rows, lambda scores: softmax(scores, axis=-1)),
        (check_pair_scores, all_joined),
        (check_normaliser, counted),
        (
            check_normaliser,
            lambda equation, f: f @ np.ones(f.shape[1]) if equation < 4 else np.full(len(f), 1.0 * f.shape[1]),
        ),
    ],
)
def test_a_right_answer_may_look_different(check, answer):
    result = check(answer)
    assert result, str(result)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda scores: np.exp(scores) / np.exp(scores).sum(axis=1)[:, None], "shift_forgotten"),
        (lambda scores: softmax(scores, axis=0), "columns_sum_to_one"),
        (softmax, "everything_sums_to_one"),
        (
            lambda scores: np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum(1)[:, None],
            "one_shift_for_all",
        ),
        (np.exp, "only_exponentials"),
        (lambda scores: scores / scores.sum(axis=1, keepdims=True), "exponential_forgotten"),
        (lambda scores: softmax(scores, axis=1).T, "transposed"),
    ],
)
def test_a_wrong_softmax_gets_its_hint(answer, hint):
    result = check_softmax_rows(answer)
    assert not result
    assert result.hints[0].name == hint


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (
            lambda theta, phi, w_f: np.add.outer(theta @ w_f[: len(w_f) // 2], phi @ w_f[len(w_f) // 2 :]),
            "relu_forgotten",
        ),
        (lambda theta, phi, w_f: pair_scores(theta, phi, np.concat(np.split(w_f, 2)[::-1])), "halves_exchanged"),
        (lambda theta, phi, w_f: pair_scores(theta, phi, np.tile(w_f[: len(w_f) // 2], 2)), "first_half_twice"),
        (lambda theta, phi, w_f: pair_scores(theta, phi, w_f) / phi.shape[0], "divided_already"),
        (lambda theta, phi, w_f: pair_scores(theta, phi, w_f).T, "transposed"),
        (lambda theta, phi, w_f: np.maximum(theta @ np.transpose(phi), 0), "dot_product_instead"),
    ],
)
def test_wrong_scores_get_their_hint(answer, hint):
    result = check_pair_scores(answer)
    assert not result
    assert result.hints[0].name == hint


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda equation, f: f.sum(axis=-1), "always_the_sum"),
        (lambda equation, f: np.full(len(f), 1.0 * f.shape[1]), "always_the_number"),
        (lambda equation, f: f.sum(axis=0) if equation < 4 else normaliser(4, f), "sum_over_columns"),
        (lambda equation, f: normaliser(2, f) if equation < 4 else np.full(len(f), 1.0 * len(f)), "queries_counted"),
        (lambda equation, f: normaliser(9 - equation - 2, f), "swapped_kinds"),
        (lambda equation, f: normaliser(equation, f)[:, np.newaxis], "axis_kept"),
        (lambda equation, f: f.sum(1) if equation < 4 else np.full(len(f), f.shape[1]), "wrong_dtype"),
    ],
)
def test_a_wrong_normaliser_gets_its_hint(answer, hint):
    result = check_normaliser(answer)
    assert not result
    assert result.hints[0].name == hint


def test_the_references_are_what_the_operation_uses(rng):
    theta, phi, w_f = rng.normal(size=(3, 2)), rng.normal(size=(4, 2)), rng.normal(size=4)
    f = {
        2: np.exp(theta @ phi.T),
        3: np.exp(theta @ phi.T),
        4: theta @ phi.T,
        5: pair_scores(theta, phi, w_f),
    }
    for equation, variant in zip(f, nl.VARIANTS, strict=True):
        weights, _ = nl.weights(variant, theta[None], phi[None], *([w_f] if equation == 5 else []))
        np.testing.assert_allclose(f[equation] / normaliser(equation, f[equation])[:, None], weights[0], rtol=1e-13)
