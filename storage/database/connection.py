"""How SQLite's driver opens the file, and how long a write transaction waits for another.

It waits for as long as it was told, but not beyond the end of the time to stop.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

TURN: Final = 0.5
"""Seconds after which who waits for the lock looks whether there is still time to wait."""

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


@dataclass(slots=True)
class Patience:
    """The patience of everyone who writes to one open database."""

    seconds: float
    deadline: float = float("inf")
    """By the monotonic clock: nobody waits any longer than until then."""

    def begin(self, connection: sqlite3.Connection) -> None:
        """Take the lock for writing. Raises sqlite3.OperationalError where others hold it for too long."""
        until = time.monotonic() + self.seconds
        _wait_in_driver(connection, min(TURN, self.seconds))
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE").close()
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error) or time.monotonic() >= min(until, self.deadline):
                        raise
                else:
                    return
        finally:
            _wait_in_driver(connection, self.seconds)


def _wait_in_driver(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}").close()
