"""A process that reads uploaded files, from outside: asked one thing at a time, killed when it hangs.

What strangers upload is decoded there and nowhere else: a file that ends the process ends nothing but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from scp.configuration.settings import Settings
from scp.console.reading.rest import Reception, Rest

log = structlog.get_logger(__name__)

PREVIEW: Final = "preview"
"""To make a small picture of a file."""
ANALYSE: Final = "analyse"
"""To let the network read it."""
IDLE_SECONDS: Final = 300.0
"""A reader without work ends after so long: its network takes memory."""
START_SECONDS: Final = 120.0
"""How long the network may take to load, besides a file's own time."""
LINE_LIMIT: Final = 1_000_000
"""Bytes of an answer."""
HOME: Final = Path(__file__).resolve().parents[3]


class ReaderError(Exception):
    """A file could not be read; the message says why, in words for its owner."""


class Reader:
    """Asks one process, which is started when it is needed."""

    def __init__(self, settings: Settings, reception: Reception, *, most_rest: float) -> None:
        """Let the process rest for ``most_rest`` seconds of each question while images are received."""
        self._settings = settings
        self._rest = Rest(reception, most_seconds=most_rest)
        self._began = 0.0
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self.waiting = 0
        """Questions that are asked and not answered."""
        self.expected_seconds = 6.0
        """How long the last answer took, without rest: what the next one may be expected to take."""

    @property
    def rests(self) -> bool:
        """Whether the process rests now, since images are received."""
        return self._rest.going_on

    @property
    def worked_seconds(self) -> float:
        """How long the process has worked for the question that came last."""
        return max(0.0, time.monotonic() - self._began - self._rest.seconds)

    async def ask(
        self, question: Mapping[str, str], *, began: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        """Return the answer to ``question``; call ``began`` when its turn has come.

        Raises ReaderError where there is no answer.
        """
        self.waiting += 1
        try:
            async with self._lock:
                self._began = time.monotonic()
                self._rest.begin()
                began()
                answer = await self._answer(question)
                self.expected_seconds = self.worked_seconds
        finally:
            self.waiting -= 1
        if (problem := answer.get("problem")) is not None:
            raise ReaderError(str(problem))
        return answer

    async def stop(self) -> None:
        """End the process, if there is one."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _answer(self, question: Mapping[str, str]) -> dict[str, Any]:
        if self._idle is not None:
            self._idle.cancel()
        fresh = self._process is None or self._process.returncode is not None
        limit = self._settings.worker.job_timeout_seconds + self._rest.most_seconds
        if fresh:
            limit += START_SECONDS
        try:
            async with asyncio.timeout(limit):
                process = await self._started() if fresh else self._process
                assert process is not None  # noqa: S101 - it was started, or is not fresh
                assert process.stdin is not None  # noqa: S101 - both are pipes
                assert process.stdout is not None  # noqa: S101 - the same
                process.stdin.write(json.dumps(question).encode() + b"\n")
                await process.stdin.drain()
                async with self._rest.watched(process):
                    line = await process.stdout.readline()
        except TimeoutError:
            await self.stop()
            raise ReaderError("reading it took too long and was ended") from None
        except OSError:
            line = b""
        except asyncio.CancelledError:
            await self.stop()  # the answer to a question that nobody waits for must not be another's
            raise
        if not line:
            await self.stop()
            log.warning("a reader of uploads has ended while it read a file")
            raise ReaderError("the program that reads files has ended while it read this one")
        self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end_idle)
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _started(self) -> asyncio.subprocess.Process:
        paths = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "scp.console.reading.process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101 - the same
        self._process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
        await self._process.stdout.readline()  # from now on it ends with this process, also while it rests
        return self._process

    def _end_idle(self) -> None:
        """Let the process end: it does at the end of its input."""
        if self._process is not None and self._process.stdin is not None and not self._lock.locked():
            self._process.stdin.close()
            self._process = None
