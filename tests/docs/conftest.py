"""The built site and a browser that reaches nothing else.

Building takes minutes, so these tests run where they are asked for:

    NONLOCAL_REF_SITE=DIR pytest -n 0 -m slow tests/docs

looks at the site in DIR, and builds it there first if there is none yet. Without NONLOCAL_REF_SITE they are skipped;
with it a missing tool is a failure.
"""

import functools
import hashlib
import http.server
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tests.docs.tools import SITE, missing

AXE = "axe-core@4.14.1"
AXE_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"


@pytest.fixture(scope="session")
def site():
    """The folder that holds the built site."""
    if not SITE:
        missing("no site to look at: NONLOCAL_REF_SITE=DIR pytest -n 0 -m slow tests/docs builds one in DIR")
    folder = Path(SITE).resolve()
    if not (folder / "index.html").is_file():
        assert "PYTEST_XDIST_WORKER" not in os.environ, "-n 0: several workers would build it at the same time"
        subprocess.run([sys.executable, "-m", "sphinx", "-n", "-W", "-q", DOCS, folder], check=True)
    return folder


@pytest.fixture(scope="session")
def address(site):
    """Where the site is served, on this machine alone."""
    handler = functools.partial(Quiet, directory=site)
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # a page asks for many files at once; beyond 5 a browser would be left waiting


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def browser(site):
    """Chromium without a window, without a network, and with its protocols kept."""
    if importlib.util.find_spec("selenium") is None:
        missing("selenium comes with the extra docs")
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if not all(programs.values()):
        missing("no browser; Debian: apt-get install chromium chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = programs["chromium"]
    for argument in (
        "--headless=new",
        "--no-sandbox",  # as root in a container there is none
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(programs["chromedriver"]))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core, the accessibility checker."""
    npm = shutil.which("npm")
    if npm is None:
        missing("no npm to fetch axe-core; Debian: apt-get install npm")
    folder = tmp_path_factory.mktemp("axe")
    packed = subprocess.run([npm, "pack", "--silent", AXE], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    archive = folder / packed.stdout.strip()
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == AXE_SHA256
    with tarfile.open(archive) as files:
        return files.extractfile("package/axe.min.js").read().decode()
