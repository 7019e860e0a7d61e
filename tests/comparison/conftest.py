"""Small ceilings, no pauses: what a test looks at is not how fast this machine is."""

import pytest

from nonlocal_ref.comparison import measurement


@pytest.fixture(autouse=True)
def small_ceilings(monkeypatch):
    for on_gpu in (False, True):
        monkeypatch.setitem(measurement.PRODUCT_SIDE, on_gpu, 16)
        monkeypatch.setitem(measurement.COPY_COUNT, on_gpu, 16)
    monkeypatch.setattr(measurement, "PAUSE", 0.0)
