"""The photograph of the tour, and the part of it that is looked at."""

import numpy as np
import pytest

from nonlocal_ref.cli.tour.photograph import Square, liveliest, prepare, square_around


def test_a_square_stays_inside_and_is_no_larger_than_the_picture():
    assert square_around((0, 50), 8, 20, 52) == Square(0, 44, 8, 8)
    assert square_around((10, 10), 64, 20, 52) == Square(0, 0, 20, 52)


def test_the_view_is_where_most_is_going_on():
    values = np.full((60, 90, 1), 0.5)
    values[40:50, 60:75] += 0.2 * np.indices((10, 15)).sum(axis=0)[..., None] % 0.4
    row, column = liveliest(values, 20)
    assert 40 / 60 <= row <= 50 / 60
    assert 60 / 90 <= column <= 75 / 90


def test_reducing_keeps_the_mean_and_the_crop_inside_the_view():
    values = np.random.default_rng(0).random((50, 100, 3))
    photograph = prepare("test", values, 40, 8)
    assert photograph.values.shape == (20, 40, 3)
    assert photograph.values.mean() == pytest.approx(values.mean(), abs=1e-3)
    view, crop = photograph.view, photograph.crop
    assert view.top <= crop.top <= crop.top + crop.height <= view.top + view.height
    assert view.left <= crop.left <= crop.left + crop.width <= view.left + view.width
