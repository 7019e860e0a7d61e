"""The `xp` fixture (every array library that is here) and the hypothesis profiles."""

import gc
import os

import numpy as np
import pytest
from hypothesis import settings

from tests.helpers import BACKEND_NAMES, library, open_backend

# "ci" draws the same examples on every run; HYPOTHESIS_PROFILE=thorough draws many new ones. No deadline: a first call
# may import, compile or wait for a busy machine.
settings.register_profile("ci", derandomize=True, max_examples=20, deadline=None)
settings.register_profile("thorough", max_examples=500, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_finish():
    """What is there now stays to the end: thousands of tests, and the libraries. The garbage collector may skip it."""
    gc.freeze()


@pytest.fixture(params=[library(name) for name in BACKEND_NAMES])
def xp(request):
    """An array library: xp.asarray(host array), xp.to_numpy(x), xp.dtype, xp.eps, xp.name."""
    return open_backend(request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(20180618)
