"""How long a write transaction waits for another: as it was told, but not beyond the time to stop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

TURN: Final = 0.5
"""Seconds after which who waits for the lock looks whether there is still time to wait."""


@dataclass(slots=True)
class Patience:
    """The patience of everyone who writes to one open database."""

    seconds: float
    deadline: float = float("inf")
    """By the monotonic clock: nobody waits any longer than until then."""

    @property
    def turn(self) -> float:
        """Seconds to wait before one looks again."""
        return min(TURN, self.seconds)

    def end(self) -> float:
        """Return until when, by the monotonic clock, a wait that begins now may last."""
        return time.monotonic() + self.seconds

    def over(self, end: float) -> bool:
        """Tell whether a wait until ``end`` is over, or the time to stop is."""
        return time.monotonic() >= min(end, self.deadline)
