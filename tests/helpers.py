"""What the tests share: the array libraries they run on, how inputs are drawn, and the block configurations."""

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.backend import array_namespace, device, to_numpy


@dataclass(frozen=True)
class Backend:
    """An array library on one device, in the best precision it has there."""

    name: str
    namespace: Any
    device: Any = None
    precision: str = "float64"
    read_only: bool = False

    def asarray(self, host):
        """A host array on this backend; real and complex numbers in this backend's precision, all else as it is."""
        host = np.array(host)  # always a copy
        if host.dtype.kind == "f":
            host = host.astype(self.precision)
        x = self.namespace.asarray(host, device=self.device)
        if self.read_only:
            x.flags.writeable = False
        return x

    def to_numpy(self, x):
        return to_numpy(x)

    @property
    def dtype(self):
        return getattr(self.namespace, self.precision)

    @property
    def eps(self):
        return float(np.finfo(self.precision).eps)

    def __repr__(self):
        return self.name


BACKEND_NAMES = ("numpy", "numpy-read-only", "strict", "strict-device1", "strict-no-float64", "torch", "cupy")


def open_backend(name):
    """The backend of that name, or a skip that says what is missing."""
    found = find_backend(name)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@functools.cache  # thousands of tests ask, and looking for what is not there takes time
def find_backend(name):
    """The backend of that name, or what is missing."""
    if name.startswith("numpy"):
        return Backend(name, importlib.import_module("array_api_compat.numpy"), read_only=name.endswith("read-only"))
    try:
        library = importlib.import_module("array_api_strict" if name.startswith("strict") else name)
    except ImportError:
        return "array-api-strict is not installed" if name.startswith("strict") else f"{name} is not installed"
    if name.startswith("strict"):
        place = {"strict": "CPU_DEVICE", "strict-device1": "device1", "strict-no-float64": "no_float64"}[name]
        precision = "float32" if place == "no_float64" else "float64"
        return Backend(name, library, library.Device(place), precision)
    if name == "cupy" and not library.cuda.is_available():  # importing CuPy succeeds without a GPU
        return "CuPy is installed, but there is no CUDA device"
    return Backend(name, importlib.import_module(f"array_api_compat.{name}"))


NUMPY = open_backend("numpy")


def library(name):
    """The name as a pytest parameter for the `xp` fixture."""
    return pytest.param(name, marks=pytest.mark.gpu if name == "cupy" else ())


def normal(rng, *shape):
    """Standard normal numbers that float32 holds exactly, so that every backend gets the same ones."""
    return rng.normal(size=shape).astype(np.float32).astype(np.float64)


def same_kind(x, like):
    """Whether two arrays share namespace, dtype, device and shape."""
    return (
        array_namespace(x) is array_namespace(like)
        and x.dtype == like.dtype
        and device(x) == device(like)
        and tuple(x.shape) == tuple(like.shape)
    )


def example(rng, *, batch=2, queries=3, keys=4, depth=5, width=3, variant="concatenation"):
    """theta, phi, g, and w_f where the variant has one: host arrays for `nonlocal_op`."""
    arrays = [normal(rng, batch, queries, depth), normal(rng, batch, keys, depth), normal(rng, batch, keys, width)]
    return [*arrays, normal(rng, 2 * depth)] if variant == "concatenation" else arrays


class Recorder(dict):
    """A tap that is a dict: empty, and so falsy, until it is called."""

    def __call__(self, name, array):
        self[name] = array


def random_params(config, rng):
    """Parameters of a block in the middle of its life: nothing is zero, the running variance is positive."""
    params = {key: normal(rng, *shape) for key, shape in nl.param_shapes(config).items()}
    if "bn.running_var" in params:
        params["bn.running_var"] = np.abs(params["bn.running_var"]) + 0.5
    return params


def trainable(params):
    return [key for key in params if not key.startswith("bn.running")]


# Each option of BlockConfig at least once, each variant twice; small enough for the loops of oracles.py.
CONFIGS = {
    "embedded": (nl.BlockConfig(3, inner_channels=2), (2, 3, 2, 2, 3)),
    "gaussian-2d-affine-before": (
        nl.BlockConfig(4, variant="gaussian", dims=2, norm="affine", pool_order="before", scale="inner"),
        (2, 4, 2, 5),
    ),
    "dot-1d-no-norm-no-bias": (
        nl.BlockConfig(3, variant="dot_product", dims=1, inner_channels=2, norm=None, bias=False, subsample=(3,)),
        (2, 3, 7),
    ),
    "concatenation-space": (
        nl.BlockConfig(3, variant="concatenation", inner_channels=2, domain="space", subsample=(1, 2, 1)),
        (1, 3, 2, 3, 2),
    ),
    "embedded-time": (
        nl.BlockConfig(3, inner_channels=2, domain="time", subsample=(2, 1, 1), scale="inner", norm="affine"),
        (1, 3, 5, 1, 2),
    ),
    "embedded-groups": (
        nl.BlockConfig(3, inner_channels=2, frame_group=2, scale=0.75, subsample=False),
        (1, 3, 4, 1, 2),
    ),
    "concatenation-2d-before": (
        nl.BlockConfig(
            3, variant="concatenation", dims=2, inner_channels=2, pool_order="before", bias=False, subsample=(2, 1)
        ),
        (2, 3, 4, 2),
    ),
    "dot-time-before": (
        nl.BlockConfig(3, variant="dot_product", inner_channels=2, domain="time", pool_order="before", norm="batch"),
        (1, 3, 3, 2, 2),
    ),
    "gaussian-groups": (
        nl.BlockConfig(2, variant="gaussian", inner_channels=1, frame_group=2, subsample=(2, 1, 1), norm=None),
        (1, 2, 4, 2, 1),
    ),
}


def named_configs(*names):
    """pytest parameters: configuration and shape of x, for all names or for some."""
    return [pytest.param(*CONFIGS[name], id=name) for name in names or CONFIGS]
