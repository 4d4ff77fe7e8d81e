"""Backups where a server keeps the rows: they are copied into a file of SQLite, and back from one.

So every backup is one file of one form, and one of either database goes into the other.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, exists, select

from storage.database import schema
from storage.database.engine import Database
from storage.database.postgresql.guard import Company
from storage.database.postgresql.place import ServerPlace
from storage.database.sqlite.backend import NAME
from storage.database.sqlite.creation import synced
from storage.database.sqlite.place import FilePlace
from storage.errors import DatabaseError
from storage.upkeep import backup, moving, restoring, to_come
from storage.upkeep.restoring import TakenOver

_ROWS: Final = "rows"
"""Folder inside a staged backup in which its rows are worked on."""


def write(data_dir: Path, url: str, target: Path) -> backup.BackedUp:
    """Write a backup of the database at ``url`` and the files of ``data_dir``, as `backup.write` does."""

    def copy_rows(file: Path) -> None:
        source = Database.open_for_reading(data_dir, url=url)
        try:
            _copy_to_file(source, url, file.parent)
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
            if _any_row(tx):
                raise DatabaseError(
                    f"there are rows in {server.backend.name} already: name an empty one in [database] url "
                    "(createdb)"
                )
        files = backup.put_back(source, unfinished)
        _move_files(unfinished, data_dir)
        _fill(server, url, unfinished)
    finally:
        server.close()
        shutil.rmtree(unfinished, ignore_errors=True)
    return files


def occupied(data_dir: Path, url: str) -> bool:
    """Tell whether the database at ``url`` has rows. Raises DatabaseError where it is out of reach."""
    if ServerPlace(url).revision() is None:
        return False
    server = Database.open_for_reading(data_dir, url=url)
    try:
        with server.read() as tx:
            return _any_row(tx)
    finally:
        server.close()


def take_over(data_dir: Path, url: str) -> TakenOver | None:
    """Put a staged backup in the place of the rows at ``url``; None where none is staged.

    As `restoring.take_over`, of which it keeps all promises: the rows before stay beside as a file of SQLite,
    and are replaced in one transaction. Only under the node's lock, before it opens the database.

    Raises
    ------
    DatabaseError
        The server is out of reach, or another node works with the database.
    OSError
        A file cannot be read or written.
    """
    folder = data_dir / restoring.STAGED
    if not folder.is_dir():
        return None
    before, new = None, folder / NAME
    if new.exists():
        _move_files(folder, data_dir)
        # opened on a folder without images: a server's database may be empty beside those
        server = Database.open(folder / _ROWS, url=url, company=Company.NOBODY)
        try:
            with server.read() as tx:
                replaces = _any_row(tx)
            if replaces:
                before = restoring.place_beside(data_dir, new)
                _lay_aside(server, url, before, folder / _ROWS)
                restoring.set_images_aside(data_dir, before, new)
            _fill(server, url, folder)
            new.unlink()
        finally:
            server.close()
    shutil.rmtree(folder)
    return TakenOver(before=before, images=len(to_come.read(data_dir)))


def _move_files(folder: Path, data_dir: Path) -> None:
    """Move the files of the backup in ``folder`` to their places, but nothing that a kill has left."""
    shutil.rmtree(folder / _ROWS, ignore_errors=True)
    restoring.move_files(folder, data_dir)


def _any_row(tx: Connection) -> bool:
    tables = schema.metadata.sorted_tables
    return any(tx.execute(select(exists().select_from(table))).scalar_one() for table in tables)


def _copy_to_file(source: Database, url: str, folder: Path) -> None:
    """Copy the rows of one moment into a new file of SQLite in ``folder``, whole or not at all."""
    copied = FilePlace(folder)
    with source.read() as rows:
        copied.make_filled(partial(moving.copy_rows, ServerPlace(url), rows, copied))


def _lay_aside(server: Database, url: str, target: Path, work: Path) -> None:
    """Copy the rows to ``target`` by way of the folder ``work``, whole or not at all."""
    if target.exists():
        return
    _copy_to_file(server, url, work)
    copy = work / NAME
    copy.chmod(0o600)
    synced(copy)
    copy.rename(target)
    synced(target.parent)


def _fill(server: Database, url: str, folder: Path) -> None:
    """Put the rows of the backup in ``folder`` in the place of all rows of ``server``, in one transaction.

    They are read from a copy: it is migrated where it is older, and its time does not say any more when the
    backup was made.
    """
    work = folder / _ROWS
    work.mkdir(exist_ok=True)
    shutil.copyfile(folder / NAME, work / NAME)
    copied = Database.open(work)
    try:
        with copied.read() as rows, server.write() as tx:
            for table in reversed(schema.metadata.sorted_tables):
                tx.execute(delete(table))
            moving.copy_rows(FilePlace(work), rows, ServerPlace(url), tx)
    finally:
        copied.close()
