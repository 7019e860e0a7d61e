"""How far a command is: bars on stderr where that is a terminal, nothing where it is not."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from nonlocal_ref.machine.software import importable

Tick = Callable[[int, int], None]


class Stages:
    """The stages of a command, one bar each, and how long they took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Tick]:
        """Time one stage; yields tick(done, total)."""
        from tqdm import tqdm

        start = time.perf_counter()
        with tqdm(desc=name, total=1, disable=None, unit="step", leave=True) as bar:  # None: quiet without a terminal

            def tick(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield tick
            bar.update(bar.total - bar.n)
        self.seconds[name] = time.perf_counter() - start


def optional_bar(name: str) -> AbstractContextManager[Tick]:
    """One bar, for a command that also runs without tqdm; yields tick(done, total)."""
    return Stages().stage(name) if importable("tqdm") else nullcontext(lambda done, total: None)
