"""Timers that run by the monotonic clock. The library's run by the wall clock."""

from __future__ import annotations

import time
from typing import Final

from pynetdicom.events import Event
from pynetdicom.timer import Timer

TIMERS: Final = ("_idle_timer", "artim_timer")
"""The timers of an association's upper layer: for the network timeout and ARTIM (PS3.8 9.1.5)."""


class MonotonicTimer(Timer):
    """A timer that runs by the monotonic clock, which nobody sets.

    The library's runs by the wall clock, which people and NTP set: set ahead by an hour, it ends every
    association under way as idle; set back by an hour, it keeps silent ones for an hour more.
    """

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


def use_monotonic_timers(event: Event) -> None:
    """Give the association of an EVT_CONN_OPEN monotonic timers, before its first message."""
    upper_layer = event.assoc.dul
    for name in TIMERS:
        replaced: Timer = getattr(upper_layer, name)
        timer = MonotonicTimer(replaced.timeout)
        if replaced._start_time is not None:  # noqa: SLF001 - the library does not tell whether one runs
            timer.start()
        setattr(upper_layer, name, timer)
