"""The pictures are what the programs beside them draw."""

import importlib.util

import imageio.v3 as imageio
import numpy as np
import pytest

from tests.docs.pages import DOCS

IMAGES = DOCS / "images"


def drawn(name):
    spec = importlib.util.spec_from_file_location(name, IMAGES / f"{name}.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program.draw()


@pytest.mark.slow
def test_one_pixel():
    kept, fresh = imageio.imread(IMAGES / "one_pixel.png"), drawn("one_pixel")
    assert kept.shape == fresh.shape
    assert np.max(np.abs(kept.astype(int) - fresh)) <= 2  # in steps of 1 / 255; sums may round otherwise elsewhere


def test_block():
    assert (IMAGES / "block.svg").read_text(encoding="utf-8") == drawn("block")
