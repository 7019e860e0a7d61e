"""Pictures in files: 8 and 16 bits, grey and colour, with and without alpha, come back as they went in."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nonlocal_ref.cli import deep_png
from nonlocal_ref.cli.usage import fail

READABLE = ("PNG", "TIFF", "JPEG", "BMP", "WEBP")
WRITABLE: dict[str, tuple[str, tuple[str, ...]]] = {  # suffix: Pillow's name and what such a file can hold
    ".png": ("PNG", ("L", "LA", "RGB", "RGBA", "L16", "LA16", "RGB16", "RGBA16")),
    ".tif": ("TIFF", ("L", "LA", "RGB", "RGBA", "L16", "LA16", "RGB16", "RGBA16")),
    ".jpg": ("JPEG", ("L", "RGB")),
    ".bmp": ("BMP", ("L", "RGB")),
    ".webp": ("WEBP", ("RGB", "RGBA")),
}
SAME = {".tiff": ".tif", ".jpeg": ".jpg"}
OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True, "exact": True}}


@dataclass(frozen=True)
class Picture:
    """Samples as in the file, (H, W, channels) uint8 or uint16: one or three colours, then alpha if there is one."""

    samples: np.ndarray
    extras: dict[str, bytes]  # colour profile and EXIF, handed through

    @property
    def mode(self) -> str:
        """Pillow's letters, and 16 where a sample has two bytes: "L", "RGBA", "RGB16", ..."""
        letters = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[self.samples.shape[-1]]
        return letters + ("16" if self.samples.dtype == np.uint16 else "")

    @property
    def full_scale(self) -> int:
        """The sample that stands for 1."""
        return int(np.iinfo(self.samples.dtype).max)

    @property
    def colours(self) -> np.ndarray:
        """Everything but alpha as numbers from 0 to 1, (H, W, 1 or 3) float64."""
        return self.samples[..., : 3 if self.samples.shape[-1] > 2 else 1] / self.full_scale

    def with_colours(self, values: np.ndarray) -> "Picture":
        """The same picture with other colours, rounded to its samples; alpha stays."""
        rounded = np.rint(np.clip(values, 0, 1) * self.full_scale).astype(self.samples.dtype)
        return replace(self, samples=np.concatenate([rounded, self.samples[..., values.shape[-1] :]], axis=-1))


def read_picture(command: str, argument: str, path: Path, *, upright: bool = False) -> Picture:
    """Read a picture, or leave with one line; ``upright`` turns it the way its EXIF orientation says."""
    if path.is_dir():
        fail(command, f"argument {argument}: must be a picture file, got the folder {str(path)!r}")
    try:
        file = path.read_bytes()
    except OSError as error:
        fail(
            command, f"argument {argument}: must be a picture file, cannot read {str(path)!r}: {error.strerror}", error
        )
    try:
        if deep_png.is_deep_png(file[:29]):
            samples, profile = deep_png.decode(file)
            return Picture(samples, {"icc_profile": profile} if profile else {})
        return _read_deep_tiff(file) or _read_with_pillow(file, upright=upright)
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        unknown = type(error).__name__ == "UnidentifiedImageError"  # its text names an object in memory
        why = f"it is no {', '.join(READABLE)} file" if unknown else str(error) or type(error).__name__
        fail(command, f"argument {argument}: must be a picture, cannot read {str(path)!r} as one: {why}", error)


def _read_with_pillow(file: bytes, *, upright: bool) -> Picture:
    """Everything that Pillow keeps whole."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(file), formats=READABLE) as image:
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # phones put a preview beside the photograph
            msg = f"it holds {image.n_frames} pictures, give one"
            raise ValueError(msg)
        extras = _extras(image)
        if upright:
            image = ImageOps.exif_transpose(image)
        if image.mode in {"1", "P", "PA"} or "transparency" in image.info:
            image = image.convert(_spelled_out(image))
        if image.mode not in {"L", "LA", "RGB", "RGBA"} and not image.mode.startswith("I;16"):
            msg = f"its colours are {image.mode}, what fits is grey or RGB with 8 or 16 bits, with or without alpha"
            raise ValueError(msg)
        samples = np.asarray(image)
        kind = np.uint16 if samples.dtype.itemsize == 2 else np.uint8
        return Picture(np.atleast_3d(samples).astype(kind), extras)


def _spelled_out(image: Any) -> str:
    """The mode that holds what a palette or a transparent colour stands for."""
    grey = image.mode in {"1", "L", "I;16"}
    transparent = image.mode == "PA" or "transparency" in image.info
    return {(True, False): "L", (True, True): "LA", (False, False): "RGB", (False, True): "RGBA"}[grey, transparent]


def _extras(image: Any) -> dict[str, bytes]:
    """Colour profile and EXIF, where there are any."""
    return {key: image.info[key] for key in ("icc_profile", "exif") if image.info.get(key)}


def _read_deep_tiff(file: bytes) -> Picture | None:
    """A TIFF file with 16 bits a channel and several channels, which Pillow cuts to 8; None for any other file."""
    if file[:4] not in {b"II*\0", b"MM\0*"}:
        return None
    import tifffile

    with tifffile.TiffFile(io.BytesIO(file)) as tiff:
        page = tiff.pages.first
        if len(tiff.pages) > 1 or page.samplesperpixel == 1 or page.bitspersample != 16:
            return None
        if page.shape[2:] not in {(2,), (3,), (4,)} or page.dtype != np.uint16:
            msg = f"it holds {page.dtype} samples of shape {page.shape}, what fits is (height, width, 1 to 4) unsigned"
            raise ValueError(msg)
        profile = page.iccprofile
        return Picture(np.asarray(page.asarray()), {"icc_profile": profile} if profile else {})


def check_suffix(command: str, argument: str, path: Path, mode: str) -> None:
    """Leave with one line where a file of that name cannot hold the picture."""
    fitting = [suffix for suffix, (_, modes) in WRITABLE.items() if mode in modes]
    if SAME.get(path.suffix.lower(), path.suffix.lower()) not in fitting:
        fail(command, f"argument {argument}: must end in {', '.join(fitting)} to hold {mode}, got {str(path)!r}")


def encode_picture(picture: Picture, path: Path) -> bytes:
    """The bytes of a file of that name."""
    from PIL import Image

    suffix = SAME.get(path.suffix.lower(), path.suffix.lower())
    name, _ = WRITABLE[suffix]
    samples = picture.samples
    if samples.dtype == np.uint16 and samples.shape[-1] > 1:
        return _encode_deep(samples, name, picture.extras)
    file = io.BytesIO()
    Image.fromarray(samples[..., 0] if samples.shape[-1] == 1 else samples).save(
        file, format=name, **OPTIONS.get(name, {}), **picture.extras
    )
    return file.getvalue()


def _encode_deep(samples: np.ndarray, name: str, extras: dict[str, bytes]) -> bytes:
    if name == "PNG":
        return deep_png.encode(samples, extras.get("icc_profile"))
    import tifffile

    file = io.BytesIO()
    colours = 1 if samples.shape[-1] == 2 else 3
    tifffile.imwrite(
        file,
        samples,
        photometric="minisblack" if colours == 1 else "rgb",
        planarconfig="contig",
        extrasamples=["unassalpha"] * (samples.shape[-1] - colours),
        iccprofile=extras.get("icc_profile"),
    )
    return file.getvalue()
