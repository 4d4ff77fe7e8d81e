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
MOST_FILES: Final = 200
"""That are looked at. With more, which interrupted receptions have left, a file shows by coming and going."""


class Reception:
    """Tells whether images come in now, by the folder that they are written to. Lives in one event loop.

    So it knows of every way in (C-STORE, STOW-RS, ``fetch``), and nobody who receives has to say anything.
    One is enough for all that rest: it looks in a thread, one look at a time, which a disk may hold up.
    """

    def __init__(self, data_dir: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._traces: tuple[int, int, int] | None = None
        self._last_look = self._changed = float("-inf")
        self._look: asyncio.Task[None] | None = None

    async def goes_on(self) -> bool:
        """Return whether the folder has changed since the last look, or shortly before.

        After a while without a question what lies there is taken for old. A look that takes longer than
        `LOOK_SECONDS` is not waited for; its answer comes with a later question.
        """
        if self._look is None and self._clock() - self._last_look >= LOOK_SECONDS / 2:
            self._look = asyncio.create_task(self._notice())
        if self._look is not None:
            await asyncio.wait([self._look], timeout=LOOK_SECONDS)
        return self._clock() - self._changed < QUIET_SECONDS

    async def _notice(self) -> None:
        recent = self._clock() - self._last_look < QUIET_SECONDS
        try:
            traces = await asyncio.to_thread(self._see)
        finally:
            self._look = None
            self._last_look = self._clock()
        if traces is None:
            return
        if recent and traces != self._traces:
            self._changed = self._last_look
        self._traces = traces

    def _see(self) -> tuple[int, int, int] | None:
        """Return number and size of the files that come in, and when the last came or went; None: unknown."""
        try:
            changed = (self._data_dir / local.INCOMING).stat().st_mtime_ns
            return *local.unfinished(self._data_dir, most_files=MOST_FILES), changed
        except OSError:  # no node has ever received here, or the disk is away: then nothing comes in
            return None


class Rest:
    """Stops one process while images come in, and lets it go on: for a file at most ``most_seconds``.

    Only on Linux: elsewhere a stopped process would outlive a console that was killed
    (`scp.process.parent.die_with_starter`).
    """

    def __init__(self, reception: Reception, *, most_seconds: float) -> None:
        self._reception = reception
        self.most_seconds = most_seconds
        self.going_on = False
        """Whether the process rests now."""
        self._since = 0.0
        """Since when it does, by the monotonic clock."""
        self._earlier_seconds = 0.0

    @property
    def seconds(self) -> float:
        """How long the process has rested since the last file began."""
        return self._earlier_seconds + (time.monotonic() - self._since if self.going_on else 0.0)

    def begin(self) -> None:
        """Count from now on what a new file rests."""
        self._earlier_seconds = 0.0

    @contextlib.asynccontextmanager
    async def watched(self, process: Process) -> AsyncIterator[None]:
        """Let ``process`` rest meanwhile where it has to; it works on afterwards."""
        watching = asyncio.create_task(self._watch(process))
        try:
            yield
        finally:
            watching.cancel()
            self._set(process, rests=False)

    async def _watch(self, process: Process) -> None:
        if sys.platform != "linux":
            return
        try:
            while self.seconds < self.most_seconds:
                self._set(process, rests=await self._reception.goes_on())
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._set(process, rests=False)

    def _set(self, process: Process, *, rests: bool) -> None:
        if rests == self.going_on:
            return
        if self.going_on:
            self._earlier_seconds = self.seconds
        self.going_on, self._since = rests, time.monotonic()
        if process.returncode is None:
            # its own send_signal would reap it where it has just ended, which the event loop does
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGSTOP if rests else signal.SIGCONT)
