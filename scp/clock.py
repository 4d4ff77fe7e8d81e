"""Notices that the machine's clock was set: what was written down with the old time is not judged by the new.

Instants in tables come from the wall clock, which a person, NTP or a paused virtual machine may move by a
day. The monotonic clock does not move with it; where the two part, the wall clock has jumped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

JUMP: Final = 1.0
"""Seconds by which the two clocks must part between two looks: NTP's slewing is far below."""
LONGEST_DOUBT: Final = 86_400.0
"""Seconds after which a clock is believed again, however far it has jumped."""


class ClockWatch:
    """Compares two clocks at each `look`. Safe for use from many threads.

    Parameters
    ----------
    wall
        Seconds since the epoch, as the machine believes.
    monotonic
        Seconds since whenever, never set.

    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._apart = wall() - monotonic()
        self._jumped_at: float | None = None
        self._doubtful_until = monotonic()

    def look(self) -> float:
        """Return by how many seconds the wall clock has jumped since the last look: 0 almost always."""
        with self._lock:
            now = self._monotonic()
            apart = self._wall() - now
            jump, self._apart = apart - self._apart, apart
            if abs(jump) < JUMP:
                return 0.0
            self._jumped_at = now
            self._doubtful_until = max(self._doubtful_until, now + min(abs(jump), LONGEST_DOUBT))
            return jump

    def steady_for(self, seconds: float) -> bool:
        """Tell whether no jump was seen for so many seconds: who gives a sign of life every so often has."""
        with self._lock:
            return self._jumped_at is None or self._monotonic() - self._jumped_at >= seconds

    def believed(self) -> bool:
        """Tell whether ages may be taken from the wall clock: a jump is doubted as long as it was wide."""
        with self._lock:
            return self._monotonic() >= self._doubtful_until
