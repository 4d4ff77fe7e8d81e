"""The worker's process from outside: started, watched, restarted.

TensorFlow and the decoders live in that process alone. If it dies, its job returns to the queue and it is
started again; a job that has killed it twice is parked. The two sides talk over one pipe
(`scp.working.messages`), because a process that is killed while it holds the lock of a shared event or queue
would leave the other side waiting for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from multiprocessing.connection import Connection, wait

import structlog

from scp import retry_policy
from scp.configuration.settings import Settings
from scp.working import messages
from scp.working.worker import INTERRUPTED_ANALYSIS
from storage.database.engine import Database
from storage.errors import StorageError
from storage.queue import jobs

log = structlog.get_logger(__name__)


class Supervisor:
    """Owns the worker's process. `start`, `wake` when there is work, `stop` in the end."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        finished: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._database = database
        self._finished = finished
        self._now = now
        self._stopping = threading.Event()
        self._pipe_lock = threading.Lock()
        self._pipe: Connection | None = None
        self._wake_pending = False
        self._job_under_way = False
        self._process: multiprocessing.process.BaseProcess | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.ready = threading.Event()
        """Set while there is a worker that has loaded its network."""

    def start(self) -> None:
        """Start the worker and keep one alive until `stop`."""
        self._thread.start()

    def wake(self) -> None:
        """Tell the worker that there is work, unless it has not yet answered the last wake-up."""
        with self._pipe_lock:
            if self._pipe is None or self._wake_pending:
                return
            self._wake_pending = True
            self._send(messages.WAKE)

    def follow(self) -> None:
        """Tell the worker that the settings have changed; one that starts later has them from the start."""
        with self._pipe_lock:
            self._send(messages.SETTINGS + self._settings.model_dump_json().encode())

    def stop(self, seconds: float) -> bool:
        """Let the job under way end for at most ``seconds``, then end the process; tell if no job was cut.

        A job that is cut off goes back to the queue, without blame.
        """
        self._stopping.set()
        with self._pipe_lock:
            self._send(messages.STOP)
            loading = not self.ready.is_set()
        process = self._process
        if loading and process is not None:
            process.kill()  # it has claimed nothing yet, and would hear of the end only after the start
        self._thread.join(seconds)
        if process is None or not process.is_alive():
            return True
        job_is_cut_off = self._job_under_way
        process.kill()
        self._thread.join()
        return not job_is_cut_off

    def _send(self, message: bytes) -> None:
        """Send ``message`` to the worker. The thread notices by itself when the worker is gone."""
        if self._pipe is None:
            return
        try:
            self._pipe.send_bytes(message)
        except (BrokenPipeError, OSError):
            log.debug("the worker is gone, it gets no message")

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            owner = f"worker-{uuid.uuid4().hex}"
            started = time.monotonic()
            try:
                code = self._run_worker(owner)
            except OSError as error:  # no process, pipe or memory to be had now
                log.warning("no worker can be started now", reason=error.strerror)
                code = None
            self.ready.clear()
            self._release_job(owner, died=not self._stopping.is_set())
            if self._stopping.is_set():
                return
            stable = time.monotonic() - started > retry_policy.STABLE_WORKER_SECONDS
            failures = 0 if stable else failures + 1
            pause = retry_policy.WORKER_START.wait(failures)
            log.error("worker died, restarting", exit_code=code, in_seconds=round(pause.total_seconds(), 1))
            self._stopping.wait(pause.total_seconds())

    def _run_worker(self, owner: str) -> int | None:
        """Start a worker and watch it until it has ended; return its exit code."""
        pipe, worker_pipe = multiprocessing.Pipe()
        snapshot = self._settings.model_copy()
        process = multiprocessing.get_context("spawn").Process(
            target=_begin, args=(snapshot, owner, worker_pipe), name=owner, daemon=True
        )
        process.start()
        worker_pipe.close()
        with self._pipe_lock:
            self._pipe, self._process, self._wake_pending = pipe, process, False
            self.ready.clear()
        if snapshot != self._settings:  # they have changed meanwhile
            self.follow()
        if self._stopping.is_set():
            self._send(messages.STOP)
        self._watch(pipe, process)
        process.join()
        with self._pipe_lock:
            self._pipe = None
        pipe.close()
        return process.exitcode

    def _watch(self, pipe: Connection, process: multiprocessing.process.BaseProcess) -> None:
        """Handle the messages of the worker until it is gone; kill it when a job exceeds its time."""
        limit = self._settings.worker.job_timeout_seconds
        deadline: float | None = None
        while True:
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait([pipe], remaining):
                log.error("job exceeded its time, its worker is ended", limit_seconds=limit)
                process.kill()
                return
            try:
                message = pipe.recv_bytes()
            except (EOFError, OSError):
                return
            self._job_under_way = message == messages.BEGIN
            deadline = time.monotonic() + limit if self._job_under_way else None
            self._handle(message)

    def _handle(self, message: bytes) -> None:
        if message == messages.AWAKE:
            with self._pipe_lock:
                self._wake_pending = False
        elif message == messages.READY:
            log.info("worker ready")
            self.ready.set()
        elif message == messages.DONE:
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
                if self._stopping.wait(1.0):
                    return  # the next start releases them
                continue
            for job in parked:
                log.error("job parked: it has ended its worker twice", job=job.id, study=job.study_uid)
            if parked:
                self._finished()
            return


def _begin(settings: Settings, owner: str, pipe: Connection) -> None:
    """Run the worker. Imported in its own process alone: the listener does without TensorFlow."""
    from scp.working import process  # noqa: PLC0415

    process.main(settings, owner, pipe)
    os._exit(0)  # all is given back; taking TensorFlow apart would take seconds, and nobody needs it
