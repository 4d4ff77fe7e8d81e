"""Opens the database for commands that look at it or change a row: never makes or migrates one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scp.complaint import Complaint
from scp.config import Settings
from storage import inspection
from storage.database import Database


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Give the node's database, closed afterwards.

    Raises
    ------
    Complaint
        There is none yet, or it has an older schema: only the node makes and migrates.
    """
    data_dir = settings.node.data_dir
    try:
        seen = inspection.inspect(data_dir)
    except PermissionError as error:
        raise Complaint(f"{data_dir} cannot be read: run this as the user that the node runs as") from error
    if seen is None:
        raise Complaint(
            f"there is no database in {data_dir} yet: start the node once, or correct [node] data_dir"
        )
    if not seen.current:
        raise Complaint(
            f"{seen.file} has schema {seen.revision}, this program works with {seen.newest}: "
            "start the node once, it keeps a copy and migrates"
        )
    database = Database.open(data_dir)
    try:
        yield database
    finally:
        database.close()
