"""What is on the disk of the data directory wherever the files are: those that come in, and the room left."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from storage import privacy
from storage.database.sqlite.creation import synced
from storage.errors import Full

INCOMING: Final = "incoming"
"""Folder of unfinished files."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


def make_folders(data_dir: Path, names: Iterable[str]) -> None:
    """Make ``data_dir`` and its folders ``names`` where they are missing, for this user alone."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in names:
        (data_dir / name).mkdir(mode=0o700, exist_ok=True)
    synced(data_dir)
    privacy.close(data_dir, names)


def clear(incoming: Path, older_than: float) -> int:
    """Remove the files in ``incoming`` that are ``older_than`` seconds, or all for 0. Returns how many."""
    newest = time.time() - older_than if older_than else float("inf")
    removed = 0
    for path in incoming.iterdir():
        with contextlib.suppress(FileNotFoundError):  # whoever writes it has just finished
            if path.is_file() and path.stat().st_mtime < newest:
                path.unlink()
                removed += 1
    return removed


def free_bytes(data_dir: Path) -> int:
    """Return how many bytes are free to this user where ``data_dir`` is."""
    return shutil.disk_usage(data_dir).free


def unfinished(data_dir: Path, *, most_files: int | None = None) -> tuple[int, int]:
    """Count the files that come in now, or that an interrupted reception has left, and their bytes.

    Of more than ``most_files`` so many are counted: any, but the same as long as the folder does not change.
    """
    sizes: list[int] = []
    try:
        with os.scandir(data_dir / INCOMING) as files:
            for file in islice(files, most_files):
                with contextlib.suppress(FileNotFoundError):  # it was kept meanwhile
                    sizes.append(file.stat().st_size)
    except (FileNotFoundError, NotADirectoryError):
        pass
    return len(sizes), sum(sizes)


@contextmanager
def room() -> Iterator[None]:
    """Let a disk without room raise Full."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise Full("no room on the disk of the data directory: make some; stores are refused") from error
        raise
