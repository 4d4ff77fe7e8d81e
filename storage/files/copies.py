"""Copies on the disk of this machine, of files whose place is elsewhere: those used last, as many as may be.

A copy is whole or not there, after a power cut too. One that was used within `IN_USE_SECONDS` stays, however
many there are, or within `IN_NEED_SECONDS` where the disk is nearly full; one that nobody has used for
`UNUSED_SECONDS` goes, since its file may have been removed by another machine.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from storage.database.sqlite.creation import synced
from storage.files import local

log = structlog.get_logger(__name__)

COPIES: Final = "copies"
"""Folder of the data directory."""
IN_USE_SECONDS: Final = 600.0
"""Nobody reads a file for longer after it was asked for."""
IN_NEED_SECONDS: Final = 120.0
"""Hardly anybody does; who does is told that it is gone, and tries again."""
UNUSED_SECONDS: Final = 86_400.0
LOOK_SECONDS: Final = 3600.0
DISK_SECONDS: Final = 20.0
"""How often the room left on the disk is looked at."""
SHARE: Final = 0.9
"""Down to this share of the room copies go, so that not every new one needs a look at all."""
_UNFINISHED: Final = ".part"


class LocalCopies:
    """The copies in ``folder``, of at most ``most_bytes``, fewer where less than ``free_bytes`` are left.

    Safe for use from many threads and processes.
    """

    def __init__(self, folder: Path, *, most_bytes: int, free_bytes: int = 0) -> None:
        self._folder = folder
        self._most = most_bytes
        self._free = free_bytes
        self._lock = threading.Lock()
        self._added = 0
        """Bytes since the last look at all."""

    def look_after(self) -> None:
        """Remove every hour what is unused, and what the disk has no room for at once, in a thread."""
        threading.Thread(target=self._look, name="copies", daemon=True).start()

    def find(self, name: str) -> Path | None:
        """Return the copy of the file ``name``, which is in use now; None where there is none."""
        path = self._folder / name
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def add(self, name: str, write: Callable[[Path], object]) -> Path:
        """Make the copy of ``name`` of what ``write`` writes into a new file. Raises OSError."""
        target = self._folder / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, text = tempfile.mkstemp(dir=target.parent, suffix=_UNFINISHED)
        os.close(descriptor)
        unfinished = Path(text)
        try:
            write(unfinished)
            synced(unfinished)  # else a power cut may leave its name with less than its content
            size = unfinished.stat().st_size
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        self._count(size)
        return target

    def remove(self, name: str) -> None:
        """Remove the copy of ``name``, if there is one."""
        (self._folder / name).unlink(missing_ok=True)

    def evict(self) -> None:
        """Remove what is unused for long, and what there is no room for, the longest unused first."""
        now, shortage = time.time(), self.shortage()
        in_use = IN_NEED_SECONDS if shortage > 0 else IN_USE_SECONDS
        copies: list[tuple[float, int, Path]] = []
        for place, _, names in os.walk(self._folder):
            for name in names:
                with suppress(FileNotFoundError):  # another process looks, too
                    path = Path(place, name)
                    status = path.stat()
                    copies.append((status.st_mtime, status.st_size, path))
        size = sum(length for _, length, _ in copies)
        room = self._most * SHARE if size > self._most else self._most
        room = min(room, size - shortage)
        for used, length, path in sorted(copies):
            if now - used <= UNUSED_SECONDS and (size <= room or now - used <= in_use):
                break
            with suppress(FileNotFoundError):
                if path.stat().st_mtime == used:  # nobody has asked for it meanwhile
                    path.unlink()
                    size -= length

    def shortage(self) -> int:
        """Return how many bytes must come free on the disk; 0 or less where none must."""
        return self._free - local.free_bytes(self._folder) if self._free else 0

    def _count(self, size: int) -> None:
        """Look at all copies where many have come since the last look."""
        with self._lock:
            self._added += size
            due = self._added > self._most * (1 - SHARE)
            if due:
                self._added = 0
        if due:
            self.evict()

    def _look(self) -> None:
        looked: float | None = None
        while True:
            try:
                now = time.monotonic()
                if looked is None or now - looked >= LOOK_SECONDS or self.shortage() > 0:
                    looked = now
                    self.evict()
            except OSError as error:
                log.warning("copies of files cannot be removed", reason=str(error))
            time.sleep(DISK_SECONDS)
