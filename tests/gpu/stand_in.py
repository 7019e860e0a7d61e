"""A module that calls itself cupy, with NumPy inside: what runs on a GPU can then be run without one.

Its arrays refuse to become NumPy arrays and to be mixed with them, as CuPy's do; `test_names.py` holds its names
against those of the real CuPy where that is installed.  It shows that the paths for a GPU are whole, and nothing about
CuPy's numbers, speed or memory.
"""

import importlib.util
import operator
import sys
import time
import tracemalloc
import types
from contextlib import contextmanager

import numpy as np

NAME, MEMORY = "Stand-in GPU", 2**36
BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")
COMPARISONS = ("lt", "le", "eq", "ne", "gt", "ge")
UNARY = ("neg", "pos", "abs", "invert")


class ndarray:  # noqa: N801  CuPy's name
    """A NumPy array that keeps to itself."""

    __hash__ = None

    def __init__(self, host):
        self._host = host

    def __array__(self, *arguments, **options):
        msg = "Implicit conversion to a NumPy array is not allowed. Please use `.get()`."
        raise TypeError(msg)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self._host, name)
        return on_device(value) if callable(value) else wrapped(value)

    def __getitem__(self, key):
        return wrapped(self._host[unwrapped(key)])

    def __setitem__(self, key, value):
        self._host[unwrapped(key)] = unwrapped(value)

    def __len__(self):
        return len(self._host)

    def __bool__(self):
        return bool(self._host)

    def __float__(self):
        return float(self._host)

    def __int__(self):
        return int(self._host)

    def __index__(self):
        return operator.index(self._host)

    def get(self):
        return np.array(self._host)

    @property
    def device(self):
        return Device(0)


def give_operator(name):
    """x + y, y + x and x += y."""

    def method(self, *others):
        return wrapped(getattr(self._host, name)(*map(unwrapped, others)))

    setattr(ndarray, name, method)


for word in BINARY:
    for letter in ("", "r", "i"):
        give_operator(f"__{letter}{word}__")
for word in (*COMPARISONS, *UNARY):
    give_operator(f"__{word}__")


def wrapped(value):
    """Arrays come out as arrays of this module."""
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    return type(value)(map(wrapped, value)) if type(value) in (tuple, list) else value


def unwrapped(value):
    """Arrays go in as arrays of this module alone."""
    if isinstance(value, np.ndarray) and value.ndim:
        msg = f"Unsupported type {np.ndarray}"
        raise TypeError(msg)
    if isinstance(value, ndarray):
        return value._host
    return type(value)(map(unwrapped, value)) if type(value) in (tuple, list) else value


def on_device(function):
    """A function of NumPy as one of this module."""

    def call(*arguments, **options):
        return wrapped(function(*map(unwrapped, arguments), **{k: unwrapped(v) for k, v in options.items()}))

    return call


class Device:
    """The only device there is."""

    compute_capability, mem_info = "90", (MEMORY, MEMORY)

    def __init__(self, device=None):
        self.id = 0 if device is None else int(device)

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    __hash__ = None

    def __int__(self):
        return self.id

    def __enter__(self):
        if self.id != 0:
            msg = "cudaErrorInvalidDevice: invalid device ordinal"
            raise RuntimeError(msg)
        return self

    def __exit__(self, *error):
        pass


class MemoryPool:
    """Remembers how much was held at most while it was in use."""

    def __init__(self):
        self.peak = 0

    def malloc(self, size):
        raise NotImplementedError

    def total_bytes(self):
        return self.peak

    def free_bytes(self):
        return 0

    def free_all_blocks(self):
        pass


@contextmanager
def using_allocator(allocator):
    tracemalloc.start()
    try:
        yield
        allocator.__self__.peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def benchmark(func, args=(), kwargs=None, n_repeat=10000, *, name=None, n_warmup=10, max_duration=float("inf")):
    """Stands in for cupyx.profiler.benchmark, with its arguments and its answer."""
    seconds = []
    for _ in range(n_warmup):
        func(*args, **(kwargs or {}))
    while len(seconds) < n_repeat and sum(seconds) < max_duration:
        start = time.perf_counter()
        func(*args, **(kwargs or {}))
        seconds.append(time.perf_counter() - start)
    times = np.asarray(seconds)
    return types.SimpleNamespace(name=name or func.__name__, cpu_times=times, gpu_times=times[None])


def module(name, **contents):
    made = types.ModuleType(name)
    made.__spec__ = importlib.util.spec_from_loader(name, loader=None, is_package=True)
    made.__path__ = []
    vars(made).update(contents)
    return made


def numpy_names(source):
    """Functions that compute, types and numbers as they are."""
    return {
        name: on_device(value) if callable(value) and not isinstance(value, type) else value
        for name, value in vars(source).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }


def make_modules():
    """cupy, cupyx and what array-api-compat imports of them, by name."""
    pool = MemoryPool()
    runtime = module(
        "cupy.cuda.runtime",
        getDeviceProperties=lambda device: {"name": NAME.encode(), "multiProcessorCount": 1},
        getDeviceCount=lambda: 1,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 12090,
        memGetInfo=lambda: (MEMORY, MEMORY),
    )
    stream = types.SimpleNamespace(synchronize=lambda: None)
    cuda = module(
        "cupy.cuda",
        Device=Device,
        MemoryPool=MemoryPool,
        using_allocator=using_allocator,
        get_current_stream=lambda: stream,
        is_available=lambda: True,
        runtime=runtime,
        device=module("cupy.cuda.device", Device=Device),
    )
    inside = {part: module(f"cupy.{part}", **numpy_names(getattr(np, part))) for part in ("linalg", "fft")}
    cupy = module("cupy", **numpy_names(np), **inside)
    vars(cupy).update(cuda=cuda, ndarray=ndarray, __version__="0", is_available=lambda: True)
    vars(cupy).update(get_default_memory_pool=lambda: pool, asnumpy=lambda x: x.get())
    vars(cupy).update(asarray=on_host_too(np.asarray), array=on_host_too(np.array))
    profiler = module("cupyx.profiler", benchmark=benchmark)
    found = [cupy, *inside.values(), cuda, cuda.device, runtime, module("cupyx", profiler=profiler), profiler]
    return {each.__name__: each for each in found}


def on_host_too(function):
    """The only two that take arrays of the host."""

    def call(x, *arguments, **options):
        return wrapped(function(x._host if isinstance(x, ndarray) else x, *arguments, **options))

    return call


def install():
    """From now on ``import cupy`` finds this."""
    sys.modules.update(make_modules())
