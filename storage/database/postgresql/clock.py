"""The server's clock: one for all machines, however wrong their own are."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection

ASK_SECONDS: Final = 10.0
"""Between two looks; so long the machine's monotonic clock counts on, which nobody sets."""

SLOW_SECONDS: Final = 0.5
"""A longer way there and back says too little: half of it may be the error, and looks like a clock that was
set (`scp.schedule.JUMP`)."""

_ASK: Final = "SELECT extract(epoch FROM clock_timestamp())"


class ServerClock:
    """Tells the time of the server. Safe for many threads: what they write is one number each."""

    def __init__(self) -> None:
        self._ahead: float | None = None
        """Seconds since the epoch at the server, less those of this machine's monotonic clock."""
        self._asked_at = float("-inf")

    def now(self) -> datetime:
        """Return the time of the server; before it was ever asked, that of this machine."""
        if self._ahead is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(time.monotonic() + self._ahead, UTC)

    def follow(self, connection: Connection) -> None:
        """Ask the server, over a ``connection`` without a transaction, where the last answer is old.

        Where the answer is slow, an older one stands.
        """
        before = time.monotonic()
        if before - self._asked_at < ASK_SECONDS:
            return
        seconds = float(connection.exec_driver_sql(_ASK).scalar_one())
        self._asked_at = after = time.monotonic()
        if self._ahead is None or after - before <= SLOW_SECONDS:
            self._ahead = seconds - (before + after) / 2
