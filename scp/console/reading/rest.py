"""When a process that reads uploads rests: while peers send images, for a bounded time of each file.

At the lowest priority it takes only processor time that nobody wants, but also caches and memory bandwidth,
and receiving was 15 % slower beside it (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from storage.files import local

LOOK_SECONDS: Final = 0.1
QUIET_SECONDS: Final = 1.0
"""After so long without a trace of it nothing is received: between two images of a study less passes."""


class Reception:
    """Tells whether images come in now, by the folder that they are written to.

    So it knows of every way in (C-STORE, STOW-RS, ``fetch``), and nobody who receives has to say anything.
    """

    def __init__(self, data_dir: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what lies in the folder now for old."""
        self._data_dir = data_dir
        self._clock = clock
        self._traces = self._look()
        self._changed = float("-inf")

    def goes_on(self) -> bool:
        """Return whether the folder has changed since the last look, or shortly before."""
        traces = self._look()
        if traces != self._traces:
            self._traces, self._changed = traces, self._clock()
        return self._clock() - self._changed < QUIET_SECONDS

    def _look(self) -> tuple[int, int, int]:
        """Return number and size of the files that come in, and when the last came or went."""
        try:
            changed = (self._data_dir / local.INCOMING).stat().st_mtime_ns
        except OSError:  # no node has ever received here, or the disk is away
            changed = 0
        return *local.unfinished(self._data_dir), changed


class Rest:
    """Stops one process while images come in, and lets it go on: for a file at most ``most_seconds``.

    Only on Linux: elsewhere a stopped process would outlive a console that was killed
    (`scp.process.parent.die_with_starter`).
    """

    def __init__(self, data_dir: Path, *, most_seconds: float) -> None:
        self._data_dir = data_dir
        self.most_seconds = most_seconds
        self.seconds = 0.0
        """How long the process has rested since the last file began."""
        self.going_on = False
        """Whether the process rests now."""

    @contextlib.asynccontextmanager
    async def watched(self, process: Process) -> AsyncIterator[None]:
        """Let ``process`` rest meanwhile where it has to; it works on afterwards."""
        self.seconds = 0.0
        watching = asyncio.create_task(self._watch(process))
        try:
            yield
        finally:
            watching.cancel()
            self._set(process, rests=False)

    async def _watch(self, process: Process) -> None:
        if sys.platform != "linux":
            return
        reception = Reception(self._data_dir)
        while self.seconds < self.most_seconds:
            self._set(process, rests=reception.goes_on())
            await asyncio.sleep(LOOK_SECONDS)
            if self.going_on:
                self.seconds += LOOK_SECONDS
        self._set(process, rests=False)

    def _set(self, process: Process, *, rests: bool) -> None:
        if rests == self.going_on:
            return
        self.going_on = rests
        if process.returncode is None:
            # its own send_signal would reap it where it has just ended, which the event loop does
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGSTOP if rests else signal.SIGCONT)
