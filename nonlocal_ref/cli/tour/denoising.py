"""Stage (a): add noise to the photograph, remove it with the classic denoiser, measure."""

from dataclasses import dataclass

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.backend import to_numpy
from nonlocal_ref.cli.progress import Tick

SIGMA = 0.1  # of the noise, for colours from 0 to 1
H = SIGMA  # w_ij = exp(-d²_ij / h²), d² the mean squared difference of two patches
PATCH_SIZE = 5
PATCH_DISTANCE = 11


@dataclass(frozen=True)
class Denoising:
    """Pictures (H, W, C), and the signal-to-noise ratios of two of them in dB."""

    noisy: np.ndarray
    denoised: np.ndarray
    psnr_noisy: float
    psnr_denoised: float


def denoise_photograph(photograph: np.ndarray, backend: str, rng: np.random.Generator, tick: Tick) -> Denoising:
    """Noise of standard deviation SIGMA on every sample; nothing is clipped."""
    noisy = photograph + rng.normal(0, SIGMA, photograph.shape)
    denoised = to_numpy(
        nl.non_local_means(
            nl.to_backend(noisy, backend),
            patch_size=PATCH_SIZE,
            patch_distance=PATCH_DISTANCE,
            h=H,
            channel_axis=-1,
            progress=tick,
        )
    )
    return Denoising(noisy, denoised, psnr(photograph, noisy), psnr(photograph, denoised))


def psnr(truth: np.ndarray, picture: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / mean squared error), for a peak of 1."""
    return float(-10 * np.log10(np.mean((picture - truth) ** 2)))
