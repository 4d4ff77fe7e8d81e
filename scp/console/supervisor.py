"""The console's process from outside: started with the node, started again when it dies, stopped with it."""

from __future__ import annotations

import multiprocessing
import threading
import time
from multiprocessing.connection import Connection

import structlog

from scp import retry_policy
from scp.configuration.settings import Settings
from scp.console.messages import LISTENING, REFUSED, SETTINGS, STOP

log = structlog.get_logger(__name__)


class ConsoleSupervisor:
    """Owns the console's process. `start`, and `stop` in the end; it never stops the node."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._pipe: Connection | None = None
        self._process: multiprocessing.process.BaseProcess | None = None
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)

    def start(self) -> None:
        """Start the console, if the configuration wants it, and keep one alive until `stop`."""
        if self._settings.console.enabled:
            self._thread.start()

    def follow(self) -> None:
        """Tell the console that the settings have changed; one that starts later has them from the start."""
        with self._lock:
            if self._pipe is not None:
                _send(self._pipe, SETTINGS + self._settings.model_dump_json().encode())

    def stop(self, seconds: float) -> None:
        """End the console within ``seconds``: an upload under way is lost, nothing else is."""
        self._stopping.set()
        if not self._thread.is_alive():
            return
        with self._lock:
            if self._pipe is not None:
                _send(self._pipe, STOP)
        self._thread.join(seconds)
        if self._process is not None and self._process.is_alive():
            self._process.kill()
            self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._run_console()
            except OSError as error:  # no process, pipe or memory to be had now
                log.warning("the console cannot be started now", reason=error.strerror)
            if self._stopping.is_set():
                return
            stable = time.monotonic() - started > retry_policy.STABLE_WORKER_SECONDS
            failures = 0 if stable else failures + 1
            pause = retry_policy.CONSOLE_START.wait(failures).total_seconds()
            log.warning("console ended, it is started again", in_seconds=round(pause, 1))
            self._stopping.wait(pause)

    def _run_console(self) -> None:
        """Start a console and listen to it until it has ended."""
        pipe, console_pipe = multiprocessing.Pipe()
        snapshot = self._settings.model_copy()
        process = multiprocessing.get_context("spawn").Process(
            target=_begin, args=(snapshot, console_pipe), name="console", daemon=True
        )
        process.start()
        console_pipe.close()
        with self._lock:
            self._pipe, self._process = pipe, process
        if snapshot != self._settings:  # they have changed meanwhile
            self.follow()
        if self._stopping.is_set():
            _send(pipe, STOP)
        while (message := _received(pipe)) is not None:
            if message.startswith(LISTENING):
                log.info("console listening", address=message.removeprefix(LISTENING).decode())
            elif message.startswith(REFUSED):
                log.error("console cannot run", reason=message.removeprefix(REFUSED).decode())
        process.join()
        with self._lock:
            self._pipe = None
        pipe.close()


def _send(pipe: Connection, message: bytes) -> None:
    try:
        pipe.send_bytes(message)
    except OSError:
        log.debug("the console is gone, it gets no message")


def _received(pipe: Connection) -> bytes | None:
    """Return the next message, or None where the console is gone."""
    try:
        return pipe.recv_bytes()
    except (EOFError, OSError):
        return None


def _begin(settings: Settings, pipe: Connection) -> None:
    """Run the console. Imported in its own process alone: the node does without a web server."""
    from scp.console import process  # noqa: PLC0415

    process.main(settings, pipe)
