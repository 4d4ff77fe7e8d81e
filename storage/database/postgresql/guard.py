"""One node for a database: a lock that a session of its own holds for as long as the node runs.

What the lock of the data directory is to a file. The server lets go of it when the session ends, however that
comes; after a restart of the server it is taken again at the next look, unless another node was faster.
"""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

from storage.database.postgresql.errors import LOCK_NOT_AVAILABLE, code, translated
from storage.errors import DatabaseError

NODE: Final = 0x5EC0DE
"""Number of the lock (PostgreSQL, "Advisory Locks"); it is the database's own."""

_TAKE: Final = f"SET lock_timeout = 5000; SELECT pg_advisory_lock({NODE})"
"""The session of a node that was killed may need a moment to end."""


class Guard:
    """Holds the lock of ``engine``'s database, which sentences call ``name``. Safe for many threads."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._mutex = threading.Lock()
        self._session: PoolProxiedConnection | None = None

    def check(self) -> None:
        """Take the lock where it is not held. Raises DatabaseError where another node has it, or none can."""
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
                connection.exec_driver_sql(_TAKE).close()
            except DBAPIError as error:
                self._end()
                if code(error) != LOCK_NOT_AVAILABLE:
                    raise
                raise DatabaseError(
                    f"another node works with the database {self._name}: stop it, or give this one another "
                    "[database] url"
                ) from None

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
