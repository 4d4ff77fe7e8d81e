"""Who works with a database: one node alone, or the roles of one. A session of its own holds the lock.

What the lock of the data directory is to a file: a node alone holds it, roles share it. The server lets go
of it when the session ends, however that comes; after a restart of the server it is taken again at the next
look, unless another node was faster.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import Final

from sqlalchemy import Engine, PoolProxiedConnection, text
from sqlalchemy.exc import DBAPIError

from storage.database.postgresql.errors import LOCK_NOT_AVAILABLE, code, translated
from storage.errors import DatabaseError, PlaceTaken

NODE: Final = 0x5EC0DE
"""Number of the lock (PostgreSQL, "Advisory Locks"); it is the database's own."""


class Company(Enum):
    """Whom a node may meet at its database."""

    NOBODY = f"pg_advisory_lock({NODE})"
    """It does everything: no other process of a node."""
    ROLES = f"pg_advisory_lock_shared({NODE})"
    """It has one role: all that have roles, too."""


_TAKE: Final = "SET lock_timeout = 5000; SELECT {}"
"""The session of a node that was killed may need a moment to end."""

_HOLDERS: Final = text(
    "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
    "WHERE datname = current_database() AND locktype = 'advisory' AND classid = 0 AND objid = :node "
    "AND granted"
)

_MEETS: Final = {
    Company.NOBODY: "another node works with the database {}: stop it, or give this one another "
    "[database] url",
    Company.ROLES: 'a node with [node] role = "all" works with the database {}: stop it, or give it a role '
    "as well",
}


class Guard:
    """Holds the lock of ``engine``'s database, which sentences call ``name``. Safe for many threads."""

    def __init__(self, engine: Engine, name: str, company: Company) -> None:
        self._engine = engine
        self._name = name
        self._company = company
        self._mutex = threading.Lock()
        self._session: PoolProxiedConnection | None = None
        self._process: int | None = None
        """The server's process of the session that had the lock last."""

    def check(self) -> None:
        """Take the lock where it is not held.

        Raises PlaceTaken where another node has it, DatabaseError where the server is away, or has not seen
        yet that an earlier session of this process is over.
        """
        with self._mutex:
            if self._session is not None and not self._alive(self._session):
                self._end()
                self._engine.dispose()  # what ended this session has ended those that wait in the pool
            if self._session is None:
                self._take()

    def close(self) -> None:
        """Let go of the lock."""
        with self._mutex:
            self._end()

    def _take(self) -> None:
        with translated(self._name):
            connection = self._engine.connect()
            self._session = connection.connection
            self._session.detach()  # the pool would keep the session, and the lock with it
            try:
                connection.exec_driver_sql(_TAKE.format(self._company.value)).close()
            except DBAPIError as error:
                self._end()
                if code(error) != LOCK_NOT_AVAILABLE:
                    raise
                if self._is_let_go():
                    raise DatabaseError(
                        f"the database {self._name} holds the lock of an earlier session of this process yet"
                    ) from None
                raise PlaceTaken(_MEETS[self._company].format(self._name)) from None
            self._process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()

    def _is_let_go(self) -> bool:
        """Tell whether nobody holds the lock but a session of ours that the server does not know to be over.

        A host that was frozen or cut off gives its session up before the server does.
        """
        with self._engine.connect() as connection:
            return set(connection.execute(_HOLDERS, {"node": NODE}).scalars()) <= {self._process}

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.dbapi_connection is not None:
            session.dbapi_connection.close()

    def _alive(self, session: PoolProxiedConnection) -> bool:
        try:
            session.cursor().execute("SELECT 1")
        except self._engine.dialect.loaded_dbapi.Error:
            return False
        return True
