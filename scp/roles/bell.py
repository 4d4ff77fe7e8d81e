"""Wakes processes that wait for work, on whichever machine. A call that is lost costs a wait, no more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from storage.database.postgresql.backend import Server
from storage.errors import StorageError

log = structlog.get_logger(__name__)

JOBS: Final = "secondread_jobs"
"""Channel: there are jobs to claim."""
DELIVERIES: Final = "secondread_deliveries"
"""Channel: something is owed to somebody."""
AGAIN_SECONDS: Final = 1.0
"""Between two tries to listen, while the database cannot be reached."""


class Bell:
    """Owns the threads that call and listen. `start`, and `stop` in the end."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._called: set[str] = set()
        self._calls = threading.Condition()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, handlers: Mapping[str, Callable[[], None]]) -> None:
        """Call what was heard of a channel, from now on; once at the beginning and after each silence."""
        tasks: list[Callable[[], None]] = [self._ring]
        if handlers:
            tasks.append(lambda: self._listen(handlers))
        self._threads = [threading.Thread(target=task, name="bell", daemon=True) for task in tasks]
        for thread in self._threads:
            thread.start()

    def ring(self, channel: str) -> None:
        """Wake who listens to ``channel``, soon; does not wait, calls that come together are one."""
        with self._calls:
            self._called.add(channel)
            self._calls.notify()

    def stop(self) -> None:
        """End; what was called is called."""
        self._stopping.set()
        with self._calls:
            self._calls.notify()
        for thread in self._threads:
            thread.join()

    def _ring(self) -> None:
        while True:
            with self._calls:
                while not self._called and not self._stopping.is_set():
                    self._calls.wait()
                channels, self._called = self._called, set()
            for channel in channels:
                try:
                    self._server.notify(channel)
                except StorageError as error:
                    log.debug("nobody is woken, all look by themselves", reason=str(error))
            if not channels and self._stopping.is_set():
                return

    def _listen(self, handlers: Mapping[str, Callable[[], None]]) -> None:
        while not self._stopping.is_set():
            try:
                self._server.listen(tuple(handlers), lambda channel: handlers[channel](), self._stopping)
            except StorageError as error:
                log.warning("wake-ups are not heard now, the work goes on more slowly", reason=str(error))
                self._stopping.wait(AGAIN_SECONDS)
