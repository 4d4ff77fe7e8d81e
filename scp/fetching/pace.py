"""When the next study may be fetched: so many an hour, in certain hours, and no faster than they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Final

from scp.errors import WRONG_USAGE, CommandError

LONGEST_PAUSE: Final = 30.0
"""Seconds; after so long the clock is read again, which may have been set meanwhile."""
MOST_WAITING: Final = 40
"""Images that may wait to be read: behind more of them those of today would wait too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """The hours of the day, by this machine's local time, in which studies are fetched."""

    opening: time
    closing: time
    """Not included. At or before `opening`: on the next day."""

    @classmethod
    def read(cls, text: str) -> Hours:
        """Return what ``22-6`` or ``22:30-05:45`` means. Raises CommandError."""
        opening, _, closing = text.replace(" ", "").partition("-")
        try:
            return cls(opening=_hour(opening), closing=_hour(closing))
        except ValueError as error:
            raise CommandError(
                f"{text!r} are no hours such as 22-6 or 22:30-05:45", code=WRONG_USAGE
            ) from error

    def open_at(self, moment: time) -> bool:
        """Tell whether studies are fetched at ``moment``."""
        if self.opening < self.closing:
            return self.opening <= moment < self.closing
        return moment >= self.opening or moment < self.closing


@dataclass(kw_only=True, slots=True)
class Pace:
    """Lets one study after the other pass. `wait` before each that is fetched."""

    hours: Hours | None
    interval: timedelta
    """From the begin of one fetch to that of the next, at least."""
    waiting: Callable[[], int]
    """Returns how many images wait to be read, where somebody reads them."""
    now: Callable[[], datetime]
    pause: Callable[[float], object]
    """Waits so many seconds."""
    last: datetime | None = field(default=None, init=False)
    """When the last fetch began."""

    def wait(self, announce: Callable[[str], None]) -> None:
        """Wait until a study may be fetched; tell ``announce`` for what."""
        while (seconds := self._seconds(announce)) > 0:
            self.pause(min(seconds, LONGEST_PAUSE))
        self.last = self.now()

    def _seconds(self, announce: Callable[[str], None]) -> float:
        now = self.now()
        local = now.astimezone()
        if self.hours is not None and not self.hours.open_at(local.time()):
            announce(f"waiting for {self.hours.opening:%H:%M} {local:%Z}")
            return LONGEST_PAUSE
        if self.last is not None and self.last <= now < self.last + self.interval:
            announce("waiting, for the rate limit")
            return (self.last + self.interval - now).total_seconds()
        if self.waiting() > MOST_WAITING:
            announce("waiting for the node to read what it has")
            return LONGEST_PAUSE / 10
        return 0.0


def _hour(text: str) -> time:
    """Return the time of day that ``text`` means. Raises ValueError."""
    hour, _, minute = text.partition(":")
    return time(0 if hour == "24" else int(hour), int(minute or 0))
