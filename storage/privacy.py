"""What the node has written is for its user alone, also where its directory was made by somebody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from storage.database.sqlite.backend import NAME

ACCESS_OF_OTHERS: Final = 0o077
"""What group and others might be allowed (chmod(2))."""


def close(data_dir: Path, folders: Iterable[str]) -> None:
    """Take from all others what they may do with ``data_dir``, its ``folders`` and databases.

    What lies in the folders cannot be reached without them. What is another user's stays as it is: `foreign`.
    """
    databases = data_dir.glob(f"{Path(NAME).stem}*.sqlite*")  # copies before migrations and the WAL as well
    for path in (data_dir, *(data_dir / name for name in folders), *databases):
        with suppress(FileNotFoundError):  # SQLite has just removed it, or it never was
            status = path.lstat()
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & ACCESS_OF_OTHERS and _may_change(status):
                path.chmod(stat.S_IMODE(status.st_mode) & ~ACCESS_OF_OTHERS)


def foreign(data_dir: Path) -> bool:
    """Tell whether others may look into ``data_dir``, and it is not this user's to close."""
    status = data_dir.stat()
    return bool(status.st_mode & ACCESS_OF_OTHERS) and not _may_change(status)


def _may_change(status: os.stat_result) -> bool:
    return os.geteuid() in (0, status.st_uid)
