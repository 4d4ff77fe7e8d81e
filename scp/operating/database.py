"""Opens the database for commands: to look at it without locking anything, or to change a row of it.

None migrates it: only the node does. The first user may come before the node's first start; nothing else
makes a database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scp.configuration.settings import Settings
from scp.errors import CommandError
from scp.process import locks
from storage import machines
from storage.database import inspection
from storage.database.engine import Database


@contextmanager
def open_for_reading(settings: Settings) -> Iterator[Database]:
    """Give the node's database to look at, closed afterwards. Never waits for a writer.

    Raises
    ------
    CommandError
        There is none yet, or it has an older schema.
    """
    _check(settings)
    database = Database.open_for_reading(settings.node.data_dir, url=settings.database.server)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def open_for_changes(settings: Settings, *, new: bool = False) -> Iterator[Database]:
    """Give the node's database to change rows of it, closed afterwards; a ``new`` one if there is none.

    Raises as `open_for_reading` does, and where a new one would lie in another user's directory.
    """
    _check(settings, new=new)
    with _opened(settings) as database:
        yield database


@contextmanager
def open_for_long(settings: Settings) -> Iterator[Database]:
    """Give the node's database as `open_for_changes` does, for hours: it is not moved meanwhile.

    Raises
    ------
    CommandError
        There is none yet, or it has an older schema, or it is being moved.
    """
    _check(settings)
    try:
        # a database that was moved before the lock was held is not opened
        with locks.fetch_lock(settings.node.data_dir), _opened(settings) as database:
            yield database
    except locks.LockError as error:
        raise CommandError(str(error)) from error


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = Database.open(settings.node.data_dir, url=settings.database.server)
    try:
        yield database
    finally:
        database.close()


def node_runs(settings: Settings, database: Database) -> bool:
    """Tell whether somebody does what is due: a node, or any process of one that runs in several."""
    if locks.node_pid(settings.node.data_dir) is not None:
        return True
    with database.read() as tx:
        return bool(machines.living(tx, now=database.now()))


def _check(settings: Settings, *, new: bool = False) -> None:
    data_dir = settings.node.data_dir
    try:
        inspected = inspection.inspect(data_dir, url=settings.database.server)
    except PermissionError as error:
        raise CommandError(
            f"{data_dir} cannot be read: run this as the user that the node runs as"
        ) from error
    if inspected is None:
        if new:
            refuse_another_user(data_dir, shared=bool(settings.database.url))
            return
        if settings.database.url:
            raise CommandError(f"there is nothing in {settings.database.url} yet: start the node once")
        raise CommandError(
            f"there is no database in {data_dir} yet: start the node once, or correct [node] data_dir"
        )
    if not inspected.current:
        raise CommandError(
            f"{inspected.name} has schema {inspected.revision}, this program works with {inspected.newest}: "
            + ("take pg_dump, then " if settings.database.url else "")
            + "start the node once, it migrates"
            + ("" if settings.database.url else " and keeps a copy")
        )


def refuse_another_user(data_dir: Path, *, shared: bool = False) -> None:
    """Raise CommandError where the data directory is not that of who runs the command.

    One that machines share (``shared``) may be its group's.
    """
    if not data_dir.exists() or data_dir.stat().st_uid == os.geteuid():
        return
    if not shared or os.geteuid() == 0 or not os.access(data_dir, os.W_OK | os.X_OK):
        raise CommandError(f"{data_dir} is another user's: run this as the user that the node runs as")
