"""Small ceilings, no pauses: what a test looks at is not how fast this machine is."""

import pytest

from nonlocal_ref.comparison import measurement


@pytest.fixture(autouse=True)
def small_ceilings(monkeypatch):
    monkeypatch.setitem(measurement.PRODUCT_SIDE, False, 16)
    monkeypatch.setitem(measurement.COPY_COUNT, False, 16)
    monkeypatch.setattr(measurement, "PAUSE", 0.0)
