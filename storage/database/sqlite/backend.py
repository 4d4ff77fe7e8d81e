"""One SQLite file, opened so that a committed transaction survives a power cut.

WAL, synchronous=FULL, foreign keys on; every write transaction begins with BEGIN IMMEDIATE, so that two
processes queue up at its start instead of failing in its middle. The driver's own transaction handling is
switched off, as SQLAlchemy's documentation of the SQLite dialect says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from storage.database import upgrade
from storage.database.patience import Patience
from storage.database.sqlite import creation
from storage.database.sqlite.connection import begin, connect
from storage.errors import Conflict, DatabaseError, Full

NAME: Final = "secondread.sqlite"
"""The database's file inside the data directory."""

_BEGIN = "secondread_begin"

_MENDS: Final = (
    ("full", Full, "the disk is full: make room, the work goes on by itself"),
    ("locked", DatabaseError, "another process holds it: stop what else uses it, or wait"),
    ("readonly", DatabaseError, "it cannot be written: give the node's user write permission to it"),
    ("malformed", DatabaseError, "it is damaged: stop the node and put a backup in its place"),
    ("not a database", DatabaseError, "it is damaged: stop the node and put a backup in its place"),
    ("unable to open", DatabaseError, "it cannot be opened: check path, owner and permissions"),
    ("disk i/o", DatabaseError, "the disk fails: check it, then the file with `secondread check`"),
)


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """The open file. Satisfies `storage.database.backend.Backend`."""

    file: Path
    engine: Engine
    place: tuple[int, int] | None = None
    """Device and inode of the file when it was opened for writing."""

    @property
    def name(self) -> str:
        """The file, as it was named."""
        return str(self.file)

    def transaction(self, *, writing: bool, alone: bool = True) -> Connection:  # noqa: ARG002
        """Return a connection after BEGIN IMMEDIATE, or one that is refused every change.

        A file knows one lock: who writes is ``alone`` always.
        """
        kind = "IMMEDIATE" if writing else "DEFERRED"
        connection = self.engine.connect().execution_options(**{_BEGIN: kind})
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        return connection

    def now(self) -> datetime:
        """Return this machine's time: no other uses the file."""
        return datetime.now(UTC)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn errors of SQLite's driver into this room's."""
        with translated(self.file):
            yield

    def check_place(self, *, written: bool) -> None:
        """Raise DatabaseError where the file is no more what was opened: what is written then is lost.

        With ``written``, after a commit, the write-ahead log must be there as well: it holds the commit.
        """
        if self.place is None:
            return
        place = _place(self.file)
        log_exists = not written or self.file.with_name(f"{self.file.name}-wal").exists()
        if place != self.place or not log_exists:
            raise DatabaseError(
                f"database {self.file}: it was removed, moved or replaced while it was open: stop the node, "
                "put it or a backup in its place, and start"
            )

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def integrity(self, tx: Connection) -> str:
        """Return ``ok``, or what SQLite finds wrong with the file. Reads all of it."""
        lines = tx.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        orphans = tx.exec_driver_sql("PRAGMA foreign_key_check").all()
        problems = [str(line) for line in lines if line != "ok"]
        problems += [f"a row of {row[0]} names a row of {row[2]} that is missing" for row in orphans]
        return "\n".join(problems) or "ok"


def open_for_work(
    data_dir: Path, patience: Patience, *, scripts: Path, whole: bool, cache_kb: int | None = None
) -> File:
    """Open the file in ``data_dir``, made if there is none, migrated (after a backup) if it is old.

    With ``whole``, each page of it is examined first, as after a crash. Each connection holds so many
    ``cache_kb`` of pages; None: SQLite's 2,000. Raises DatabaseError where it is
    damaged, locked, read-only, newer than this program, or missing although the archive holds images. It is
    left as it was; never does an empty one silently take its place.
    """
    file = data_dir / NAME
    try:
        creation.refuse_silent_loss(file)
    except OSError as error:
        raise DatabaseError(
            f"{data_dir}: {error.strerror}: check path, owner and permissions of [node] data_dir"
        ) from error
    if not file.exists():
        creation.create(file, lambda new: _migrate(new, patience, scripts))
    with translated(file):
        creation.examine(file, whole=whole)
    _migrate(file, patience, scripts)
    return File(file, _engine(file, patience, cache_kb), _place(file))


def open_file(file: Path, patience: Patience) -> File:
    """Open the file as it is, whatever its revision, able to change it."""
    return File(file, _engine(file, patience))


def open_for_reading(data_dir: Path, patience: Patience) -> File:
    """Open the file in ``data_dir`` without being able to change it."""
    file = data_dir / NAME
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        creator=lambda: connect(file, seconds=patience.seconds),
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin)
    return File(file, engine)


def revision(data_dir: Path) -> tuple[str, str] | None:
    """Return the file and the revision that it has, looked at alone; None where there is none yet.

    Raises DatabaseError where it is damaged, of another program, or missing although there are images.
    """
    file = data_dir / NAME
    creation.refuse_silent_loss(file)
    if not file.exists():
        return None
    with translated(file):
        return str(file), creation.examine(file)


@contextmanager
def translated(file: Path) -> Iterator[None]:
    """Turn the driver's errors into this room's: a sentence with the file's name and what to do."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(f"{file.name} refused the change: {error.orig}") from error
    except DBAPIError as error:
        raise _sentence(file, str(error.orig)) from error
    except StatementError as error:
        # A value that its column type refuses (a naive datetime): the caller's mistake, not the database's.
        raise (error.orig or error) from None
    except sqlite3.DatabaseError as error:
        raise _sentence(file, str(error)) from error


def _sentence(file: Path, message: str) -> DatabaseError:
    for word, kind, mend in _MENDS:
        if word in message.lower():
            return kind(f"database {file}: {message}: {mend}")
    return DatabaseError(f"database {file}: {message}: check the file with `secondread check`")


def _migrate(file: Path, patience: Patience, scripts: Path) -> None:
    opened = open_file(file, patience)

    def keep_copy(newest: str) -> None:
        creation.back_up(file, file.with_name(f"{file.stem}-before-{newest}.sqlite"))

    try:
        with opened.translated(), opened.transaction(writing=True) as tx:
            upgrade.bring_up_to_date(tx, str(file), scripts=scripts, before=keep_copy)
            tx.commit()
    finally:
        opened.engine.dispose()


def _place(file: Path) -> tuple[int, int] | None:
    """Return device and inode of ``file``, or None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _engine(file: Path, patience: Patience, cache_kb: int | None = None) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        creator=lambda: connect(file, "rw", seconds=patience.seconds),
        hide_parameters=True,
        # a thread waits for the lock of the database, never for a place in the pool
        max_overflow=-1,
    )
    event.listen(engine, "connect", partial(_prepare, cache_kb=cache_kb))
    event.listen(engine, "begin", partial(_begin, patience=patience))
    return engine


def _prepare(connection: sqlite3.Connection, _record: object, cache_kb: int | None) -> None:
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"]
    if cache_kb is not None:
        pragmas.append(f"cache_size=-{cache_kb}")  # negative: kilobytes, positive: pages
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection, patience: Patience | None = None) -> None:
    kind = connection.get_execution_options().get(_BEGIN, "IMMEDIATE")
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - `connect` has made it
    # A write inside read() would be rolled back or lock half way: SQLite refuses it instead.
    driver.execute(f"PRAGMA query_only={'ON' if kind == 'DEFERRED' else 'OFF'}").close()
    if kind == "IMMEDIATE" and patience is not None:
        begin(driver, patience)
    else:
        driver.execute(f"BEGIN {kind}").close()
