"""Backups where a server keeps the rows: they are copied into a file of SQLite, and back from one.

So every backup is one file of one form, and one of either database goes into the other.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from sqlalchemy import exists, select

from storage.database import schema
from storage.database.engine import Database
from storage.database.postgresql.guard import Company
from storage.database.postgresql.place import ServerPlace
from storage.database.sqlite.backend import NAME
from storage.database.sqlite.place import FilePlace
from storage.errors import DatabaseError
from storage.upkeep import backup, moving, restoring


def write(data_dir: Path, url: str, target: Path) -> backup.BackedUp:
    """Write a backup of the database at ``url`` and the files of ``data_dir``, as `backup.write` does."""

    def copy_rows(file: Path) -> None:
        copied, source = FilePlace(file.parent), Database.open_for_reading(data_dir, url=url)
        try:
            with source.read() as rows:
                copied.make_filled(partial(moving.copy_rows, ServerPlace(url), rows, copied))
        finally:
            source.close()

    return backup.write(data_dir, target, copy_rows)


def put_back(source: Path, data_dir: Path, url: str) -> int:
    """Put the backup ``source`` into ``data_dir`` and the database at ``url``, which has no rows.

    Returns how many files it held. A kill leaves rows or none; where none, this can be done once more.

    Raises
    ------
    DatabaseError
        There are rows already, or a node works with the database, or ``source`` is no whole backup of ours.
    OSError
        A file cannot be read or written.
    """
    unfinished = data_dir / restoring.UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    # opened on a folder without images: they may be there again
    server = Database.open(unfinished, url=url, company=Company.NOBODY)
    try:
        with server.read() as tx:
            tables = schema.metadata.sorted_tables
            if any(tx.execute(select(exists().select_from(table))).scalar_one() for table in tables):
                raise DatabaseError(
                    f"there are rows in {server.backend.name} already: name an empty one in [database] url "
                    "(createdb)"
                )
        files = backup.put_back(source, unfinished)
        copied = Database.open(unfinished)  # an older one is migrated
        try:
            # the copy that a migration lays beside: its place in `data_dir` may be that of a real one
            for before in unfinished.glob(f"{Path(NAME).stem}-before-*"):
                before.unlink()
            restoring.move_files(unfinished, data_dir)
            with copied.read() as rows, server.write() as tx:
                moving.copy_rows(FilePlace(unfinished), rows, ServerPlace(url), tx)
        finally:
            copied.close()
    finally:
        server.close()
        shutil.rmtree(unfinished, ignore_errors=True)
    return files
