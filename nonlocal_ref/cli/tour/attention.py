"""Stage (d): for a few pixels, where the denoiser looks and where each instantiation looks."""

from dataclasses import dataclass

import numpy as np

import nonlocal_ref as nl
from nonlocal_ref.backend import to_numpy
from nonlocal_ref.cli.progress import Tick
from nonlocal_ref.cli.tour.denoising import PATCH_SIZE, H
from nonlocal_ref.denoise import denoising_operands

SHARPNESS = 30.0  # scale of the softmax variants: what a cosine of 1 is worth
MARGIN = 8  # pixels between a chosen pixel and the border of the view


@dataclass(frozen=True)
class Look:
    """Where one pixel looks: a map (H, W) of weights for the denoiser and for each instantiation."""

    kind: str
    row: int
    column: int
    maps: dict[str, np.ndarray]


def where_pixels_look(
    noisy: np.ndarray, denoised: np.ndarray, features: np.ndarray, backend: str, tick: Tick
) -> list[Look]:
    """All of them (H, W, C) of one view.  Few queries look at every key: N = 3 rows of weights, M = H W columns."""
    chosen = choose_pixels(denoised)
    height, width = noisy.shape[:2]
    queries = [row * width + column for row, column in chosen.values()]

    x = of_length_one(features).reshape(1, height * width, -1)
    embedded = of_length_one(x[..., : x.shape[-1] // 2])  # keeps the stronger half: a bottleneck
    w_f = np.zeros(2 * x.shape[-1])
    w_f[[0, x.shape[-1]]] = 1  # brightness here plus brightness there
    denoiser_theta, denoiser_phi, _ = denoising_operands(
        np.moveaxis(noisy - noisy.mean(axis=(0, 1)), -1, 0), h=H, patch_size=(PATCH_SIZE, PATCH_SIZE)
    )
    cases = {
        "denoiser": ("embedded_gaussian", denoiser_theta, denoiser_phi, None),
        "gaussian": ("gaussian", x, x, SHARPNESS),
        "embedded_gaussian": ("embedded_gaussian", embedded, embedded, SHARPNESS),
        "dot_product": ("dot_product", x, x, None),
        "concatenation": ("concatenation", x, x, None),
    }
    maps: dict[str, np.ndarray] = {}
    for done, (name, (variant, theta, phi, scale)) in enumerate(cases.items(), start=1):
        there = nl.to_backend({"theta": theta[:, queries], "phi": phi, "w_f": w_f}, backend)
        case_w_f = there["w_f"] if variant == "concatenation" else None
        weights, _ = nl.weights(variant, there["theta"], there["phi"], case_w_f, scale=scale)
        maps[name] = to_numpy(weights)[0].reshape(-1, height, width)
        tick(done, len(cases))
    return [
        Look(kind, row, column, {name: values[k] for name, values in maps.items()})
        for k, (kind, (row, column)) in enumerate(chosen.items())
    ]


def of_length_one(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., D) divided by their lengths: their products are cosines."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


def choose_pixels(picture: np.ndarray) -> dict[str, tuple[int, int]]:
    """A pixel on an edge, one on a corner and one where nothing happens, by the structure tensor of Harris (1988)."""
    from scipy.ndimage import gaussian_filter

    grey = gaussian_filter(picture.mean(axis=-1), 1.0)
    down, across = np.gradient(grey)
    dd, da, aa = (gaussian_filter(product, 2.0) for product in (down * down, down * across, across * across))
    middle, half = (dd + aa) / 2, np.hypot((dd - aa) / 2, da)
    strong, weak = middle + half, middle - half  # its eigenvalues
    scores = {"edge": strong - 4 * weak, "corner": weak, "smooth": -strong}
    margins = [min(MARGIN, side // 4) for side in grey.shape]
    inside = tuple(slice(margin, side - margin) for margin, side in zip(margins, grey.shape, strict=True))
    chosen = {}
    for kind, score in scores.items():
        row, column = np.unravel_index(int(np.argmax(score[inside])), score[inside].shape)
        chosen[kind] = (int(row) + margins[0], int(column) + margins[1])
    return chosen
