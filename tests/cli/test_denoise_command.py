"""``nonlocal-ref denoise``: files come back as they went in, denoised; whatever does not fit is refused."""

import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nonlocal_ref as nl
from tests.cli.helpers import read, refusal, run, samples, write


def noisy_ramp(kind=np.uint8):
    """A picture with an edge, under noise, and the same without noise."""
    clean = np.broadcast_to(np.where(np.arange(48) < 24, 0.25, 0.75), (40, 48))[..., None]
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.1, clean.shape), 0, 1)
    return np.rint(noisy * np.iinfo(kind).max).astype(kind), clean


def test_the_result_is_that_of_the_library_with_h_at_four_fifths_of_sigma(capsys, tmp_path):
    noisy, clean = noisy_ramp(np.uint16)
    source, target = write(tmp_path / "in.png", noisy), tmp_path / "out.png"
    code, out, err = run(capsys, "denoise", source, target, "--sigma", "0.1")
    assert (code, err) == (0, "")
    assert "48 x 40, L16" in out
    assert "h 0.08" in out
    expected = nl.non_local_means(noisy / 65535, h=0.08, sigma=0.1, channel_axis=-1)
    assert np.array_equal(read(target).samples, np.rint(expected * 65535))
    assert np.mean((read(target).colours - clean) ** 2) < 0.1 * np.mean((noisy / 65535 - clean) ** 2)


def test_every_option_reaches_the_library(tmp_path, capsys):
    noisy, _ = noisy_ramp(np.uint16)
    source, target = write(tmp_path / "in.tif", noisy), tmp_path / "out.tif"
    options = {"sigma": 0.05, "h": 0.2, "patch_size": 3, "patch_distance": 2}
    options |= {"patch_weights": "gaussian", "padding": "wrap", "center": "max"}
    words = [word for key, value in options.items() for word in ("--" + key.replace("_", "-"), value)]
    assert run(capsys, "denoise", source, target, *words)[0] == 0
    expected = nl.non_local_means(noisy / 65535, channel_axis=-1, **options)
    assert np.array_equal(read(target).samples, np.rint(expected * 65535))


@pytest.mark.parametrize(
    "name",
    [
        *("L.png", "LA.png", "RGB.png", "RGBA.png", "L16.png", "LA16.png", "RGB16.png", "RGBA16.png"),
        *("L.tif", "RGBA.tiff", "L16.tif", "LA16.tif", "RGB16.tif", "RGBA16.tiff"),
        *("L.jpg", "RGB.jpeg", "L.bmp", "RGB.bmp", "RGB.webp", "RGBA.webp"),
    ],
)
def test_bits_colours_and_alpha_come_back_as_they_went_in(capsys, tmp_path, name):
    mode = name.partition(".")[0]
    source, target = write(tmp_path / name, samples(mode)), tmp_path / f"out-{name}"
    assert run(capsys, "denoise", source, target, "--sigma", "0.1", "--patch-distance", "1")[0] == 0
    before, after = read(source), read(target)
    assert (after.mode, after.samples.shape) == (mode, before.samples.shape)
    if "A" in mode:
        assert np.array_equal(after.samples[..., -1], before.samples[..., -1])


def test_orientation_and_colour_profile_are_handed_through(capsys, tmp_path):
    image = Image.fromarray(samples("RGB"))
    exif = image.getexif()
    exif[274] = 6  # turn by 90 degrees
    image.save(tmp_path / "in.jpg", exif=exif, icc_profile=b"profile")
    assert run(capsys, "denoise", tmp_path / "in.jpg", tmp_path / "out.jpg", "--sigma", "0.1")[0] == 0
    with Image.open(tmp_path / "out.jpg") as after:
        assert after.getexif()[274] == 6
        assert after.info["icc_profile"] == b"profile"
        assert after.size == image.size


def test_a_file_may_be_replaced_by_its_denoised_self(capsys, tmp_path):
    path = write(tmp_path / "same.png", samples("L"))
    before = path.read_bytes()
    assert run(capsys, "denoise", path, path, "--sigma", "0.1", "--h", "inf")[0] == 0
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sigma", "25"], "argument --sigma: must be a number from 0 to 1"),
        (["--sigma", "-0.1"], "argument --sigma"),
        (["--sigma", "nan"], "got 'nan'"),
        (["--sigma", "much"], "got 'much'"),
        (["--sigma", "0"], "argument --h"),
        (["--sigma", "0.1", "--h", "0"], "argument --h: must be a number greater than 0"),
        (["--sigma", "0.1", "--h", "nan"], "argument --h"),
        (["--sigma", "0.1", "--patch-size", "4"], "argument --patch-size: must be an odd whole number of at least 1"),
        (["--sigma", "0.1", "--patch-size", "0"], "argument --patch-size"),
        (
            ["--sigma", "0.1", "--patch-distance", "-1"],
            "argument --patch-distance: must be a whole number of at least 0",
        ),
        (["--sigma", "0.1", "--patch-distance", "2.5"], "got '2.5'"),
        (["--sigma", "0.1", "--padding", "zero"], "argument --padding: invalid choice: 'zero'"),
        (["--sigma", "0.1", "--backend", "torch"], "argument --backend: invalid choice: 'torch'"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(capsys, tmp_path, options, message):
    source = write(tmp_path / "in.png", samples("L"))
    assert message in refusal(capsys, "denoise", source, tmp_path / "out.png", *options)
    assert list(tmp_path.iterdir()) == [source]


def test_cupy_where_there_is_none_is_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", None)
    source = write(tmp_path / "in.png", samples("L"))
    line = refusal(capsys, "denoise", source, tmp_path / "out.png", "--sigma", "0.1", "--backend", "cupy")
    assert "argument --backend: backend 'cupy' is not installed" in line
    assert '"cupy-cuda12x[ctk]"' in line


def unreadable(folder):
    """Files that are no pictures we take, and what the message says about each."""
    good = write(folder / "good.png", samples("RGB")).read_bytes()
    deep = write(folder / "deep.png", samples("RGB16")).read_bytes()
    contents = {
        "text.png": (b"hello", "it is no PNG, TIFF, JPEG, BMP, WEBP file"),
        "empty.png": (b"", "it is no PNG"),
        "cut.png": (good[: len(good) // 2], "truncated"),
        "cut-deep.png": (deep[: len(deep) // 2], "a checksum is wrong"),
        "short-deep.png": (deep[:60], "a checksum is wrong"),
        "headless-deep.png": (deep[:33], "it ends too early"),
        "tiff.tif": (b"II*\0" + bytes(20), "cannot read"),
    }
    for name, (content, message) in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name, message
    two = [Image.fromarray(samples("L")[..., 0]) for _ in range(2)]
    two[0].save(folder / "two.tif", save_all=True, append_images=two[1:])
    yield folder / "two.tif", "it holds 2 pictures, give one"
    Image.fromarray(samples("RGBA")).convert("CMYK").save(folder / "cmyk.jpg")
    yield folder / "cmyk.jpg", "its colours are CMYK"
    two[0].save(folder / "animal.gif")
    yield folder / "animal.gif", "it is no PNG"
    yield folder, "got the folder"
    yield folder / "missing.png", "No such file"


def test_what_is_no_picture_is_refused(capsys, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path, message in unreadable(folder):
        line = refusal(capsys, "denoise", path, tmp_path / "out.png", "--sigma", "0.1")
        assert "argument IN" in line
        assert str(path) in line
        assert message in line
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("mode", "target", "message"),
    [
        ("L", "out.gif", "must end in .png, .tif, .jpg, .bmp to hold L"),
        ("RGBA", "out.jpg", "must end in .png, .tif, .webp to hold RGBA"),
        ("RGB16", "out.jpg", "must end in .png, .tif to hold RGB16"),
        ("L", "out", "must end in"),
        ("L", "nowhere/out.png", "must be in a folder that exists"),
        ("L", "in.png/out.png", "must be in a folder that exists"),
        ("L", "folder.png", "got the folder"),
        ("L", "a" * 250 + ".png", "must be writable"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    capsys, monkeypatch, tmp_path, mode, target, message
):
    (tmp_path / "folder.png").mkdir()
    source = write(tmp_path / "in.png", samples(mode))
    monkeypatch.setattr(nl, "non_local_means", None)  # calling it would fail
    line = refusal(capsys, "denoise", source, tmp_path / target, "--sigma", "0.1")
    assert "argument OUT" in line
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.png", "in.png"]


def test_a_full_disk_leaves_what_was_there_before(capsys, monkeypatch, tmp_path):
    source, target = write(tmp_path / "in.png", samples("L")), tmp_path / "out.png"
    target.write_bytes(b"before")

    def fill(self, data):
        self.touch()
        raise OSError(28, os.strerror(28), str(self))

    monkeypatch.setattr(Path, "write_bytes", fill)
    line = refusal(capsys, "denoise", source, target, "--sigma", "0.1")
    assert os.strerror(28) in line
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "out.png"]


def test_transparent_colours_and_palettes_are_spelled_out(tmp_path):
    palette = Image.fromarray(samples("RGB")).convert("P")
    palette.save(tmp_path / "palette.png")
    palette.save(tmp_path / "transparent.png", transparency=3)
    Image.fromarray(samples("L")[..., 0] > 99).save(tmp_path / "bits.png")
    assert [read(tmp_path / f"{name}.png").mode for name in ("palette", "transparent", "bits")] == ["RGB", "RGBA", "L"]
    assert set(np.unique(read(tmp_path / "bits.png").samples)) == {0, 255}


def test_sigma_and_h_are_in_the_unit_of_the_samples(tmp_path, capsys):
    """The same picture in 8 and in 16 bits is denoised to the same colours, within half a level."""
    eight, _ = noisy_ramp()
    paths = [write(tmp_path / "8.png", eight), write(tmp_path / "16.png", eight.astype(np.uint16) * 257)]
    for path in paths:
        assert run(capsys, "denoise", path, path, "--sigma", "0.1")[0] == 0
    difference = read(paths[0]).colours - read(paths[1]).colours
    assert math.isclose(np.abs(difference).max(), 0, abs_tol=0.51 / 255)
