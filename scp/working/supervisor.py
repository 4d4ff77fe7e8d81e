"""The worker's process from outside: started, watched, restarted.

TensorFlow and the decoders live in that process alone. If it dies, its job returns to the queue and it is
started again; a job that has killed it twice is parked. `scp.working.messages` is what the two sides say.
"""

from __future__ import annotations

import gc
import os
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import structlog

from scp import retry_policy
from scp.configuration.settings import Settings
from scp.process.child import Child, received
from scp.working import messages
from scp.working.worker import INTERRUPTED_ANALYSIS
from storage import machines
from storage.database.engine import Database
from storage.errors import StorageError
from storage.queue import jobs

log = structlog.get_logger(__name__)


class Supervisor:
    """Owns one worker's process. `start`, `wake` when there is work, `stop` in the end."""

    def __init__(
        self,
        *,
        number: int,
        settings: Settings,
        database: Database,
        loaded: Callable[[], None],
        finished: Callable[[], None],
        now: Callable[[], datetime],
        machine: str = "",
    ) -> None:
        """Call ``loaded`` when the worker is ready for jobs, ``finished`` when one has ended."""
        self._number = number
        self._settings = settings
        self._database = database
        self._loaded = loaded
        self._finished = finished
        self._now = now
        self._machine = machine
        self._child = Child(
            f"worker-{number}",
            stop_message=messages.STOP,
            wait=retry_policy.WORKER_START.wait,
            stable_seconds=retry_policy.STABLE_SECONDS,
        )
        self._wake_lock = threading.Lock()
        self._wake_pending = False
        self._job_under_way = False
        """Written by the thread that listens to the worker, read by others."""
        self.ready = threading.Event()
        """Set while there is a worker that has loaded its network."""
        self.workers_died = 0
        """How many have ended before they were told to: files of their jobs may be left that no row names."""

    @property
    def busy(self) -> bool:
        """Whether the worker has a job under way."""
        return self._job_under_way

    def start(self) -> None:
        """Start the worker and keep one alive until `stop`."""
        self._child.start(self._live)

    def wake(self) -> None:
        """Tell the worker that there is work, unless it has not yet answered the last wake-up."""
        with self._wake_lock:
            if not self._wake_pending:
                self._wake_pending = self._child.send(messages.WAKE)

    def follow(self) -> None:
        """Tell the worker that the settings have changed; one that starts later has them from the start."""
        self._child.send(messages.SETTINGS + self._settings.model_dump_json().encode())

    def stop(self, seconds: float) -> bool:
        """Let the job under way end for at most ``seconds``, then end the process; tell if no job was cut.

        A job that is cut off goes back to the queue, without blame. A worker that loads its network is ended
        at once: it has claimed nothing yet, and would hear of the end only after the start.
        """
        at_once = not self.ready.is_set()
        return self._child.stop(seconds, unheard=at_once) or not self._job_under_way

    def _live(self) -> int | None:
        """Run one worker to its end, and see to the job that it had; return its exit code."""
        owner = machines.owner(self._machine, f"worker-{uuid.uuid4().hex}")
        snapshot = self._settings.model_copy()
        code = self._child.run(_begin, (snapshot, self._number, owner), listen=partial(self._watch, snapshot))
        self.ready.clear()
        with self._wake_lock:
            self._wake_pending = False
        died = not self._child.stopping.is_set()
        self.workers_died += died
        self._release_job(owner, died=died)
        return code

    def _watch(self, snapshot: Settings, pipe: Connection, process: BaseProcess) -> None:
        """Handle the messages of the worker until it is gone; kill it when a job exceeds its time."""
        if snapshot != self._settings:  # they have changed while it was started
            self.follow()
        limit = self._settings.worker.job_timeout_seconds
        deadline: float | None = None
        while True:
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait([pipe], remaining):
                log.error("job exceeded its time, its worker is ended", limit_seconds=limit)
                process.kill()
                return
            if (message := received(pipe)) is None:
                return
            self._job_under_way = message == messages.BEGIN
            deadline = time.monotonic() + limit if self._job_under_way else None
            self._handle(message)

    def _handle(self, message: bytes) -> None:
        if message == messages.AWAKE:
            with self._wake_lock:
                self._wake_pending = False
        elif message == messages.READY:
            log.info("worker ready", worker=self._number)
            self.ready.set()
            self._loaded()
        elif message == messages.FINISHED:
            self._finished()

    def _release_job(self, owner: str, *, died: bool) -> None:
        """Return the dead worker's job to the queue, or park it if it has killed two."""
        while True:
            try:
                with self._database.write() as tx:
                    parked = jobs.release_owner(
                        tx, owner, now=self._now(), died=died, epitaph=INTERRUPTED_ANALYSIS
                    )
            except StorageError as error:
                log.warning("leases of a dead worker cannot be returned yet", reason=str(error))
                if self._child.stopping.wait(1.0):
                    return  # the next start releases them
                continue
            for job in parked:
                log.error("job parked: it has ended its worker twice", job=job.id, study=job.study_uid)
            if parked:
                self._finished()
            return


def _begin(settings: Settings, number: int, owner: str, pipe: Connection) -> None:
    """Run the worker. Imported in its own process alone: the listener does without TensorFlow."""
    gc.disable()  # until all is loaded, which stays
    # read when numpy is loaded. Threads of OpenBLAS wait for more work by computing: that would be 0.2 s an
    # image, for products that take milliseconds. The bits are the same.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from scp.working import process  # noqa: PLC0415

    process.main(settings, number, owner, pipe)
    os._exit(0)  # all is given back; taking TensorFlow apart would take seconds, and nobody needs it
