"""Several things at a time within one process: for libraries that let go of the interpreter's lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """Return how many processors this process may compute on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Team:
    """Threads that are there from the start: later, where a job has taken all memory, none could start."""

    def __init__(self, size: int) -> None:
        """Start ``size`` threads. Raises RuntimeError where so many cannot be started; then none stays."""
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="team")
        assembled = threading.Barrier(size)
        try:
            wait([self._pool.submit(assembled.wait) for _ in range(size)])  # each needs a thread of its own
        except BaseException:
            assembled.abort()  # those that have started would wait for the rest for ever
            self._pool.shutdown()
            raise

    def distribute(self, work: Callable[[Item], Result], items: Iterable[Item], /) -> list[Result]:
        """Do ``work`` for each of ``items``; return what came of them in their order.

        Raises the error of the first item that has one, when all have ended: none goes on later.
        """
        futures = [self._pool.submit(work, item) for item in items]
        wait(futures)
        return [future.result() for future in futures]
