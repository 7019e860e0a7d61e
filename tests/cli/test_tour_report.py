"""What one quick tour reports: its numbers, and the page."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.cli import main


@pytest.fixture(scope="module")
def quick_tour(tmp_path_factory):
    """The folder that one quick tour wrote."""
    folder = tmp_path_factory.mktemp("tour") / "new" / "folder"
    assert main(["tour", "--quick", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def report(quick_tour):
    return json.loads((quick_tour / "report.json").read_text(encoding="utf-8"))


# The numbers


def test_nothing_but_the_three_files_is_written(quick_tour):
    assert sorted(path.name for path in quick_tour.iterdir()) == ["overview.png", "report.html", "report.json"]


def test_noise_goes_down(report):
    denoising = report["denoising"]
    assert denoising["psnr_noisy"] == pytest.approx(20, abs=0.1)  # -20 log10(0.1)
    assert denoising["psnr_denoised"] > denoising["psnr_noisy"] + 5
    assert denoising["improved"] is True


def test_the_denoiser_and_the_operation_are_equal(report):
    bridge = report["bridge"]
    assert bridge["ok"] is True
    assert 0 < bridge["largest_difference"] <= 1e-12
    assert bridge["largest_difference"] == max(bridge["difference_in_window"], bridge["difference_everywhere"])


def test_every_gradient_of_every_operation_is_right(report):
    gradients = report["gradients"]
    assert gradients["ok"] is True
    assert gradients["right"] == gradients["checked"] == sum(len(run["gradients"]) for run in gradients["runs"])
    assert [(run["operation"], run["variant"]) for run in gradients["runs"]] == [
        (operation, variant) for operation in ("nonlocal_op", "block") for variant in nl.VARIANTS
    ]
    for checked in gradients["runs"]:
        assert checked["positions"] == 32 * 32
        assert {gradient["status"] for gradient in checked["gradients"]} == {"right"}
        assert checked["largest_share_of_allowed_error"] <= 1


def test_attention_maps_are_there_for_every_variant_and_the_denoiser(report):
    assert [look["kind"] for look in report["attention"]] == ["edge", "corner", "smooth"]
    for look in report["attention"]:
        assert list(look["largest_weight"]) == ["denoiser", *nl.VARIANTS]
        assert all(0 < weight <= 1 for weight in look["largest_weight"].values())
        assert 0 <= look["row"] < report["photograph"]["height"]


def test_the_report_says_what_it_is_and_what_ran_where(report):
    assert (report["schema"], report["schema_version"], report["version"]) == ("nonlocal_ref tour", 1, nl.__version__)
    assert set(report) == {
        *("schema", "schema_version", "version", "ok", "quick", "seed", "photograph"),
        *("denoising", "bridge", "gradients", "attention", "machine", "seconds"),
    }
    assert report["ok"] is True
    assert report["photograph"]["reduced"] is True
    machine = report["machine"]
    assert (machine["backend"], machine["dtype"]) == ("numpy", "float64")
    assert machine["versions"]["numpy"] == np.__version__
    seconds = report["seconds"]
    assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"])


# The page


class Page(HTMLParser):
    """Pictures, and everything that a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.pictures, self.links, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "img":
            self.pictures.append(attributes)
        if tag not in {"img", "meta", "br"}:
            self.open.append(tag)
        self.links += [value for key, value in attributes.items() if key in {"src", "href"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_one_file_with_a_text_for_every_picture(quick_tour):
    text = (quick_tour / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert len(page.pictures) == 3 + 4 + 3 + 3 * 6
    assert all(len(picture["alt"]) > 10 for picture in page.pictures)
    assert all(link.startswith("data:image/") for link in page.links)
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert "<script" not in text


def test_the_page_shows_the_numbers_and_the_code_that_ran(quick_tour, report):
    text = (quick_tour / "report.html").read_text(encoding="utf-8")
    assert f"{report['denoising']['psnr_denoised']:.2f} dB" in text
    assert f"{report['gradients']['right']} of {report['gradients']['checked']}" in text
    assert "reduced from 512 × 512" in text
    assert "nl.nonlocal_op(&#34;embedded_gaussian&#34;, theta, phi, g, mask=mask)" in text
    assert "WRONG" not in text
