"""Whether the node ended in order: then its start need not look through all that it has kept.

A mark beside the database names the file as the end has left it. Any other file, an older one put back
above all, has another number or another time of its last change (ctime, which no program can set), so its
start looks at everything.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from storage.database.sqlite.backend import NAME

MARK: Final = "ended-in-order"
"""The mark's name inside the data directory."""


def note(data_dir: Path) -> None:
    """Write the mark, after the database was closed and while nobody else may have it open."""
    if (state := _state(data_dir)) is not None:
        with suppress(OSError):  # a full disk: the next start looks at everything, as after a crash
            (data_dir / MARK).write_text(state)


def take(data_dir: Path) -> bool:
    """Tell whether the database is as the last node has left it in order. The mark is removed."""
    mark = data_dir / MARK
    try:
        words = mark.read_text()
        mark.unlink()
    except FileNotFoundError:
        return False
    return words == _state(data_dir)


def _state(data_dir: Path) -> str | None:
    """Return what tells the file from all others; None where there is none, or its log is left to be read."""
    file = data_dir / NAME
    if not file.exists() or file.with_name(f"{NAME}-wal").exists():
        return None
    status = file.stat()
    return f"{status.st_dev} {status.st_ino} {status.st_ctime_ns} {status.st_size}"
