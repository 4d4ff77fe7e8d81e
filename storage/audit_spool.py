"""Messages of the audit trail that wait to be sent: one file each, the oldest first, of several processes.

A message is whole or not there: written beside, synced, renamed, its folder synced before `AuditSpool.add`
returns. So it outlives a kill and a power cut. Threads that add at the same time share the folder's sync.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage import privacy

AUDIT: Final = "audit"
"""The folder of the data directory. What is in it holds Patient IDs."""
_LOST: Final = "lost"
"""The file with one byte for each message that found no room: any process can add one."""
_SUFFIX: Final = ".syslog"
_UNFINISHED: Final = ".part"
_STALE_SECONDS: Final = 3600.0
"""Nobody writes one message for so long."""
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
        self._word = f"{os.getpid()}-{secrets.token_hex(4)}"
        """Nobody else has it: machines that share the folder have the same process ids."""
        self._numbers = itertools.count()
        self._renamed = itertools.count()
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._synced = -1
        self._waiting = 0
        self._counted = float("-inf")
        self._uncounted = 0

    def add(self, message: bytes) -> bool:
        """Keep ``message`` durably; tell whether there was room. Raises OSError: the disk cannot be written.

        One that is lost is counted, as soon as the disk takes the count.
        """
        with self._lock:
            there_was_room = self._has_room()
        try:
            if there_was_room:
                self._write(message)
        except OSError:
            with self._lock:
                self._uncounted += 1
            raise
        with self._lock:
            self._uncounted += not there_was_room
            if self._uncounted:
                with (self._folder / _LOST).open("ab") as lost:
                    lost.write(b"." * self._uncounted)
                self._uncounted = 0
        return there_was_room

    def _write(self, message: bytes) -> None:
        name = f"{time.time_ns():020d}-{self._word}-{next(self._numbers)}"
        unfinished = self._folder / f"{name}{_UNFINISHED}"
        try:
            with unfinished.open("wb") as file:
                file.write(message)
                file.flush()
                os.fsync(file.fileno())
            finished = unfinished.rename(self._folder / f"{name}{_SUFFIX}")
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        try:
            self._sync_folder()
        except OSError:
            try:
                finished.unlink()  # it counts as lost, so it is not sent
            except FileNotFoundError:
                return  # it was sent meanwhile
            raise

    def _sync_folder(self) -> None:
        """Make names durable. Who comes while that is under way shares the next time with all who wait."""
        renamed = next(self._renamed)
        with self._syncing:
            if self._synced >= renamed:
                return
            until = next(self._renamed)  # whoever has a smaller number has renamed before
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._synced = until

    def remove_unfinished(self) -> None:
        """Remove what a kill has left unfinished: messages that nobody was told are kept."""
        for file in self._folder.glob(f"*{_UNFINISHED}"):
            with suppress(FileNotFoundError):  # another process has just finished it
                if time.time() - file.stat().st_mtime > _STALE_SECONDS:
                    file.unlink()

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
