"""Timers of an association that do not move with the wall clock, which people and NTP set.

pynetdicom's own are taken from it: set ahead by an hour, it ends every association under way as idle, and set
back by an hour, it lets silent ones occupy their place for an hour more.
"""

from __future__ import annotations

import time
from typing import Final

from pynetdicom.events import Event
from pynetdicom.timer import Timer

NAMES: Final = ("_idle_timer", "artim_timer")
"""The timers of an association's upper layer: for the network timeout and ARTIM (PS3.8 9.1.5)."""


class SteadyTimer(Timer):
    """Runs by the monotonic clock."""

    def start(self) -> None:
        """Start anew."""
        self._start_time = time.monotonic()
        self._end_time = None

    def stop(self) -> None:
        """Stop."""
        self._end_time = time.monotonic()

    @property
    def remaining(self) -> float:
        """Seconds until the timer expires, negative afterwards; 1 where it never does."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        until = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (until - self._start_time)


def give_timers(event: Event) -> None:
    """Give the association of an EVT_CONN_OPEN steady timers, before its first message."""
    upper_layer = event.assoc.dul
    for name in NAMES:
        before: Timer = getattr(upper_layer, name)
        steady = SteadyTimer(before.timeout)
        if before._start_time is not None:  # noqa: SLF001 - the library does not tell whether one runs
            steady.start()
        setattr(upper_layer, name, steady)
