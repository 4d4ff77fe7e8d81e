"""A process of the node that is kept alive: started, asked over a pipe to end, started again when it dies.

The two sides talk over one pipe, because a process that is killed while it holds the lock of a shared event
or queue would leave the other side waiting for ever.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import reduction
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import structlog

from scp.process import parent

log = structlog.get_logger(__name__)


class Child:
    """Owns one process, whose last argument is its end of the pipe. `start` once, `stop` in the end."""

    def __init__(
        self, name: str, *, stop_message: bytes, wait: Callable[[int], timedelta], stable_seconds: float
    ) -> None:
        """``wait`` says how long to wait after so many deaths in a row (1 is the first).

        The death of one that lived for ``stable_seconds`` is no death of its start, and not counted.
        """
        self._name = name
        self._stop_message = stop_message
        self._wait = wait
        self._stable_seconds = stable_seconds
        self._lock = threading.Lock()
        self._pipe: Connection | None = None
        self._process: BaseProcess | None = None
        self._thread: threading.Thread | None = None
        self._ends_at_once = False
        """Whether a process that is being started now has no time left to end by itself."""
        self.stopping = threading.Event()
        """Set from the beginning of `stop`."""

    def start(self, live: Callable[[], int | None]) -> None:
        """Call ``live`` in a thread, again and again until `stop`: it calls `run`, returns the exit code."""
        self._thread = threading.Thread(target=self._keep_alive, args=(live,), name=self._name, daemon=True)
        self._thread.start()

    def run(
        self,
        begin: Callable[..., None],
        arguments: tuple[object, ...],
        *,
        listen: Callable[[Connection, BaseProcess], None],
    ) -> int | None:
        """Start ``begin`` in a process, ``listen`` until it is gone, and return its exit code.

        None where no process could be started.
        """
        try:
            return self._run(begin, arguments, listen)
        except OSError as error:  # no process, pipe or memory to be had now
            log.warning("process cannot be started now", process=self._name, reason=error.strerror)
            return None

    def send(self, message: bytes, descriptor: int | None = None) -> bool:
        """Send ``message``, and return whether there is a process to hear it.

        Behind it goes ``descriptor``, of an open file, which that process gets by `received_descriptor`. One
        that is gone is noticed by who listens to it.
        """
        with self._lock:
            if self._pipe is None:
                return False
            try:
                self._pipe.send_bytes(message)
                if descriptor is not None:
                    reduction.send_handle(self._pipe, descriptor, 0)
            except OSError:
                log.debug("the process is gone, it gets no message", process=self._name)
                return False
            return True

    def stop(self, seconds: float, *, unheard: bool = False) -> bool:
        """Ask the process to end, end it by force after ``seconds``, and return whether it ended itself.

        One that is ``unheard``, because it does not listen yet, is ended at once.
        """
        self.stopping.set()
        self.send(self._stop_message)
        process = self._process_at_the_end(at_once=unheard)
        if unheard and process is not None:
            process.kill()
        if self._thread is None:
            return True
        self._thread.join(seconds)
        process = self._process_at_the_end(at_once=True)
        if process is None or not process.is_alive():
            return True
        process.kill()
        self._thread.join()
        return False

    def _process_at_the_end(self, *, at_once: bool) -> BaseProcess | None:
        """Return the process; one that is being started now, which takes time, is ended ``at_once`` then."""
        with self._lock:
            self._ends_at_once = at_once
            return self._process

    def _keep_alive(self, live: Callable[[], int | None]) -> None:
        deaths = 0
        while not self.stopping.is_set():
            started = time.monotonic()
            code = live()
            if self.stopping.is_set():
                return
            deaths = 0 if time.monotonic() - started > self._stable_seconds else deaths + 1
            seconds = self._wait(deaths).total_seconds()
            log.error(
                "process died, restarting",
                process=self._name,
                exit_code=code,
                in_seconds=round(seconds, 1),
            )
            self.stopping.wait(seconds)

    def _run(
        self,
        begin: Callable[..., None],
        arguments: tuple[object, ...],
        listen: Callable[[Connection, BaseProcess], None],
    ) -> int | None:
        pipe, far_end = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_begin_named, args=(self._name, begin, *arguments, far_end), name=self._name, daemon=True
        )
        process.start()
        far_end.close()
        with self._lock:
            self._pipe, self._process = pipe, process
            if self._ends_at_once:
                process.kill()
        if self.stopping.is_set():
            self.send(self._stop_message)
        try:
            listen(pipe, process)
            process.join()
        finally:
            with self._lock:
                self._pipe = None
            pipe.close()
        return process.exitcode


def _begin_named(name: str, begin: Callable[..., None], *arguments: object) -> None:
    parent.name_process(name)
    begin(*arguments)


def received_descriptor(pipe: Connection) -> int:
    """Return the descriptor that came behind a message, as one of this process. Raises OSError, EOFError."""
    descriptor: int = reduction.recv_handle(pipe)
    return descriptor


def received(pipe: Connection) -> bytes | None:
    """Return the next message of a process, or None where it is gone."""
    try:
        return pipe.recv_bytes()
    except (EOFError, OSError):
        return None
