"""What one process of all does at a time: a lock that its session holds, and another's takes when it ends."""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

from storage.database.postgresql.errors import translated

DUTY: Final = 0x5EC0DF
"""Number of the lock (PostgreSQL, "Advisory Locks"); it is the database's own."""

_TAKE: Final = f"SELECT pg_try_advisory_lock({DUTY})"


class Duty:
    """The lock of ``engine``'s database, which sentences call ``name``. Safe for many threads.

    The server lets go of it when the session ends: at once where the process dies, after about 20 seconds
    where its machine is cut off (`storage.database.postgresql.connection`). Who held it asks before each
    step that must not be done twice, and learns then that it does so no more.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._mutex = threading.Lock()
        self._session: PoolProxiedConnection | None = None

    def take(self) -> bool:
        """Take the lock if nobody has it; tell whether this process has it. Raises DatabaseError."""
        with self._mutex:
            if self._session is not None and self._alive(self._session):
                return True
            self._end()
            with translated(self._name):
                connection = self._engine.connect()
                self._session = connection.connection
                self._session.detach()  # the pool would keep the session, and the lock with it
                try:
                    success = bool(connection.exec_driver_sql(_TAKE).scalar_one())
                except DBAPIError:
                    self._end()
                    raise
                if not success:
                    self._end()
                return success

    def held(self) -> bool:
        """Tell whether this process has the lock now: the server is asked."""
        with self._mutex:
            return self._session is not None and self._alive(self._session)

    def release(self) -> None:
        """Let go of the lock."""
        with self._mutex:
            self._end()

    def _alive(self, session: PoolProxiedConnection) -> bool:
        """Ask the server; where the session has ended, the lock has gone with it."""
        try:
            session.cursor().execute("SELECT 1")
        except self._engine.dialect.loaded_dbapi.Error:
            self._end()
            return False
        return True

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.dbapi_connection is not None:
            session.dbapi_connection.close()
