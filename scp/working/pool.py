"""The workers of a node: as many as are needed, up to ``[worker] processes``, each with its supervisor.

A loaded network takes memory, and loading it seconds of every core. So the first worker starts with the node,
the next one when work arrives while all that run are busy; it stays until the node ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import structlog

from scp.configuration.settings import Settings
from scp.working.supervisor import Supervisor
from storage.database.engine import Database
from storage.errors import StorageError
from storage.queue import jobs
from storage.states import JobState

log = structlog.get_logger(__name__)


class WorkerPool:
    """Owns the supervisors. `start`, `wake` when there is work, `stop` in the end. Safe for many threads."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        finished: Callable[[], None],
        now: Callable[[], datetime],
        machine: str = "",
    ) -> None:
        """``finished`` is called whenever a job of any worker has ended.

        ``machine`` names this process in leases, where there are others (`storage.machines`).
        """
        self._database = database
        self._supervisors = tuple(
            Supervisor(
                number=number,
                settings=settings,
                database=database,
                loaded=self._share_backlog,
                finished=finished,
                now=now,
                machine=machine,
            )
            for number in range(1, settings.worker.processes + 1)
        )
        self._started = 0
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def workers_died(self) -> int:
        """How many have ended before they were told to: files of their jobs may be left that no row names."""
        return sum(supervisor.workers_died for supervisor in self._running())

    @property
    def obstacles(self) -> list[str]:
        """Why no job is done now: none of them has loaded its network."""
        ready = any(supervisor.ready.is_set() for supervisor in self._running())
        return [] if ready else ["the worker is loading its network"]

    def start(self) -> None:
        """Start the first worker, and keep each that was started alive until `stop`."""
        self._start_next()

    def wake(self) -> None:
        """Tell the workers that there is work; start another where all that run are busy."""
        running = self._running()
        for supervisor in running:
            supervisor.wake()
        if running and all(supervisor.busy for supervisor in running):
            self._start_next()

    def follow(self) -> None:
        """Tell the workers that the settings have changed; one that starts later has them from the start."""
        for supervisor in self._running():
            supervisor.follow()

    def stop(self, seconds: float) -> bool:
        """Let jobs under way end for at most ``seconds``, then end the processes; tell if no job was cut."""
        with self._lock:
            self._stopping = True
        running = self._running()
        with ThreadPoolExecutor(max(1, len(running))) as threads:
            return all(list(threads.map(lambda supervisor: supervisor.stop(seconds), running)))

    def _running(self) -> tuple[Supervisor, ...]:
        return self._supervisors[: self._started]

    def _share_backlog(self) -> None:
        """Start another worker where jobs wait when one is ready: those of before the start wake nobody."""
        try:
            with self._database.read() as tx:
                counts = jobs.counts(tx).values()
        except StorageError as error:
            log.warning("it cannot be seen whether jobs wait for another worker", reason=str(error))
            return
        if any(states[JobState.WAITING] for states in counts):  # those that are not due yet, too
            self._start_next()

    def _start_next(self) -> None:
        with self._lock:
            if self._stopping or self._started == len(self._supervisors):
                return
            self._supervisors[self._started].start()
            self._started += 1
