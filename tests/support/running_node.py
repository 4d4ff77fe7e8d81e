"""A data directory that looks as if a node were running on it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scp.process import locks


@contextmanager
def lock_held(data_dir: Path, name: str = locks.LOCK) -> Iterator[None]:
    """Hold the lock ``name`` as a running node does, or its worker; its process id is that of the test."""
    with (data_dir / name).open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
