"""Signals: what ends a node, lets it start again, or read its configuration again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from scp.configuration.settings import Settings
from scp.process import parent
from scp.reload import Reloader
from storage.errors import StorageError

log = structlog.get_logger(__name__)

SIGNAL_SECONDS: Final = 1.0
"""How often the main thread wakes by itself.

Python runs the handler of a signal in the main thread only (library reference, "signal"). A signal that comes
just before this thread sleeps, or that another thread takes, does not wake it.
"""


class End(threading.Event):
    """Set when the node is to end; ``again`` where a new one is to take its place."""

    again = False
    fault: StorageError | None = None
    """Why it must end although nobody has asked for it."""

    def fail(self, fault: StorageError) -> None:
        """End the node because of ``fault``."""
        self.fault = fault
        self.set()


def wait(stop: threading.Event) -> None:
    """Wait for ``stop``; let the handler of every signal run meanwhile, whichever thread took the signal."""
    while not stop.wait(SIGNAL_SECONDS):
        pass


def tell_end(stop: End, reloader: Reloader | None) -> None:
    """Tell who has started this process that it ends, and read no configuration any more."""
    parent.notify(parent.reloading("starting again") if stop.again else parent.STOPPING)
    if reloader is not None:
        reloader.stop()


def stop_on_signals() -> End:
    """Return what SIGTERM and SIGINT set; SIGUSR1 sets it with ``again``."""
    stop = End()

    def start_again(*_: object) -> None:
        stop.again = True
        stop.set()

    def end(*_: object) -> None:
        stop.again = False  # who wants the end has the last word
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGUSR1, start_again)
    signal.signal(signal.SIGHUP, lambda *_: log.warning("SIGHUP ignored: the node is starting"))
    return stop


def reload_on_signal(
    settings: Settings, path: Path | None, followers: Sequence[Callable[[], object]]
) -> Reloader | None:
    """Read the configuration again at each SIGHUP from now on; not in a test, which has no file."""
    if path is None:
        return None
    reloader = Reloader(settings, path, followers)
    reloader.start()
    signal.signal(signal.SIGHUP, lambda *_: reloader.request())
    return reloader
