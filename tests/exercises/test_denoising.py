"""Exercises of the first two tutorials: answers as people write them, right and wrong."""

import numpy as np
import pytest

from nonlocal_ref.denoise import denoising_operands
from nonlocal_ref.exercises import check_augmented_embedding, check_patch_distance, check_weights_of_a_pixel
from nonlocal_ref.exercises.denoising import augmented_embedding, weights_of_a_pixel


def with_loops(a, b):
    total = 0.0
    for left, right in zip(a.flat, b.flat, strict=True):
        total += (left - right) * (left - right)
    return total / a.size


def by_norm(a, b):
    return np.linalg.norm((a - b).ravel()) ** 2 / a.size


def as_a_softmax(patches, i, h):
    logits = -((patches - patches[i]) ** 2).mean(axis=1) / h**2
    return np.exp(logits - np.logaddexp.reduce(logits))


def column_by_column(patches, h):
    count, length = patches.shape
    embedding = np.ones((2, count, length + 1))
    for k in range(length):
        embedding[:, :, k] = 2**0.5 * patches[:, k] / h
    embedding[1, :, -1] = -np.einsum("nk,nk->n", patches, patches) / h**2
    return embedding


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (check_patch_distance, with_loops),
        (check_patch_distance, by_norm),
        (check_patch_distance, lambda a, b: float(np.mean(np.abs(b - a) ** 2))),
        (check_weights_of_a_pixel, as_a_softmax),
        (check_augmented_embedding, column_by_column),
    ],
)
def test_a_right_answer_may_look_different(check, answer):
    result = check(answer)
    assert result, str(result)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda a, b: np.linalg.norm(a - b) ** 2 if a.ndim < 3 else np.sum((a - b) ** 2), "sum_not_mean"),
        (lambda a, b: np.mean((a - b) ** 2) ** 0.5, "root_taken"),
        (lambda a, b: abs(a - b).sum() / a.size, "absolute_difference"),
        (lambda a, b: (a.mean() - b.mean()) ** 2, "squared_too_late"),
        (lambda a, b: np.mean((a - b) ** 2, axis=0), "not_a_number"),
        (lambda a, b: (a**2).mean() - (b**2).mean(), "difference_of_squares"),
        (lambda a, b: print(end=""), "is_none"),
    ],
)
def test_a_wrong_distance_gets_its_hint(answer, hint):
    result = check_patch_distance(answer)
    assert not result
    assert result.hints[0].name == hint


def d2(patches, i):
    return ((patches - patches[i]) ** 2).mean(axis=1)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda patches, i, h: np.exp(-d2(patches, i) / h / h), "not_divided"),
        (lambda patches, i, h: np.exp(-d2(patches, i) / h) / np.exp(-d2(patches, i) / h).sum(), "h_not_squared"),
        (lambda patches, i, h: weights_of_a_pixel(patches, i, h * 2**0.5), "twice_h_squared"),
        (lambda patches, i, h: weights_of_a_pixel(patches, i, 1.0), "h_forgotten"),
        (lambda patches, i, h: weights_of_a_pixel(patches * patches.shape[1] ** 0.5, i, h), "sum_over_the_patch"),
        (lambda patches, i, h: weights_of_a_pixel(patches, 0, h), "first_pixel"),
        (lambda patches, i, h: weights_of_a_pixel(patches, i, h)[:, None], "shape"),
    ],
)
def test_wrong_weights_get_their_hint(answer, hint):
    result = check_weights_of_a_pixel(answer)
    assert not result
    assert result.hints[0].name == hint


def changed(column, change):
    """The right embedding with one thing changed in the last column of theta (0) or phi (1)."""

    def answer(patches, h):
        embedding = augmented_embedding(patches, h)
        embedding[column, :, -1] = change(embedding[column, :, -1], h)
        return embedding

    return answer


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (changed(1, lambda last, h: -last), "norm_not_negative"),
        (changed(1, lambda last, h: last * h**2), "norm_without_h"),
        (changed(1, lambda last, h: -((-last * h**2) ** 0.5) / h**2), "norm_not_squared"),
        (lambda patches, h: augmented_embedding(patches, h)[[1, 0]], "exchanged_sides"),
        (
            lambda patches, h: augmented_embedding(patches, h) * [*[2**-0.5] * patches.shape[1], 1],
            "root_of_two_forgotten",
        ),
        (lambda patches, h: augmented_embedding(patches, h) * [*[2**0.5] * patches.shape[1], 1], "two_on_both_sides"),
        (lambda patches, h: tuple(augmented_embedding(patches, h)), "not_plain"),
    ],
)
def test_a_wrong_embedding_gets_its_hint(answer, hint):
    result = check_augmented_embedding(answer)
    assert not result
    assert result.hints[0].name == hint


def test_the_reference_is_what_the_denoiser_uses(rng):
    image = rng.normal(size=(1, 4, 5))
    theta, phi, _ = denoising_operands(image, h=0.7, patch_size=(1, 1))
    expected = augmented_embedding(image.reshape(-1, 1), 0.7)
    np.testing.assert_allclose(np.concat([theta, phi]), expected, rtol=1e-14)
