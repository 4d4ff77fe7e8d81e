"""Messages of the audit trail that wait to be sent: one file each, the oldest first, of several processes.

A message is whole or not there: written beside, renamed. It survives the end of the process that wrote it; a
power cut may take those of the last seconds, since receiving is not to wait for their sync.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage import privacy

AUDIT: Final = "audit"
"""The folder of the data directory. What is in it holds Patient IDs."""
_LOST: Final = "lost"
"""The file with one byte for each message that found no room: any process can add one."""
_SUFFIX: Final = ".syslog"
_COUNT_SECONDS: Final = 1.0
"""The folder is counted no more often while messages come in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditQueue:
    """How many messages there are."""

    waiting: int
    """Not taken by the receiver yet."""
    lost: int
    """Found no room, ever."""


class AuditSpool:
    """The folder of waiting messages. Safe for use from many threads and processes."""

    def __init__(self, data_dir: Path, *, most: int) -> None:
        self._folder = data_dir / AUDIT
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        privacy.close(data_dir, (AUDIT,))
        self._most = most
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._waiting = 0
        self._counted = float("-inf")
        self._uncounted = 0

    def add(self, message: bytes) -> bool:
        """Keep ``message``; tell whether there was room. Raises OSError where the disk cannot be written.

        One that is lost is counted, as soon as the disk takes the count.
        """
        with self._lock:
            self._uncounted += 1
            if self._has_room():
                self._write(message)
                self._uncounted -= 1
                there_was_room = True
            else:
                there_was_room = False
            if self._uncounted:
                with (self._folder / _LOST).open("ab") as lost:
                    lost.write(b"." * self._uncounted)
                self._uncounted = 0
        return there_was_room

    def _write(self, message: bytes) -> None:
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers)}"
        unfinished = self._folder / f"{name}.part"
        unfinished.write_bytes(message)
        unfinished.rename(self._folder / f"{name}{_SUFFIX}")

    def oldest(self, number: int) -> list[Path]:
        """Return the files of the ``number`` oldest messages, or of all there are."""
        return [self._folder / name for name in sorted(_messages(self._folder))[:number]]

    @staticmethod
    def remove(files: Iterable[Path]) -> None:
        """Forget messages that were sent."""
        for file in files:
            file.unlink(missing_ok=True)

    def _has_room(self) -> bool:
        if time.monotonic() - self._counted > _COUNT_SECONDS:
            self._waiting, self._counted = len(_messages(self._folder)), time.monotonic()
        self._waiting += 1
        return self._waiting <= self._most


def standing(data_dir: Path) -> AuditQueue:
    """Return how the messages in ``data_dir`` stand."""
    try:
        lost = (data_dir / AUDIT / _LOST).stat().st_size
    except FileNotFoundError:
        lost = 0
    return AuditQueue(waiting=len(_messages(data_dir / AUDIT)), lost=lost)


def _messages(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(_SUFFIX)]  # noqa: PTH208 - names alone
    except FileNotFoundError:
        return []
