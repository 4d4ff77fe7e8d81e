"""What each kind of database does in its own way; the rest of `storage` knows no difference."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine


class Backend(Protocol):
    """An open database of one kind."""

    @property
    def name(self) -> str:
        """What a sentence calls this database; it holds no password."""

    @property
    def engine(self) -> Engine:
        """What gives connections."""

    def transaction(self, *, writing: bool) -> Connection:
        """Return a connection in a transaction that is closed by its end.

        One that is ``writing`` has the lock: there is one at a time. Any other sees one moment of the
        database and cannot write.
        """

    def translated(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into this room's: a sentence with the database's name and what to do."""

    def check_place(self, *, written: bool) -> None:
        """Raise DatabaseError where what is committed now would be lost, because the database has gone."""

    def close(self) -> None:
        """Close every connection."""

    def integrity(self, tx: Connection) -> str:
        """Return ``ok``, or what is wrong with what is kept."""


def holds_images(data_dir: Path) -> bool:
    """Tell whether ``data_dir`` has an image: then its database cannot be a new one."""
    return any(path.is_file() for path in (data_dir / "instances").rglob("*"))
