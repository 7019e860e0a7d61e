"""Stage (b): the denoiser is an embedded Gaussian operation; nothing in the operation is changed for it."""

import math
from dataclasses import dataclass

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.backend import Array, array_namespace, to_numpy
from nonlocal_ref.cli.progress import Tick
from nonlocal_ref.cli.tour.denoising import PATCH_DISTANCE, PATCH_SIZE, H
from nonlocal_ref.denoise import patch_embedding, window_mask

LIMIT = 1e-12  # rounding leaves about 1e-14


def denoise_by_attention(picture: Array, h: float, patch_size: int, mask: Array | None) -> Array:
    """Non-local means as eqs. (1) and (3): picture (C, H, W) -> the same, denoised."""
    xp = array_namespace(picture)
    mean = xp.mean(picture, axis=(1, 2), keepdims=True)  # cancels; without it, digits are lost
    centred = picture - mean
    patches = patch_embedding(centred, patch_size=(patch_size, patch_size))  # (1, N, D), |P_i - P_j|² = d²_ij
    lengths = xp.sum(patches * patches, axis=-1, keepdims=True) / h**2

    theta = xp.concat([math.sqrt(2) / h * patches, xp.ones_like(lengths)], axis=-1)  # [√2 P / h, 1]
    phi = xp.concat([math.sqrt(2) / h * patches, -lengths], axis=-1)  # [√2 P / h, -|P|² / h²]
    g = xp.matrix_transpose(xp.reshape(centred, (1, centred.shape[0], -1)))  # the pixels
    y, _ = nl.nonlocal_op("embedded_gaussian", theta, phi, g, mask=mask)

    return xp.reshape(xp.matrix_transpose(y), picture.shape) + mean


@dataclass(frozen=True)
class Bridge:
    """The crop (H, W, C) denoised both ways, in the search window, and the largest differences."""

    noisy: np.ndarray
    as_denoiser: np.ndarray
    as_operation: np.ndarray
    difference_in_window: float
    difference_everywhere: float

    @property
    def largest_difference(self) -> float:
        """Of the two; NaN is the largest of all."""
        return float(np.max([self.difference_in_window, self.difference_everywhere]))

    @property
    def ok(self) -> bool:
        """Whether the two ways are equal to rounding."""
        return self.largest_difference <= LIMIT


def compare_both_ways(noisy: np.ndarray, backend: str, tick: Tick) -> Bridge:
    """Denoise a crop (H, W, C) with the offset loop and with the operation: in the search window, and without one."""
    picture = nl.to_backend(np.ascontiguousarray(np.moveaxis(noisy, -1, 0)), backend)
    pictures, differences = [], []
    for step, distance in enumerate((PATCH_DISTANCE, max(noisy.shape))):
        as_denoiser = nl.non_local_means(
            picture, patch_size=PATCH_SIZE, patch_distance=distance, h=H, channel_axis=0, method="shift"
        )
        tick(2 * step + 1, 4)
        mask = window_mask(picture, patch_distance=(distance, distance))
        as_operation = denoise_by_attention(picture, H, PATCH_SIZE, mask)
        tick(2 * step + 2, 4)
        pictures += [np.moveaxis(to_numpy(y), 0, -1) for y in (as_denoiser, as_operation)]
        differences.append(float(np.max(np.abs(pictures[-1] - pictures[-2]))))
    return Bridge(noisy, pictures[0], pictures[1], differences[0], differences[1])
