"""How SQLite's driver opens the file, and how a write transaction waits for another."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, Literal

from storage.database.patience import Patience

SECONDS: Final = 5.0
"""How long a statement waits for another process's lock where nobody says otherwise."""


def connect(file: Path, mode: Literal["ro", "rw"] = "ro", *, seconds: float = SECONDS) -> sqlite3.Connection:
    """Open the file as it is; neither mode makes one, so that no empty one takes the place of what vanished.

    Transactions are the caller's: the driver begins none by itself. Any thread may use the connection.
    """
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=seconds,
        isolation_level=None,
        check_same_thread=False,
    )


def begin(connection: sqlite3.Connection, patience: Patience) -> None:
    """Take the lock for writing. Raises sqlite3.OperationalError where others hold it for too long."""
    end = patience.end()
    _wait_in_driver(connection, patience.turn)
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE").close()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or patience.over(end):
                    raise
            else:
                return
    finally:
        _wait_in_driver(connection, patience.seconds)


def _wait_in_driver(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}").close()
