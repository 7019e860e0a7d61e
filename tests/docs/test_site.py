"""The built site as files: pictures are described, links lead somewhere."""

from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.slow  # it is built first


class Page(HTMLParser):
    """What these tests need of an HTML page: its pictures, its links, and the places that links may lead to."""

    def __init__(self, text):
        super().__init__()
        self.pictures, self.links, self.places = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places.add(found.get("id", ""))
        if tag == "img":
            self.pictures.append(found)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_there_is_a_page_for_each_source(site, pages):
    sources = {path.name.removesuffix(".html") for path in pages}
    assert {"index", "map", "glossary", "01_denoising_a_photograph", "softmax", "operation"} <= sources


def test_every_picture_is_described_in_words(site, pages):
    poor = [
        f"{path.relative_to(site)}: {picture}"
        for path, page in pages.items()
        for picture in page.pictures
        if not is_described(picture)
    ]
    assert poor == []


def is_described(picture):
    """A sentence; no file name, which Sphinx puts there when there is nothing; the logo stands beside its name."""
    words = picture.get("alt", picture["src"])
    if "logo__image" in picture.get("class", ""):
        return words == ""
    return len(words.split()) >= 4 and picture["src"].rsplit("/", 1)[-1] not in words


@pytest.mark.parametrize("alt", ["_images/one_pixel.png", "one_pixel.png", "", "../_images/3f1c.png"])
def test_a_file_name_is_no_description(alt):
    assert not is_described({"src": "_images/one_pixel.png", "alt": alt})


def test_every_link_inside_the_site_leads_somewhere(site, pages):
    dead = [
        f"{path.relative_to(site)} -> {link}"
        for path, page in pages.items()
        for link in page.links
        if not leads_somewhere(link, path, pages)
    ]
    assert dead == []


def leads_somewhere(link, path, pages):
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    place = unquote(parts.fragment)
    return place in pages[target].places if place and target in pages else target.is_file()
