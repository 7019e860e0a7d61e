"""The photograph, and the part of it that the later stages look at."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nonlocal_ref.cli.picture_file import Picture

LEAST_SIDE = 16  # pixels; below there is nothing to see


class Square(NamedTuple):
    """Some rows and columns of a picture."""

    top: int
    left: int
    height: int
    width: int

    def of(self, values: np.ndarray) -> np.ndarray:
        """That part of a picture (H, W, C)."""
        return values[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Photograph:
    """A picture (H, W, 1 or 3) of numbers from 0 to 1, where it is from, and where to look."""

    name: str
    values: np.ndarray
    original_shape: tuple[int, int]
    view: Square  # for the attention maps
    crop: Square  # in the middle of the view, for everything with a matrix of all pairs

    @property
    def reduced(self) -> bool:
        """Whether it was larger."""
        return self.original_shape != self.values.shape[:2]


def standard_photograph(largest: int, crop: int) -> Photograph:
    """Eileen Collins in 1993, NASA, public domain: it comes with scikit-image."""
    from skimage import data

    astronaut: Any = data.astronaut
    name = "astronaut (scikit-image; NASA, public domain)"
    return prepare(name, astronaut() / 255, largest, crop, centre=(0.2, 0.125))


def own_photograph(name: str, picture: Picture, largest: int, crop: int) -> Photograph:
    """Someone's picture without its alpha; the view is where most is going on."""
    return prepare(name, picture.colours, largest, crop)


def prepare(
    name: str, values: np.ndarray, largest: int, crop: int, centre: tuple[float, float] | None = None
) -> Photograph:
    """Reduce to at most ``largest`` pixels a side; choose a crop and, around it, a view of twice its size."""
    from skimage import transform

    resize: Any = transform.resize_local_mean

    height, width = values.shape[:2]
    if max(height, width) > largest:
        shape = tuple(max(LEAST_SIDE, round(side * largest / max(height, width))) for side in (height, width))
        reduced = resize(values, shape, channel_axis=-1)
    else:
        reduced = values
    rows, columns = reduced.shape[:2]
    where = centre or liveliest(reduced, 2 * crop)
    middle = (round(where[0] * rows), round(where[1] * columns))
    view, inner = (square_around(middle, side, rows, columns) for side in (2 * crop, crop))
    return Photograph(name, reduced, (height, width), view, inner)


def square_around(middle: tuple[int, int], side: int, rows: int, columns: int) -> Square:
    """A square around a pixel, moved inside the picture, and no larger than it."""
    height, width = min(side, rows), min(side, columns)
    top, left = (
        int(np.clip(m - s // 2, 0, n - s)) for m, s, n in zip(middle, (height, width), (rows, columns), strict=True)
    )
    return Square(top, left, height, width)


def liveliest(values: np.ndarray, side: int) -> tuple[float, float]:
    """The centre of the square with the most structure, in fractions of the picture."""
    rows, columns = values.shape[:2]
    grey = values.mean(axis=-1)
    slope = np.abs(np.diff(grey, axis=0, append=grey[-1:])) + np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    step = max(side // 4, 1)
    squares = [
        square_around((row, column), side, rows, columns)
        for row in range(side // 2, max(rows - side // 2, side // 2) + 1, step)
        for column in range(side // 2, max(columns - side // 2, side // 2) + 1, step)
    ]
    best = max(squares, key=lambda square: float(square.of(slope).mean()))
    return (best.top + best.height / 2) / rows, (best.left + best.width / 2) / columns
