"""Tells whether a node is running on a data directory, without disturbing it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

LOCK: Final = "node.lock"
"""The file that a running node holds locked and has written its process id into."""


def node_pid(data_dir: Path) -> int | None:
    """Return the process id of the node that runs on ``data_dir``, or None where none does."""
    try:
        with (data_dir / LOCK).open() as lock:
            pid = _pid(lock.read())
            return pid if pid is not None and _alive(pid) and _held(lock.fileno()) else None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _pid(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _alive(pid: int) -> bool:
    """Asked first: of a node that is gone the lock is not even touched, so that one may start meanwhile."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _held(descriptor: int) -> bool:
    """Process ids are used again; the lock is not."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
