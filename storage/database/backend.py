"""What each kind of database does in its own way; the rest of `storage` knows no difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
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

    def transaction(self, *, writing: bool, alone: bool = True) -> Connection:
        """Return a connection in a transaction that is closed by its end.

        One that is ``writing`` has the lock: there is one at a time. Where it need not be ``alone``, because
        it locks each row that it changes, it may be one of several. Any other sees one moment of the database
        and cannot write.
        """

    def now(self) -> datetime:
        """Return the time by which leases run: the same for all that use the database."""

    def translated(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into this room's: a sentence with the database's name and what to do."""

    def check_place(self, *, written: bool) -> None:
        """Raise DatabaseError where what is committed now would be lost, because the database has gone."""

    def close(self) -> None:
        """Close every connection."""

    def integrity(self, tx: Connection) -> str:
        """Return ``ok``, or what is wrong with what is kept."""


class Place(Protocol):
    """Where a database is that is moved, or where it is to be."""

    @property
    def url(self) -> str | None:
        """Its url, None where it is the file in the data directory."""

    @property
    def name(self) -> str:
        """What a sentence calls it."""

    def revision(self) -> str | None:
        """Return what stands in the place of its revision; None where there is no database yet."""

    def make_filled(self, fill: Callable[[Connection], None]) -> None:
        """Make a database of this version's tables and of what ``fill`` writes, whole or not at all."""

    def opened(self) -> Backend:
        """Return the database that is not in force yet, open for changes."""

    def last_numbers(self, tx: Connection) -> dict[str, int]:
        """Return the last number that a row of each table has had."""

    def write_last_numbers(self, tx: Connection, numbers: Mapping[str, int]) -> None:
        """Let the next row of each table have the number after that."""


def holds_images(data_dir: Path) -> bool:
    """Tell whether ``data_dir`` has an image: then its database cannot be a new one."""
    return any(path.is_file() for path in (data_dir / "instances").rglob("*"))
