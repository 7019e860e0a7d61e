"""What a test does when a tool that it needs is not here."""

import os

import pytest

SITE = os.environ.get("NONLOCAL_REF_SITE")


def missing(reason):
    """Skip, with the reason. Whoever names a site wants it tested: there a missing tool is a failure."""
    if SITE:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
