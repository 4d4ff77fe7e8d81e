"""The states of jobs and deliveries, and every step between them. Nothing else moves a state.

The schema repeats these promises (`storage.schema`), and each UPDATE names the state that it expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from storage.errors import IllegalMove


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    PARKED = "PARKED"
    """Given up with a reason: only a person (or a change of its image) brings it back."""


class JobEvent(StrEnum):
    """What happens to a job."""

    CLAIMED = "CLAIMED"
    SUCCEEDED = "SUCCEEDED"
    FAILED_FOR_NOW = "FAILED_FOR_NOW"
    FAILED_FOR_GOOD = "FAILED_FOR_GOOD"
    LEASE_LOST = "LEASE_LOST"
    """Its worker died, its lease ran out or the node was started anew."""
    RENEWED = "RENEWED"
    """Its image changed: whatever runs now works on the old one, so the job starts over."""
    OVERTAKEN = "OVERTAKEN"
    """Its study changed after the report was asked for: the study will ask again."""
    RETRIED = "RETRIED"


class DeliveryState(StrEnum):
    """Where the delivery of one object to one destination stands."""

    OWED = "OWED"
    SENT = "SENT"
    PARKED = "PARKED"
    """Refused for good by the peer: only a person brings it back."""
    WITHDRAWN = "WITHDRAWN"
    """Not sent, because something newer took its place."""


class DeliveryEvent(StrEnum):
    """What happens to a delivery."""

    ACCEPTED = "ACCEPTED"
    FAILED_FOR_NOW = "FAILED_FOR_NOW"
    FAILED_FOR_GOOD = "FAILED_FOR_GOOD"
    REPLACED = "REPLACED"
    RETRIED = "RETRIED"
    OWED_AGAIN = "OWED_AGAIN"
    """What was withdrawn is current again: a header was changed back."""


JOB_MOVES: Final[Mapping[tuple[JobState, JobEvent], JobState]] = MappingProxyType(
    {
        (JobState.WAITING, JobEvent.CLAIMED): JobState.RUNNING,
        (JobState.WAITING, JobEvent.RENEWED): JobState.WAITING,
        (JobState.WAITING, JobEvent.OVERTAKEN): JobState.DONE,
        (JobState.RUNNING, JobEvent.SUCCEEDED): JobState.DONE,
        (JobState.RUNNING, JobEvent.FAILED_FOR_NOW): JobState.WAITING,
        (JobState.RUNNING, JobEvent.FAILED_FOR_GOOD): JobState.PARKED,
        (JobState.RUNNING, JobEvent.LEASE_LOST): JobState.WAITING,
        (JobState.RUNNING, JobEvent.RENEWED): JobState.WAITING,
        (JobState.RUNNING, JobEvent.OVERTAKEN): JobState.DONE,
        (JobState.PARKED, JobEvent.RETRIED): JobState.WAITING,
        (JobState.PARKED, JobEvent.RENEWED): JobState.WAITING,
        (JobState.PARKED, JobEvent.OVERTAKEN): JobState.DONE,
    }
)
"""Every legal step of a job."""

DELIVERY_MOVES: Final[Mapping[tuple[DeliveryState, DeliveryEvent], DeliveryState]] = MappingProxyType(
    {
        (DeliveryState.OWED, DeliveryEvent.ACCEPTED): DeliveryState.SENT,
        (DeliveryState.OWED, DeliveryEvent.FAILED_FOR_NOW): DeliveryState.OWED,
        (DeliveryState.OWED, DeliveryEvent.FAILED_FOR_GOOD): DeliveryState.PARKED,
        (DeliveryState.OWED, DeliveryEvent.REPLACED): DeliveryState.WITHDRAWN,
        (DeliveryState.OWED, DeliveryEvent.RETRIED): DeliveryState.OWED,
        (DeliveryState.PARKED, DeliveryEvent.RETRIED): DeliveryState.OWED,
        (DeliveryState.PARKED, DeliveryEvent.REPLACED): DeliveryState.WITHDRAWN,
        # Withdrawn while it was on the wire: what the peer says is a fact all the same.
        (DeliveryState.WITHDRAWN, DeliveryEvent.ACCEPTED): DeliveryState.SENT,
        (DeliveryState.WITHDRAWN, DeliveryEvent.FAILED_FOR_NOW): DeliveryState.WITHDRAWN,
        (DeliveryState.WITHDRAWN, DeliveryEvent.FAILED_FOR_GOOD): DeliveryState.WITHDRAWN,
        (DeliveryState.WITHDRAWN, DeliveryEvent.OWED_AGAIN): DeliveryState.OWED,
    }
)
"""Every legal step of a delivery."""

LIVE: Final = (JobState.WAITING, JobState.RUNNING)
"""A job in one of these will be done without anybody's help."""


def move_job(state: JobState, event: JobEvent) -> JobState:
    """Return the state that ``event`` leads to. Raises IllegalMove for a step the table does not have."""
    try:
        return JOB_MOVES[state, event]
    except KeyError:
        raise IllegalMove("job", state, event) from None


def move_delivery(state: DeliveryState, event: DeliveryEvent) -> DeliveryState:
    """Return the state that ``event`` leads to. Raises IllegalMove for a step the table does not have."""
    try:
        return DELIVERY_MOVES[state, event]
    except KeyError:
        raise IllegalMove("delivery", state, event) from None
