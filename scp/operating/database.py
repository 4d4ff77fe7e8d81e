"""Opens the database for commands: to look at it without locking anything, or to change a row of it.

Neither makes one or migrates it: only the node does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scp.configuration.settings import Settings
from scp.errors import CommandError
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
    database = Database.open_for_reading(settings.node.data_dir)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def open_for_changes(settings: Settings) -> Iterator[Database]:
    """Give the node's database to change rows of it, closed afterwards. Raises as `open_for_reading` does."""
    _check(settings)
    database = Database.open(settings.node.data_dir)
    try:
        yield database
    finally:
        database.close()


def _check(settings: Settings) -> None:
    data_dir = settings.node.data_dir
    try:
        inspected = inspection.inspect(data_dir)
    except PermissionError as error:
        raise CommandError(
            f"{data_dir} cannot be read: run this as the user that the node runs as"
        ) from error
    if inspected is None:
        raise CommandError(
            f"there is no database in {data_dir} yet: start the node once, or correct [node] data_dir"
        )
    if not inspected.current:
        raise CommandError(
            f"{inspected.file} has schema {inspected.revision}, this program works with {inspected.newest}: "
            "start the node once, it keeps a copy and migrates"
        )
