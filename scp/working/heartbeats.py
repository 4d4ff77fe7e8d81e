"""Extends the leases of the jobs under way, all in one thread, which is there before the first of them.

A thread needs memory to start (8 MB of stack): where a job has left none, none could start for the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import structlog

from storage.database.engine import Database
from storage.errors import LeaseLost, StorageError
from storage.queue import jobs
from storage.records import Lease

log = structlog.get_logger(__name__)


class Heartbeats:
    """As a context: extends the leases that it is to ``hold``, each four times before it would run out."""

    def __init__(self, *, database: Database, lease: timedelta, now: Callable[[], datetime]) -> None:
        """Let a claim stand for ``lease`` without a heartbeat."""
        self.lease = lease
        self._database = database
        self._now = now
        self._held: set[Lease] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End once the beat under way is written."""
        self._stop.set()
        self._thread.join()

    def hold(self, leases: Iterable[Lease]) -> None:
        """Extend ``leases`` too, until `drop`; one that is lost is found out when its job commits."""
        with self._lock:
            self._held.update(leases)

    def drop(self) -> None:
        """Extend none any more."""
        with self._lock:
            self._held.clear()

    def _run(self) -> None:
        while not self._stop.wait(self.lease.total_seconds() / 4):
            with suppress(MemoryError):  # a job has taken all; it ends, or has less at the next beat
                self._beat()

    def _beat(self) -> None:
        with self._lock:
            held = sorted(self._held, key=lambda lease: lease.job_id)
        for lease in held:
            try:
                with self._database.write_beside_others() as tx:
                    jobs.heartbeat(tx, lease, now=self._now(), duration=self.lease)
            except LeaseLost:  # the job has just ended, or its commit finds out that it was taken over
                with self._lock:
                    self._held.discard(lease)
            except StorageError as error:
                log.warning("heartbeat failed", job=lease.job_id, reason=str(error))
