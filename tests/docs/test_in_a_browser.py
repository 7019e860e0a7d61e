"""The site in a browser that reaches nothing else: pages load, formulas are drawn, the search finds."""

import json
import time

import pytest

pytestmark = pytest.mark.slow  # the site is built first

KINDS = {
    "home": "index",
    "tutorial": "tutorials/01_denoising_a_photograph",
    "tutorial with a folded cell": "tutorials/04_a_function_and_its_way_back",
    "reference": "api/operation",
    "derivation": "derivations/softmax",
    "map": "map",
    "glossary": "glossary",
}
WIDTHS = {"desktop": 1366, "phone": 390}
SMALL_WINDOW = 1280
SCHEMES = ("light", "dark")
WAIT = 30  # seconds, for a busy machine

every_kind = pytest.mark.parametrize("page", KINDS.values(), ids=KINDS)
kinds_with_mathematics = pytest.mark.parametrize("kind", ["home", "tutorial", "derivation", "glossary"])


@pytest.fixture
def open_page(browser, address):
    """open_page(name) -> when it has loaded, formulas too."""

    def open_page(page, width=WIDTHS["desktop"], scheme="light"):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        for log in ("browser", "performance"):
            browser.get_log(log)  # what came before
        browser.get(f"{address}/{page}")
        wait_for(browser, "return !window.MathJax || Boolean(MathJax.startup?.promise)")
        browser.set_script_timeout(WAIT)
        browser.execute_async_script("(window.MathJax?.startup.promise ?? Promise.resolve()).then(arguments[0])")

    return open_page


def wait_for(browser, script):
    """Ask until the answer is true."""
    end = time.monotonic() + WAIT
    while not browser.execute_script(script):
        assert time.monotonic() < end, f"never true: {script}"
        time.sleep(0.05)


def requests(browser):
    """What the page asked for since it was opened."""
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            yield message["params"]["request"]["url"]


@every_kind
def test_a_page_fetches_nothing_from_elsewhere_and_reports_no_error(open_page, browser, address, page):
    open_page(f"{page}.html")
    assert [url for url in requests(browser) if not url.startswith((address, "data:", "blob:", "chrome:"))] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] not in ("INFO", "DEBUG")] == []


@kinds_with_mathematics
def test_every_formula_is_drawn(open_page, browser, kind):
    open_page(f"{KINDS[kind]}.html")
    formulas = browser.execute_script("return document.querySelectorAll('.math').length")
    assert formulas > 0
    assert browser.execute_script("return document.querySelectorAll('.math:has(mjx-container svg)').length") == formulas
    assert browser.execute_script("return document.querySelectorAll('mjx-merror, [data-mjx-error]').length") == 0


@kinds_with_mathematics
def test_a_screen_reader_finds_each_formula_as_mathml(open_page, browser, kind):
    open_page(f"{KINDS[kind]}.html")
    count = "document.querySelectorAll('.math {}').length"
    formulas, spoken = count.format("mjx-container"), count.format("mjx-assistive-mml math")
    assert browser.execute_script(f"return {formulas} === {spoken}")


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("concatenation", "derivations/concatenation.html"),
        ("softmax", "derivations/softmax.html"),
        ("勾配", "glossary.html"),
    ],
)
def test_the_search_finds(open_page, browser, words, target):
    open_page(f"search.html?q={words}")
    wait_for(browser, f"return document.querySelector('#search-results li a[href*=\"{target}\"]') !== null")


@every_kind
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_no_serious_obstacle_for_anyone(open_page, browser, axe, page, width, scheme):
    open_page(f"{page}.html", width, scheme)
    browser.execute_script(axe)
    found = browser.execute_async_script("const done = arguments[0]; axe.run().then(done)")
    serious = [violation for violation in found["violations"] if violation["impact"] in ("serious", "critical")]
    assert [f"{v['id']}: {node['html'][:150]}" for v in serious for node in v["nodes"]] == []


def pages_of(site):
    """Addresses of all pages but source code and files of the theme."""
    pages = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    return [page for page in pages if not page.startswith("_")]


def test_no_page_is_wider_than_a_phone(open_page, browser, site):
    # the article scrolls sidewards in a box of its own, so the document is never too wide: ask what sticks out
    wide = []
    for page in pages_of(site):
        open_page(page, WIDTHS["phone"])
        boxes = "[document.documentElement, ...document.querySelectorAll('.bd-article-container')]"
        if browser.execute_script(
            f"return {boxes}.some(box => box.scrollWidth > Math.min(box.clientWidth, arguments[0]))", WIDTHS["phone"]
        ):
            wide.append(page)
    assert wide == []


OF_A_WIDE_TERMINAL = "api/commands.html"  # its tables have 136 columns; they are moved sidewards, not broken


def test_nothing_that_a_cell_prints_no_table_and_no_entry_beside_a_page_is_cut_off(open_page, browser, site):
    cut_off = []
    for page in pages_of(site):
        open_page(page, SMALL_WINDOW)
        printed = "" if page == OF_A_WIDE_TERMINAL else ".cell pre, "
        script = f"""
            document.querySelectorAll('details').forEach(fold => {{ fold.open = true }});
            const boxes = document.querySelectorAll('{printed}.pst-scrollable-table-container, .bd-sidebar-secondary');
            return [...boxes].filter(box => box.scrollWidth > box.clientWidth).map(box => box.innerText.slice(0, 80));
        """
        cut_off += [f"{page}: {text}" for text in browser.execute_script(script)]
    assert cut_off == []


TUTORIALS = [kind for kind in KINDS if kind.startswith("tutorial")]


@pytest.mark.parametrize("page", [*(f"{KINDS[kind]}.html" for kind in TUTORIALS), OF_A_WIDE_TERMINAL])
def test_a_printed_row_is_never_broken(open_page, browser, page):
    open_page(page, SMALL_WINDOW)
    script = "return [...document.querySelectorAll('div.cell_output pre')].map(box => getComputedStyle(box).whiteSpace)"
    assert set(browser.execute_script(script)) == {"pre"}
    script = "return [...document.querySelectorAll('div.cell_output pre')].map(box => getComputedStyle(box).overflowX)"
    assert set(browser.execute_script(script)) == {"auto"}


@pytest.mark.parametrize("kind", TUTORIALS)
def test_a_picture_can_be_read_on_a_phone(open_page, browser, kind):
    open_page(f"{KINDS[kind]}.html", WIDTHS["phone"])
    widths = browser.execute_script("return [...document.querySelectorAll('div.cell_output img')].map(p => p.width)")
    assert widths
    assert min(widths) >= 600
