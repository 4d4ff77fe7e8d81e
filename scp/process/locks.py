"""Tells whether a node and its worker are running on a data directory, without disturbing them.

Each holds a file locked: the machine lets go of it however they end.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

LOCK: Final = "node.lock"
"""The file that a running node holds locked and has written its process id into."""

WORKER_LOCK: Final = "worker.lock"
"""The same of a worker that has loaded its network."""


def node_pid(data_dir: Path) -> int | None:
    """Return the process id of the node that runs on ``data_dir``, or None where none does."""
    return _holder(data_dir / LOCK)


def worker_pid(data_dir: Path) -> int | None:
    """Return the process id of the worker that does the jobs of ``data_dir``, None where none is ready."""
    return _holder(data_dir / WORKER_LOCK)


@contextmanager
def working(data_dir: Path) -> Iterator[None]:
    """Let everybody see that this process does the jobs of ``data_dir``."""
    with (data_dir / WORKER_LOCK).open("a+") as lock:
        # A worker of a killed node may need a moment to end. To be seen is not worth waiting for it.
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
        yield


def _holder(path: Path) -> int | None:
    try:
        with path.open() as lock:
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
