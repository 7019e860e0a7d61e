"""Ctrl-C that cannot get lost.

A KeyboardInterrupt that is raised while a library calls back into Python, as JAX does after every garbage collection,
is printed there and dropped.  So it is remembered as well, and looked at before every step.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_came = threading.Event()


@contextmanager
def remembered() -> Iterator[None]:
    """For as long as a command runs; a program that ignores Ctrl-C goes on doing so."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual is not signal.default_int_handler:
        yield
        return
    _came.clear()
    signal.signal(signal.SIGINT, _remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        _came.clear()


def check() -> None:
    """KeyboardInterrupt where there was one, whatever became of it."""
    if _came.is_set():
        raise KeyboardInterrupt


def _remember(number: int, frame: FrameType | None) -> None:
    _came.set()
    raise KeyboardInterrupt
