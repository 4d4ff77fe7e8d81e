"""How a database file comes into being or is copied, and how one is looked at before anything is written.

A node that loses its database must not start with an empty one: every promise would be forgotten, and the
images behind them swept away as files that nobody names.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from storage.database.backend import holds_images
from storage.database.sqlite.connection import connect
from storage.errors import DatabaseError


def refuse_silent_loss(file: Path) -> None:
    """Raise DatabaseError where ``file`` is missing or empty but should not be."""
    if file.exists():
        if file.stat().st_size == 0:
            raise DatabaseError(
                f"database {file} is empty: put a backup in its place, or remove it to start with nothing"
            )
        return
    if holds_images(file.parent):
        raise DatabaseError(
            f"database {file} is missing, but {file.parent / 'instances'} holds images: put a backup of the "
            "database in its place, or move the images away to start with nothing"
        )


def create(file: Path, fill: Callable[[Path], None]) -> None:
    """Make the database under another name with ``fill``, then give it its name: whole or not at all.

    Where another process was faster, its database stands.
    """
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    os.close(descriptor)
    new = Path(name)
    try:
        fill(new)
        _close_cleanly(new)
        # A link, not a rename: it never replaces a database that came in between.
        os.link(new, file)
        synced(file.parent)
    except FileExistsError:
        pass  # made by another process a moment ago
    except OSError as error:
        raise DatabaseError(
            f"database {file} cannot be made: {error.strerror}: check its directory"
        ) from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{new}{suffix}").unlink(missing_ok=True)


def examine(file: Path, *, whole: bool = False) -> str:
    """Look at ``file`` without writing; return its revision.

    Raises DatabaseError or sqlite3.DatabaseError if it is damaged. Its size, header and tables are looked at,
    and where ``whole``, every page of it.
    """
    with closing(connect(file)) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if whole else "ok"
        tables = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
        ).fetchone()
        row = tables[0] and connection.execute("SELECT version_num FROM alembic_version").fetchone()
    verdict = " ".join(verdict.split())
    if verdict != "ok":
        raise DatabaseError(
            f"database {file} is damaged ({verdict}): stop the node and put a backup in its place; "
            "it was left as it is"
        )
    if not tables[0]:
        raise DatabaseError(
            f"{file} is a database of another program: move it away, or set [node] data_dir elsewhere"
        )
    return str(row[0]) if row else ""


def back_up(file: Path, backup: Path) -> None:
    """Copy the database as it was last committed; the copy appears whole or not at all."""
    unfinished = backup.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with (
        closing(connect(file)) as source,
        closing(sqlite3.connect(unfinished)) as target,
    ):
        source.backup(target)
    unfinished.chmod(0o600)
    synced(unfinished)
    unfinished.rename(backup)
    synced(backup.parent)


def _close_cleanly(new: Path) -> None:
    """Leave WAL mode, so that the file alone is the database, and sync it."""
    with closing(sqlite3.connect(new)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    synced(new)


def synced(path: Path) -> None:
    """Sync a file or a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
