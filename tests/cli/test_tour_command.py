"""``nonlocal-ref tour``: pictures of one's own, where it writes, and what happens when something is wrong."""

import json
import re
import sys

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.backend import load_backend
from nonlocal_ref.cli import main
from nonlocal_ref.cli.tour import gradients
from tests.cli.helpers import refusal, run, samples, write

FILES = ["overview.png", "report.html", "report.json"]


@pytest.fixture
def small_picture(tmp_path):
    """The smallest picture that the tour takes: the quickest tour."""
    return write(tmp_path / "small.png", samples("RGB", 16, 18))


@pytest.fixture
def unchecked(monkeypatch):
    """Leave the gradients out, which take most of the time: for tests that ask about something else."""
    monkeypatch.setattr(gradients, "run_and_check", lambda *args: [])


def tour_of(capsys, picture, *options):
    """Exit code, stdout and report of a quick tour of one's own picture."""
    folder = picture.parent / "out"
    code, out, _ = run(capsys, "tour", "--quick", "--image", picture, "--out", folder, *options)
    return code, out, json.loads((folder / "report.json").read_text(encoding="utf-8"))


# Pictures of one's own


def test_the_terminal_gets_a_short_table_and_nothing_on_stderr(capsys, unchecked, small_picture):
    folder = small_picture.parent / "out"
    code, out, err = run(capsys, "tour", "--quick", "--image", small_picture, "--out", folder)
    assert (code, err) == (0, "")  # no bars where there is no terminal
    rows = ["photograph", "denoised", "as attention", "gradients", "ran on", "time", "report"]
    assert [line[:13].strip() for line in out.splitlines()] == rows
    assert "small.png, 18 x 16" in out
    assert str(folder / "report.html") in out
    assert out.isascii()


@pytest.mark.parametrize("mode", ["L", "RGBA16"])
def test_grey_deep_and_transparent_pictures_are_taken_and_large_ones_reduced(capsys, unchecked, tmp_path, mode):
    code, out, found = tour_of(capsys, write(tmp_path / "wide.png", samples(mode, 20, 400)))
    assert code == 0
    assert "192 x 16, reduced from 400 x 20" in out
    photograph = found["photograph"]
    assert (photograph["height"], photograph["width"], photograph["channels"]) == (16, 192, 1 if mode == "L" else 3)


def test_a_picture_without_any_structure_is_taken(capsys, unchecked, tmp_path):
    code, _, found = tour_of(capsys, write(tmp_path / "black.png", np.zeros((16, 16, 3), dtype=np.uint8)))
    assert code == 0
    assert found["denoising"]["psnr_denoised"] > 25


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.png", b"hello", "it is no PNG"),
        ("missing.png", None, "No such file"),
        ("", None, "got the folder"),
    ],
)
def test_what_is_no_picture_is_refused(capsys, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    line = refusal(capsys, "tour", "--image", tmp_path / name, "--out", tmp_path / "out")
    assert "argument --image" in line
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_picture_that_is_too_small_is_refused(capsys, tmp_path):
    picture = write(tmp_path / "tiny.png", samples("L", 15, 20))
    line = refusal(capsys, "tour", "--image", picture, "--out", tmp_path / "out")
    assert "argument --image: must have at least 16 x 16 pixels, got 20 x 15" in line


# Where to write


def test_a_place_that_cannot_be_written_is_refused(capsys, tmp_path, small_picture):
    for place in (small_picture, small_picture / "below"):
        line = refusal(capsys, "tour", "--quick", "--image", small_picture, "--out", place)
        assert "argument --out: must be a folder to write to" in line
    (tmp_path / "taken" / "report.html").mkdir(parents=True)
    line = refusal(capsys, "tour", "--quick", "--image", small_picture, "--out", tmp_path / "taken")
    assert "argument --out" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.png", "taken"]


def test_files_of_an_earlier_tour_are_replaced_and_others_left(capsys, unchecked, small_picture):
    folder = small_picture.parent / "out"
    folder.mkdir()
    (folder / "report.html").write_text("before")
    (folder / "notes.txt").write_text("mine")
    assert tour_of(capsys, small_picture)[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", *FILES]
    assert (folder / "report.html").read_text(encoding="utf-8") != "before"


def test_a_stage_that_fails_leaves_nothing(monkeypatch, unchecked, small_picture):
    def fail(*args, **options):
        raise MemoryError

    monkeypatch.setattr(nl, "weights", fail)
    with pytest.raises(MemoryError):
        main(["tour", "--quick", "--image", str(small_picture), "--out", str(small_picture.parent / "a" / "b")])
    assert list(small_picture.parent.iterdir()) == [small_picture]


# Backends


def test_cupy_where_there_is_none_is_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", None)
    line = refusal(capsys, "tour", "--quick", "--backend", "cupy", "--out", tmp_path / "out")
    assert "argument --backend: backend 'cupy' is not installed" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
def test_the_tour_runs_on_a_gpu(capsys, small_picture):
    try:
        load_backend("cupy")
    except ValueError as error:
        pytest.skip(str(error))
    code, _, found = tour_of(capsys, small_picture, "--backend", "cupy")
    assert code == 0
    assert found["machine"]["backend"] == "cupy"
    assert found["bridge"]["largest_difference"] <= 1e-12


# When something is wrong


def test_a_wrong_gradient_ends_with_1_and_the_report_says_which(capsys, monkeypatch, small_picture):
    right = nl.nonlocal_op

    def wrong(variant, theta, phi, g, w_f=None, **options):
        y, backward = right(variant, theta, phi, g, w_f, **options)

        def wrong_backward(dy):
            dtheta, dphi, *others = backward(dy)
            return dtheta, -dphi if variant == "dot_product" else dphi, *others

        return y, wrong_backward

    monkeypatch.setattr(nl, "nonlocal_op", wrong)
    code, out, found = tour_of(capsys, small_picture)
    assert code == 1
    assert "WRONG: nonlocal_op dot_product" in out
    assert (found["ok"], found["bridge"]["ok"], found["gradients"]["ok"]) == (False, True, False)
    bad = [
        (run["variant"], g["name"])
        for run in found["gradients"]["runs"]
        for g in run["gradients"]
        if g["status"] == "wrong"
    ]
    assert bad == [("dot_product", "phi")]
    text = (small_picture.parent / "out" / "report.html").read_text(encoding="utf-8")
    assert "1 of 54 gradients could not be confirmed" in re.sub(r"\s+", " ", text)
    assert '<span class="wrong">WRONG</span>' in text


@pytest.mark.parametrize(("error", "shown"), [(1e-9, 1e-9), (np.nan, None)])
def test_denoisers_that_differ_end_with_1(capsys, monkeypatch, unchecked, small_picture, error, shown):
    right = nl.non_local_means
    monkeypatch.setattr(nl, "non_local_means", lambda image, **options: right(image, **options) + error)
    code, out, found = tour_of(capsys, small_picture)
    assert code == 1
    assert "DIFFERENT" in out
    assert found["bridge"]["ok"] is False
    assert found["bridge"]["largest_difference"] == (shown and pytest.approx(shown, rel=1e-3))
    assert "DIFFERENT" in (small_picture.parent / "out" / "report.html").read_text(encoding="utf-8")
