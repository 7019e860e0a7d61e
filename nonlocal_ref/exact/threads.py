"""Work shared among Python threads, with the BLAS limited to one thread for as long as they run.

NumPy lets go of the interpreter lock inside its loops and products, so threads do run side by side; without the limit
each of them would start as many BLAS threads again.  The limit belongs to the whole process: two calls that overlap
must not undo or keep each other's, so entering and leaving are counted under a lock.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from itertools import pairwise
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _OneBlasThread:
    """A counted, process-wide limit: the first to enter sets it, the last to leave lifts it.

    threadpoolctl lets one thread at a time rule over OpenBLAS, so a thread of its own sets the limit and lifts it
    again, whoever was first and last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._controller: Any = None
        self._release = threading.Event()
        self._keeper: threading.Thread | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._inside == 0:
                self._start_keeper()
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0 and self._keeper is not None:
                    self._release.set()
                    self._keeper.join()

    def _start_keeper(self) -> None:
        if self._controller is None:  # looking for the BLAS libraries takes milliseconds: once
            from threadpoolctl import ThreadpoolController  # only where threads are wanted

            self._controller = ThreadpoolController()
        limited, self._release = threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, args=(limited, self._release), daemon=True)
        self._keeper.start()
        limited.wait()

    def _keep(self, limited: threading.Event, release: threading.Event) -> None:
        try:
            with self._controller.limit(limits=1, user_api="blas"):
                limited.set()
                release.wait()
        finally:
            limited.set()  # without the limit the result is the same, only slower


one_blas_thread = _OneBlasThread()


def share_out(work: Callable[[Iterable[Item]], Result], items: Sequence[Item], workers: int) -> list[Result]:
    """Cut ``items`` into one run of neighbours a worker and return work(run) for each, in order.

    The cut does not depend on timing, so neither do the results.  After an error or Ctrl-C no run begins another item.
    """
    count = min(workers, len(items))
    if count <= 1:
        return [work(items)]
    borders = [len(items) * k // count for k in range(count + 1)]
    runs = [items[start:stop] for start, stop in pairwise(borders)]
    over = threading.Event()
    with one_blas_thread(), ThreadPoolExecutor(count) as pool:
        try:
            return list(pool.map(_as_here(lambda run: work(_until(over, run))), runs))
        except BaseException:
            over.set()  # leaving the pool waits for its threads
            raise


def _as_here(work: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """The same work with the context variables of this thread, np.errstate among them, in whichever thread it runs."""
    context = copy_context()
    return lambda item: context.copy().run(work, item)  # a context can be entered by one thread at a time


def _until(over: threading.Event, items: Iterable[Item]) -> Iterator[Item]:
    """The items, until it is over."""
    for item in items:
        if over.is_set():
            raise CancelledError
        yield item
