"""The open database and its transactions: a file of SQLite, or where a url is given, PostgreSQL.

What the two do in their own way stands in `sqlite` and `postgresql`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from sqlalchemy import Connection, Engine

from storage.database import upgrade
from storage.database.backend import Backend
from storage.database.patience import Patience
from storage.database.sqlite import backend as sqlite
from storage.errors import DatabaseError

if TYPE_CHECKING:
    from storage.database.postgresql.backend import Server
    from storage.database.postgresql.guard import Company

PATIENCE: Final = 30.0
"""Seconds to wait for another process's write transaction."""

READING_PATIENCE: Final = 2.0
"""Seconds to wait at most where a database is only looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Database:
    """The open database. Safe for use from many threads; every process opens its own."""

    backend: Backend
    patience: Patience

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        url: str | None = None,
        patience: float = PATIENCE,
        scripts: Path = upgrade.SCRIPTS,
        whole: bool = False,
        company: Company | None = None,
        cache_kb: int | None = None,
    ) -> Self:
        """Open the database of ``data_dir``, made if there is none, migrated if it is old.

        Parameters
        ----------
        data_dir
            Made with its parents where missing, for this user alone.
        url
            Of a PostgreSQL database; None: the file inside ``data_dir``.
        patience
            Seconds to wait for another process's write transaction.
        scripts
            The migrations.
        whole
            Whether each page of a file is examined first, as after a crash.
        company
            For a node: whom it may meet at a server; a file has `data_dir`'s lock. None: for who helps one.
        cache_kb
            How much of a file each connection holds, for who reads much; None: SQLite's 2,000.

        Raises
        ------
        DatabaseError
            It is damaged, locked, read-only, newer than this program, out of reach, or missing although the
            archive holds images. It is left as it was; never does an empty one silently take its place.
        """
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(
                f"{data_dir}: {error.strerror}: check path, owner and permissions of [node] data_dir"
            ) from error
        waiting = Patience(patience)
        if url is None:
            file = sqlite.open_for_work(data_dir, waiting, scripts=scripts, whole=whole, cache_kb=cache_kb)
            return cls(file, waiting)
        # imported here, and below: who has a file starts sooner without
        from storage.database.postgresql import backend as postgresql  # noqa: PLC0415

        server = postgresql.open_for_work(url, data_dir, waiting, scripts=scripts, company=company)
        return cls(server, waiting)

    @classmethod
    def open_for_reading(
        cls, data_dir: Path, *, url: str | None = None, patience: float = READING_PATIENCE
    ) -> Self:
        """Open a database that `inspection.inspect` found in order, without being able to change it.

        Takes no write lock, makes and migrates nothing: a writer and this one do not wait for each other.
        """
        waiting = Patience(patience)
        if url is None:
            return cls(sqlite.open_for_reading(data_dir, waiting), waiting)
        from storage.database.postgresql import backend as postgresql  # noqa: PLC0415 - as above

        return cls(postgresql.open_for_reading(url, waiting), waiting)

    @property
    def engine(self) -> Engine:
        """What gives connections."""
        return self.backend.engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give the one transaction that may write: COMMIT at its end, or ROLLBACK if the body raises."""
        with self.backend.translated(), self.backend.transaction(writing=True) as tx:
            yield tx
            tx.commit()

    @contextmanager
    def write_beside_others(self) -> Iterator[Connection]:
        """Give a transaction as `write`, which other writers do not wait for, nor it for them.

        For what changes rows that it has locked itself, and rests on no other row: a claim, a heartbeat.
        """
        with self.backend.translated(), self.backend.transaction(writing=True, alone=False) as tx:
            yield tx
            tx.commit()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a transaction that sees one moment of the database and cannot write."""
        with self.backend.translated(), self.backend.transaction(writing=False) as tx:
            yield tx
            tx.commit()

    def now(self) -> datetime:
        """Return the time by which leases run: that of the server, or of this machine where it has a file."""
        return self.backend.now()

    @property
    def server(self) -> Server:
        """The server that several machines use. Raises DatabaseError where there is a file."""
        from storage.database.postgresql.backend import Server  # noqa: PLC0415 - as above

        if isinstance(self.backend, Server):
            return self.backend
        raise DatabaseError(
            f"{self.backend.name} is a file of SQLite, for one node that does everything: for "
            'roles set [database] url to a PostgreSQL database, or leave [node] role = "all"'
        )

    def hurry(self, seconds: float) -> None:
        """Let nobody wait for another's write transaction longer than ``seconds`` from now."""
        self.patience.deadline = time.monotonic() + seconds

    def check_place(self, *, written: bool = False) -> None:
        """Raise DatabaseError where the database is no more what was opened: what is written then is lost.

        With ``written``, after a commit, the commit itself must be in its place as well.
        """
        self.backend.check_place(written=written)

    def integrity(self) -> str:
        """Return ``ok``, or what is wrong with what is kept."""
        with self.read() as tx:
            return self.backend.integrity(tx)

    def close(self) -> None:
        """Close every connection."""
        self.backend.close()
