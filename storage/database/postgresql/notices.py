"""Wake-ups between processes: LISTEN and NOTIFY. One that is lost costs a wait, nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any, Final

from sqlalchemy import Engine, PoolProxiedConnection

from storage.database.postgresql.errors import translated
from storage.errors import DatabaseError

LOOK_SECONDS: Final = 1.0
"""How long one call waits before it looks whether it is to end."""


def notify(engine: Engine, name: str, channel: str) -> None:
    """Wake those that listen to ``channel``. Raises DatabaseError with the database's ``name``."""
    with translated(name), engine.connect() as connection:
        connection.exec_driver_sql(f"NOTIFY {channel}").close()


def listen(
    engine: Engine,
    name: str,
    channels: Collection[str],
    handler: Callable[[str], None],
    stopping: threading.Event,
) -> None:
    """Call ``handler`` with the channel of each notice until ``stopping``; once for each at the beginning.

    Raises DatabaseError where the session ends; what was said between two calls nobody has heard, so each
    call begins as if everything had been said.
    """
    with translated(name):
        session = _session(engine)
        try:
            for channel in channels:
                session.cursor().execute(f"LISTEN {channel}")
            for channel in channels:
                handler(channel)
            driver: Any = session.dbapi_connection
            while not stopping.is_set():
                notices = driver.notifies(timeout=LOOK_SECONDS, stop_after=1)
                for channel in {notice.channel for notice in notices}:
                    handler(channel)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DatabaseError(f"database {name}: the session that listens has ended") from error
        finally:
            if session.dbapi_connection is not None:
                session.dbapi_connection.close()


def _session(engine: Engine) -> PoolProxiedConnection:
    """Return a session of its own, which the pool does not keep."""
    session = engine.connect().connection
    session.detach()
    return session
