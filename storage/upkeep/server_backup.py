"""Backups where a server keeps the rows: they are copied into a file of SQLite, and back from one.

So every backup is one file of one form, and one of either database goes into the other.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Integer, Table, exists, false, func, insert, select

from storage.database import schema
from storage.database.engine import Database
from storage.database.postgresql.guard import Company
from storage.database.sqlite.backend import NAME
from storage.database.sqlite.creation import back_up
from storage.errors import DatabaseError
from storage.upkeep import backup, restoring

AT_ONCE: Final = 1000
"""Rows in memory at a time."""


def write(data_dir: Path, url: str, target: Path) -> backup.BackedUp:
    """Write a backup of the database at ``url`` and the files of ``data_dir``, as `backup.write` does."""

    def copy_rows(file: Path) -> None:
        source, copied = Database.open_for_reading(data_dir, url=url), Database.open(file.parent / "rows")
        try:
            with source.read() as rows, copied.write() as tx:
                _copy(rows, tx)
        finally:
            copied.close()
            source.close()
        back_up(file.parent / "rows" / NAME, file)

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
    server = Database.open(
        unfinished, url=url, company=Company.NOBODY
    )  # a folder without images: they may be there again
    try:
        with server.read() as tx:
            if any(tx.execute(select(exists().select_from(table))).scalar_one() for table in _tables()):
                raise DatabaseError(
                    f"there are rows in {server.backend.name} already: name an empty one in [database] url "
                    "(createdb)"
                )
        files = backup.put_back(source, unfinished)
        copied = Database.open(unfinished)  # an older one is migrated
        try:
            restoring.move_files(unfinished, data_dir)
            with copied.read() as rows, server.write() as tx:
                _copy(rows, tx)
                _number_on(tx)
        finally:
            copied.close()
    finally:
        server.close()
        shutil.rmtree(unfinished, ignore_errors=True)
    return files


def _tables() -> list[Table]:
    """Return the tables, those first that others refer to."""
    return schema.metadata.sorted_tables


def _copy(rows: Connection, tx: Connection) -> None:
    """Copy all rows into empty tables."""
    for table in _tables():
        # in the order of their numbers: a report comes after the one that it replaces
        query = select(table).order_by(*table.primary_key)
        for part in rows.execute(query, execution_options={"yield_per": AT_ONCE}).mappings().partitions():
            tx.execute(insert(table), [dict(row) for row in part])


def _number_on(tx: Connection) -> None:
    """Let the server number new rows after those that were copied."""
    for table in _tables():
        column = table.autoincrement_column
        if column is not None and isinstance(column.type, Integer):
            last = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            tx.execute(select(func.setval(sequence, last, false())))
