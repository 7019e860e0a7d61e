"""Arrays -> pictures.  Nothing here computes a number that is reported."""

import io
from typing import Any

import numpy as np

from nonlocal_ref.cli.tour.attention import Look
from nonlocal_ref.cli.tour.bridge import Bridge
from nonlocal_ref.cli.tour.denoising import SIGMA, Denoising
from nonlocal_ref.cli.tour.photograph import Photograph, Square, square_around

MORE = np.asarray([1.0, 0.80, 0.25])  # a weight above zero: yellow
LESS = np.asarray([0.30, 0.65, 1.0])  # below zero: blue, told apart by every kind of colour vision
DIM = 0.65  # of the photograph under a map
PANEL = 384  # pixels, of the longer side
DPI = 100
OVERVIEW = 300  # pixels, of each of its three parts

NAMES = {
    "denoiser": "the denoiser itself",
    "gaussian": "Gaussian, eq. (2)",
    "embedded_gaussian": "embedded Gaussian, eq. (3)",
    "dot_product": "dot product, eq. (4)",
    "concatenation": "concatenation, eq. (5)",
}


def draw_all(photograph: Photograph, denoising: Denoising, bridge: Bridge, looks: list[Look]) -> dict[str, bytes]:
    """Every picture of the report by name: JPEG for whole photographs, PNG for everything that is enlarged."""
    view = photograph.view
    whole = {
        "photograph": photograph.values,
        "noisy": denoising.noisy,
        "denoised": denoising.denoised,
        "removed": 0.5 + (denoising.noisy - denoising.denoised) / (6 * SIGMA),
    }
    pictures = {name: photograph_file(values, view) for name, values in whole.items()}
    pictures |= {f"zoom_{name}": panel(view.of(values)) for name, values in whole.items()}
    pictures["crop_noisy"] = panel(bridge.noisy)
    pictures["crop_denoiser"] = panel(bridge.as_denoiser)
    pictures["crop_operation"] = panel(bridge.as_operation)
    for look in looks:
        spot = (look.row, look.column)
        pictures[f"look_{look.kind}_photograph"] = panel(view.of(denoising.denoised), spot)
        for name, weights in look.maps.items():
            pictures[f"look_{look.kind}_{name}"] = panel(overlay(view.of(denoising.denoised), weights, spot), spot)
    return pictures


def overlay(photograph: np.ndarray, weights: np.ndarray, own: tuple[int, int]) -> np.ndarray:
    """A map of weights (H, W) over a dim grey photograph (H, W, C); the brightest is the largest beside the own one."""
    others = np.abs(weights)
    others[own] = 0
    top = float(others.max()) or 1.0
    strength = np.sqrt(np.clip(np.abs(weights) / top, 0, 1))[..., None]  # the root shows small weights
    colour = np.where(weights[..., None] < 0, LESS, MORE)
    grey = DIM * np.clip(photograph, 0, 1).mean(axis=-1, keepdims=True)
    return np.asarray(grey * (1 - strength) + colour * strength)


def panel(values: np.ndarray, spot: tuple[int, int] | None = None) -> bytes:
    """A PNG file of a small picture, every pixel a block; a ring around the pixel that is meant."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scale = max(1, round(PANEL / max(values.shape)))
    enlarged = as_colour(values).repeat(scale, axis=0).repeat(scale, axis=1)
    height, width = enlarged.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.figimage(enlarged, origin="upper")
    if spot is not None:
        row, column = spot
        draw_ring(figure, ((column + 0.5) * scale, height - (row + 0.5) * scale), max(height, width) / 24)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def draw_ring(figure: Any, centre: tuple[float, float], radius: float) -> None:
    """White within black, in pixels of the figure: visible on everything."""
    from matplotlib.patches import Circle
    from matplotlib.transforms import IdentityTransform

    for colour, width in (("black", 5.0), ("white", 2.2)):
        ring = Circle(centre, radius, fill=False, edgecolor=colour, linewidth=width, transform=IdentityTransform())
        figure.add_artist(ring)


def photograph_file(values: np.ndarray, frame: Square) -> bytes:
    """A JPEG file of a whole photograph, with a frame around the part that is enlarged elsewhere."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(as_bytes(values))
    draw = ImageDraw.Draw(image)
    box = (frame.left, frame.top, frame.left + frame.width - 1, frame.top + frame.height - 1)
    draw.rectangle(box, outline=(0, 0, 0), width=3)
    draw.rectangle(tuple(side + step for side, step in zip(box, (1, 1, -1, -1), strict=True)), outline=(255, 255, 255))
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=90, subsampling=0)
    return file.getvalue()


def overview(photograph: Photograph, denoising: Denoising, look: Look) -> bytes:
    """One PNG file: a part of the photograph, noisy | denoised | where one pixel looks, in a part of that."""
    from PIL import Image

    view, spot = photograph.view, (look.row, look.column)
    rows, columns = photograph.values.shape[:2]
    middle = (view.top + view.height // 2, view.left + view.width // 2)
    part = square_around(middle, min(OVERVIEW, rows, columns), rows, columns)
    maps = panel(overlay(view.of(denoising.denoised), look.maps["denoiser"], spot), spot)
    images = [Image.fromarray(as_bytes(part.of(values))) for values in (denoising.noisy, denoising.denoised)]
    images.append(Image.open(io.BytesIO(maps)).convert("RGB"))
    gap = OVERVIEW // 40
    sheet = Image.new("RGB", (3 * OVERVIEW + 2 * gap, OVERVIEW), "white")
    for place, image in enumerate(images):
        fitted = image.resize((OVERVIEW, OVERVIEW), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (place * (OVERVIEW + gap), 0))
    file = io.BytesIO()
    sheet.save(file, format="PNG", optimize=True)
    return file.getvalue()


def as_colour(values: np.ndarray) -> np.ndarray:
    """(H, W, 1 or 3) -> (H, W, 3) within 0 to 1; NaN is black."""
    return np.broadcast_to(np.clip(np.nan_to_num(values), 0, 1), (*values.shape[:2], 3))


def as_bytes(values: np.ndarray) -> np.ndarray:
    """(H, W, 1 or 3) -> (H, W, 3) uint8."""
    return np.asarray(np.rint(255 * as_colour(values)), dtype=np.uint8)
