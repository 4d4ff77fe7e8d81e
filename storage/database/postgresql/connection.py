"""How a server is reached, and what each session asks of it.

A host that is cut off must not hold the lock for long: the server looks after a silent one within about
20 seconds, and ends a transaction in which nothing happens for a minute.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError

from storage.errors import DatabaseError

DRIVER: Final = "postgresql+psycopg"

_SESSION: Final = {
    "TimeZone": "UTC",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
    "idle_in_transaction_session_timeout": "60000",
}
"""Settings of a session (PostgreSQL, "Server Configuration")."""

_LIBPQ: Final = {
    "application_name": "secondread",
    "client_encoding": "utf8",  # psycopg gives bytes, not text, of a database made with SQL_ASCII
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "20000",
}
"""Parameters of libpq, unless the url names them; seconds, the last one in milliseconds."""

# A server may be set up to answer before a commit is on its disk; what was promised here must be.
_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)


def parse(url: str) -> URL:
    """Return ``url`` in its parts. Raises ValueError with a sentence that does not repeat it."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("it is no url: postgresql+psycopg://USER@HOST/DATABASE is allowed") from error
    if parsed.drivername != DRIVER:
        raise ValueError(f"it must begin with {DRIVER}://; without [database] url the node keeps SQLite")
    if parsed.password is not None or "password" in parsed.query:
        raise ValueError(
            "a password does not belong here: put it into a password file of libpq, named by ?passfile=/PATH "
            "or by the environment variable PGPASSFILE"
        )
    if not parsed.database:
        raise ValueError(f"it names no database: {DRIVER}://USER@HOST/DATABASE is allowed")
    return parsed


def name(url: URL) -> str:
    """Return what a sentence calls the database at ``url``."""
    host = url.host or url.query.get("host") or "this machine"
    port = f":{url.port}" if url.port else ""
    return f"{url.database} at {host}{port}"


def make_engine(url: URL, *, writable: bool) -> Engine:
    """Return what gives connections. Raises DatabaseError where the driver is not installed.

    Transactions are the caller's: the driver begins none by itself.
    """
    settings = _SESSION | ({} if writable else {"default_transaction_read_only": "on"})
    options = " ".join(f"-c {key}={value}" for key, value in settings.items())
    if "options" in url.query:
        options = f"{options} {url.query['options']}"
    libpq = {key: value for key, value in _LIBPQ.items() if key not in url.query}
    try:
        engine = create_engine(
            url.difference_update_query(["options"]),
            connect_args={**libpq, "options": options, "autocommit": True},
            hide_parameters=True,
            # a thread waits for the lock of the database, never for a place in the pool
            max_overflow=-1,
        )
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"database {name(url)}: PostgreSQL needs the driver psycopg: pip install 'secondread[postgresql]'"
        ) from error
    if writable:
        event.listen(engine, "connect", _make_durable)
    return engine


def _make_durable(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(_DURABLE)
    cursor.close()
