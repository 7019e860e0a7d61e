"""Draw one_pixel.png: a noisy photograph, where one pixel of it looks, and what averages of that kind give.

    python docs/images/one_pixel.py

The three panels are pixels and nothing else: what they mean is said in words, on the page that shows them.
"""

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from skimage.data import astronaut

import nonlocal_ref as nl
from nonlocal_ref.denoise import patch_embedding

SIDE, GAP, ENLARGED = 120, 6, 2  # pixels of the photograph, between the panels, and how large each is drawn
SIGMA = 0.1
H = 0.8 * SIGMA
QUERY = (75, 27)  # row, column: in the red stripe of the flag
ORANGE = np.asarray([230, 97, 1]) / 255


def draw():
    """The picture: (height, width, 4) numbers from 0 to 255, transparent between the panels."""
    photograph = astronaut()[: 2 * SIDE, : 2 * SIDE] / 255
    clean = photograph.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3))
    noisy = clean + np.random.default_rng(0).normal(0, SIGMA, clean.shape)

    theta, phi = embed(noisy - noisy.mean())
    denoised, _ = nl.nonlocal_op("embedded_gaussian", theta, phi, noisy.reshape(1, -1, 3))  # all pixels, all pairs
    query = QUERY[0] * SIDE + QUERY[1]
    weights, _ = nl.weights("embedded_gaussian", theta[:, query : query + 1], phi)  # one row of them

    panels = [noisy, glow(clean, weights.reshape(SIDE, SIDE)), denoised.reshape(noisy.shape)]
    return side_by_side([with_ring(np.clip(panel, 0, 1)) for panel in panels])


def embed(picture):
    """Non-local means as eq. (3): theta = [√2 P / h, 1], phi = [√2 P / h, -|P|² / h²]."""
    patches = patch_embedding(np.moveaxis(picture, -1, 0), patch_size=(5, 5))  # (1, N, D)
    lengths = np.sum(patches**2, axis=-1, keepdims=True) / H**2
    vectors = np.sqrt(2) / H * patches
    return np.concatenate([vectors, np.ones_like(lengths)], axis=-1), np.concatenate([vectors, -lengths], axis=-1)


def glow(picture, weights):
    """The weights in orange over a dark grey picture; the square root makes small ones visible."""
    grey = np.repeat(picture.mean(axis=-1, keepdims=True), 3, axis=-1) * 0.45
    others = np.sort(weights, axis=None)[-2]  # the largest but that of the pixel on itself
    strength = np.sqrt(np.minimum(weights / others, 1))[..., None]
    return grey * (1 - strength) + ORANGE * strength


def with_ring(picture):
    """A ring around the query, white in black, so that it is seen on everything."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(rows - QUERY[0], columns - QUERY[1])[..., None]
    ringed = np.where(np.abs(distance - 5) < 1.6, 0.0, picture)
    return np.where(np.abs(distance - 5) < 0.7, 1.0, ringed)


def side_by_side(panels):
    opaque = [np.concatenate([panel, np.ones((SIDE, SIDE, 1))], axis=-1) for panel in panels]
    gap = np.zeros((SIDE, GAP, 4))
    row = np.concatenate([opaque[0], gap, opaque[1], gap, opaque[2]], axis=1)
    return np.round(255 * row.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)).astype(np.uint8)


if __name__ == "__main__":
    imageio.imwrite(Path(__file__).with_suffix(".png"), draw())
