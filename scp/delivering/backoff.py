"""When to try again: a pure function of the attempt."""

from __future__ import annotations

from datetime import timedelta

from scp.configuration.settings import Delivery


def delay(attempt: int, *, first: timedelta, longest: timedelta, jitter: float) -> timedelta:
    """Return how long to wait after the ``attempt``-th failure (1 is the first).

    The wait doubles from ``first`` up to ``longest``. ``jitter``, 0 to 1, shortens it by at most a
    quarter, so that peers that failed together do not come back together.
    """
    doubled: timedelta = first * 2 ** min(max(attempt, 1) - 1, 30)
    return min(doubled, longest) * (1 - jitter / 4)


def configured(settings: Delivery, attempt: int, *, jitter: float) -> timedelta:
    """Return the `delay` after the ``attempt``-th failure of whatever goes to a peer."""
    return delay(
        attempt,
        first=timedelta(seconds=settings.first_retry_seconds),
        longest=timedelta(seconds=settings.longest_retry_seconds),
        jitter=jitter,
    )
