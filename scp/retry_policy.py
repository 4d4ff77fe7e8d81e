"""When what failed is tried again, and after how many failures nobody tries any more.

Waits of deliveries and commitments are the operator's choice (``[delivery]``); everything else stands here.
Which answers of a peer are worth another try, `scp.network.status` says. How often one job may end its worker
is a rule of the queue (`storage.queue.jobs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from scp.configuration.sections import Delivery

LARGEST_DOUBLING: Final = 30
"""More doublings change no wait (thirty of a millisecond are twelve days) and only make large numbers."""

OBJECT_TRIES: Final = 6
"""A peer that answers "cannot understand" may have a passing fault; after so many answers it means it."""

LOST_OBJECT_TRIES: Final = 6
"""A peer that takes an object and does not keep it may have a passing fault; so often, it has another."""

COMMITMENT_REQUEST_TRIES: Final = 6
"""A peer that refuses a request may have a passing fault; after so many refusals it means it."""

JOB_TRIES: Final = 8
"""How often a job may fail by a failure of storage before it is parked: its waits are about ten minutes."""

JOB_TRIES_WITHOUT_MEMORY: Final = 2
"""The same after a lack of memory: a second time it is the job that wants too much."""

STABLE_SECONDS: Final = 60.0
"""A worker or console that lived so long did not die of its start: the next one is started at once."""

OUTBOX_SECONDS: Final = 2.0
"""How often the dispatcher looks for what has fallen due: the grain of every delivery's retry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """Waits that double with every failure."""

    first: timedelta
    """The wait after the first failure."""
    longest: timedelta
    """The longest that the wait grows to."""

    def wait(self, failures: int, *, jitter: float = 0.0) -> timedelta:
        """Return how long to wait after so many ``failures`` in a row (1 is the first).

        ``jitter``, 0 to 1, shortens the wait by at most a quarter, so that peers that failed together do not
        come back together.
        """
        doubled: timedelta = self.first * 2 ** min(max(failures, 1) - 1, LARGEST_DOUBLING)
        return min(doubled, self.longest) * (1 - jitter / 4)


JOB: Final = Backoff(first=timedelta(seconds=5), longest=timedelta(minutes=15))
"""Between two tries of a job after a failure of storage."""

FILES_AWAY: Final = timedelta(minutes=1)
"""The wait of a job while the server that has the files cannot be used, however often: that is no try."""

WORKER_START: Final = Backoff(first=timedelta(milliseconds=200), longest=timedelta(minutes=1))
"""Between the death of a worker and the start of the next one."""

CONSOLE_START: Final = Backoff(first=timedelta(seconds=1), longest=timedelta(minutes=1))
"""Between the end of the console and its next start: another program may have its port for long."""

ALERT: Final = Backoff(first=timedelta(minutes=1), longest=timedelta(hours=1))
"""Between two tries of a mail server or webhook that fails."""
AUDIT: Final = Backoff(first=timedelta(seconds=1), longest=timedelta(minutes=1))
"""Between two tries to reach the receiver of audit messages."""


def of_peer(delivery: Delivery) -> Backoff:
    """Return the waits between two tries of whatever goes to a peer, as the operator has decided."""
    return Backoff(
        first=timedelta(seconds=delivery.first_retry_seconds),
        longest=timedelta(seconds=delivery.longest_retry_seconds),
    )
