"""One database of a PostgreSQL server, used as the file is: one transaction writes at a time.

The queue's promises were made, and are tested, for one writer. Here that is an advisory lock, taken at the
beginning of a transaction and let go of by its end, also where a connection is cut. READ COMMITTED suffices
under it: each statement sees what writers before have committed. Who reads sees one moment (REPEATABLE READ).

A claim, a heartbeat and a machine's sign of life do without the lock: each changes one row that it has locked
itself. What arrives, a finding, a report and a delivery keep it: each looks at several rows of a study (its
jobs, its images, whether it has changed) and writes what follows from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Final

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError

from storage.database import upgrade
from storage.database.backend import holds_images
from storage.database.patience import Patience
from storage.database.postgresql import connection as server
from storage.database.postgresql import notices
from storage.database.postgresql.clock import ServerClock
from storage.database.postgresql.duty import Duty
from storage.database.postgresql.errors import LOCK_NOT_AVAILABLE, code, translated
from storage.database.postgresql.guard import Company, Guard
from storage.errors import DatabaseError, PlaceTaken

WRITER: Final = 0x5EC0DD
"""Number of the lock of who writes (PostgreSQL, "Advisory Locks"); it is the database's own."""

_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """The open database. Satisfies `storage.database.backend.Backend`."""

    name: str
    engine: Engine
    patience: Patience
    guard: Guard | None = None
    """Of a node; who only helps one has none."""
    clock: ServerClock = field(default_factory=ServerClock)

    def transaction(self, *, writing: bool, alone: bool = True) -> Connection:
        """Return a connection with the lock for writing, or one that sees one moment and cannot write.

        One that need not be ``alone`` waits for locks of rows no longer than for that of who writes. A
        connection that a restart of the server has cut shows it here first: then there is a new one.
        """
        end = self.patience.end()
        turn = max(1, round((self.patience.turn if alone else self.patience.seconds) * 1000))
        write = f"BEGIN; SET LOCAL lock_timeout = {turn}"
        if alone:
            write += f"; SELECT pg_advisory_xact_lock({WRITER})"
        renewed = False
        while True:
            connection = self.engine.connect()
            try:
                self.clock.follow(connection)
                # one journey to the server for all three
                connection.exec_driver_sql(write if writing else _READ).close()
            except DBAPIError as error:
                connection.close()
                if error.connection_invalidated and not renewed:
                    renewed = True
                elif code(error) != LOCK_NOT_AVAILABLE or self.patience.over(end):
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    def now(self) -> datetime:
        """Return the server's time: that of every machine that uses it."""
        return self.clock.now()

    def translated(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into this room's."""
        return translated(self.name)

    def duty(self) -> Duty:
        """Return the lock of what one process of all does at a time; nobody has taken it yet."""
        return Duty(self.engine, self.name)

    def notify(self, channel: str) -> None:
        """Wake the processes that listen to ``channel``. Raises DatabaseError."""
        notices.notify(self.engine, self.name, channel)

    def listen(self, channels: Collection[str], handler: Callable[[str], None], stopping: Event) -> None:
        """Call ``handler`` with each channel that is called, until ``stopping``. Raises DatabaseError."""
        notices.listen(self.engine, self.name, channels, handler, stopping)

    def check_place(self, *, written: bool) -> None:
        """Raise DatabaseError where the server has gone, or another node works with the database.

        What was ``written`` needs no look: a server that has gone has answered no commit.
        """
        if self.guard is not None and not written:
            self.guard.check()

    def close(self) -> None:
        """Close every connection."""
        if self.guard is not None:
            self.guard.close()
        self.engine.dispose()

    def integrity(self, tx: Connection) -> str:  # noqa: ARG002
        """Return ``ok``: the server checks its rows itself, its administrator its pages (pg_amcheck)."""
        return "ok"


def open_for_work(
    url: str, data_dir: Path, patience: Patience, *, scripts: Path, company: Company | None
) -> Server:
    """Open the database at ``url``, filled with tables if it is empty, migrated if it is old.

    ``company``: for a node, whom it may meet there; None for who only helps one. Raises DatabaseError where
    it cannot be reached, is another program's, newer than this program, or empty although the archive in
    ``data_dir`` holds images.
    """
    parsed = server.parse(url)
    name, engine = server.name(parsed), server.make_engine(parsed, writable=True)
    opened = Server(name, engine, patience, None if company is None else Guard(engine, name, company))
    try:
        if company is Company.ROLES and _state(opened) != upgrade.revisions(scripts)[-1]:
            _migrate_alone(opened, data_dir, scripts)
        opened.check_place(written=False)
        _migrate(opened, data_dir, scripts)
    except BaseException:
        opened.close()
        raise
    return opened


def open_for_reading(url: str, patience: Patience) -> Server:
    """Open the database at ``url`` without being able to change it."""
    parsed = server.parse(url)
    return Server(server.name(parsed), server.make_engine(parsed, writable=False), patience)


def revision(url: str, data_dir: Path) -> tuple[str, str] | None:
    """Return the database's name and its revision, looked at alone; None where it is empty.

    Raises DatabaseError where it cannot be reached, is another program's, or empty although there are images.
    """
    opened = open_for_reading(url, Patience(0))
    try:
        state = _state(opened)
        if state is None:
            with opened.translated(), opened.transaction(writing=False) as tx:
                _refuse(tx, opened.name, data_dir)
    finally:
        opened.engine.dispose()
    return None if state is None else (opened.name, state)


def _state(opened: Server) -> str | None:
    """Return the revision of the database, None where it is empty."""
    with opened.translated(), opened.transaction(writing=False) as tx:
        return upgrade.current(tx)


def _migrate(opened: Server, data_dir: Path, scripts: Path) -> None:
    with opened.translated(), opened.transaction(writing=True) as tx:
        if upgrade.current(tx) is None:
            _refuse(tx, opened.name, data_dir)
        upgrade.bring_up_to_date(tx, opened.name, scripts=scripts, before=lambda _: None)
        tx.commit()


def _migrate_alone(opened: Server, data_dir: Path, scripts: Path) -> None:
    """Migrate while no other role runs: each would go on with tables that it does not know.

    Of several that start together one migrates, the others wait for it, or see that it is done.
    """
    revisions, state = upgrade.revisions(scripts), _state(opened)
    if state is not None and state not in revisions:
        raise upgrade.unusable(opened.name, state, revisions[-1])
    alone = Guard(opened.engine, opened.name, Company.NOBODY)
    try:
        _take(alone, opened)
    except DatabaseError as error:
        if (state := _state(opened)) == revisions[-1]:
            return
        if state not in revisions:
            raise
        raise DatabaseError(
            f"{error} (its tables are older than this program: stop every process that uses it, then start "
            "the new ones)"
        ) from None
    else:
        _migrate(opened, data_dir, scripts)
    finally:
        alone.close()


def _take(alone: Guard, opened: Server) -> None:
    """Take the lock ``alone``; wait for who makes the tables of an empty database. Raises as its `check`."""
    end = opened.patience.end()
    while True:
        try:
            alone.check()
        except PlaceTaken:
            if _state(opened) is not None or opened.patience.over(end):
                raise
        else:
            return


def _refuse(tx: Connection, name: str, data_dir: Path) -> None:
    """Raise DatabaseError where a database without our tables is no new one."""
    if inspect(tx).get_table_names():
        raise DatabaseError(
            f"{name} is a database of another program: name an empty one in [database] url (createdb)"
        )
    if holds_images(data_dir):
        raise DatabaseError(
            f"database {name} is empty, but {data_dir / 'instances'} holds images: put a backup of the "
            "database in its place, or move the images away to start with nothing"
        )
