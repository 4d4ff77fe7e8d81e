"""A data directory that looks as if a node were running on it, and the ports of one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from scp.configuration.settings import Settings
from scp.process import locks
from scp.receiving.admission import Admission
from scp.receiving.listener import Listener
from storage.files.folder import FolderArchive
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS


@contextmanager
def lock_held(data_dir: Path, name: str = locks.LOCK) -> Iterator[None]:
    """Hold the lock ``name`` as a running node does, or its worker; its process id is that of the test."""
    with (data_dir / name).open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def listener(settings: Settings) -> Listener:
    """Return a node's listener that keeps and counts nothing."""
    return Listener(
        settings=settings,
        receiver=SimpleNamespace(archive=FolderArchive(settings.node.data_dir)),
        admission=Admission(settings),
        association_ended=lambda: None,
        refusals=UNCOUNTED,
        calls=UNCOUNTED_CALLS,
    )
