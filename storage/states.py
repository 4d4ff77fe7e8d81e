"""The states of jobs, deliveries and commitments, and every step between them. Nothing else moves a state.

The schema repeats these promises (`storage.database.schema`); each UPDATE names the state that it expects.
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
    LOST = "LOST"
    """The peer took it, and when asked for its commitment said that it does not keep it."""
    LOST_FOR_GOOD = "LOST_FOR_GOOD"
    """The same, for a reason that sending again does not mend, or too often."""
    FOUND = "FOUND"
    """A late commitment says that the peer keeps it after all."""


class CommitmentState(StrEnum):
    """Where the commitment of one object that a destination took stands."""

    DUE = "DUE"
    """The destination is to be asked."""
    ASKED = "ASKED"
    """It has accepted the request; its report is awaited."""
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"
    """It does not keep the object: what becomes of that is the delivery's to say."""
    PARKED = "PARKED"
    """It refuses to be asked: only a person brings the question back."""
    WAIVED = "WAIVED"
    """Nobody asks any more: the configuration says so."""


class CommitmentEvent(StrEnum):
    """What happens to a commitment."""

    DELIVERED = "DELIVERED"
    """The object was sent again."""
    ACCEPTED = "ACCEPTED"
    FAILED_FOR_NOW = "FAILED_FOR_NOW"
    """The destination could not be asked now."""
    FAILED_FOR_GOOD = "FAILED_FOR_GOOD"
    CONFIRMED = "CONFIRMED"
    DENIED = "DENIED"
    RETRIED = "RETRIED"
    WAIVED = "WAIVED"


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
        (DeliveryState.SENT, DeliveryEvent.LOST): DeliveryState.OWED,
        (DeliveryState.SENT, DeliveryEvent.LOST_FOR_GOOD): DeliveryState.PARKED,
        (DeliveryState.PARKED, DeliveryEvent.FOUND): DeliveryState.SENT,
    }
)
"""Every legal step of a delivery."""

COMMITMENT_MOVES: Final[Mapping[tuple[CommitmentState, CommitmentEvent], CommitmentState]] = MappingProxyType(
    {
        (CommitmentState.DUE, CommitmentEvent.ACCEPTED): CommitmentState.ASKED,
        (CommitmentState.DUE, CommitmentEvent.FAILED_FOR_NOW): CommitmentState.DUE,
        (CommitmentState.DUE, CommitmentEvent.FAILED_FOR_GOOD): CommitmentState.PARKED,
        # Asked again, because no report came in time.
        (CommitmentState.ASKED, CommitmentEvent.ACCEPTED): CommitmentState.ASKED,
        (CommitmentState.ASKED, CommitmentEvent.FAILED_FOR_NOW): CommitmentState.DUE,
        (CommitmentState.ASKED, CommitmentEvent.FAILED_FOR_GOOD): CommitmentState.PARKED,
        # A report is a fact whenever it comes: before the answer to its request, or days late.
        (CommitmentState.DUE, CommitmentEvent.CONFIRMED): CommitmentState.COMMITTED,
        (CommitmentState.ASKED, CommitmentEvent.CONFIRMED): CommitmentState.COMMITTED,
        (CommitmentState.FAILED, CommitmentEvent.CONFIRMED): CommitmentState.COMMITTED,
        (CommitmentState.PARKED, CommitmentEvent.CONFIRMED): CommitmentState.COMMITTED,
        (CommitmentState.WAIVED, CommitmentEvent.CONFIRMED): CommitmentState.COMMITTED,
        (CommitmentState.DUE, CommitmentEvent.DENIED): CommitmentState.FAILED,
        (CommitmentState.ASKED, CommitmentEvent.DENIED): CommitmentState.FAILED,
        (CommitmentState.PARKED, CommitmentEvent.DENIED): CommitmentState.FAILED,
        (CommitmentState.FAILED, CommitmentEvent.DELIVERED): CommitmentState.DUE,
        (CommitmentState.WAIVED, CommitmentEvent.DELIVERED): CommitmentState.DUE,
        # Confirmed late, while it was owed again: same UID, same bytes, the peer's word stands.
        (CommitmentState.COMMITTED, CommitmentEvent.DELIVERED): CommitmentState.COMMITTED,
        (CommitmentState.DUE, CommitmentEvent.RETRIED): CommitmentState.DUE,
        (CommitmentState.ASKED, CommitmentEvent.RETRIED): CommitmentState.DUE,
        (CommitmentState.PARKED, CommitmentEvent.RETRIED): CommitmentState.DUE,
        (CommitmentState.DUE, CommitmentEvent.WAIVED): CommitmentState.WAIVED,
        (CommitmentState.ASKED, CommitmentEvent.WAIVED): CommitmentState.WAIVED,
        (CommitmentState.FAILED, CommitmentEvent.WAIVED): CommitmentState.WAIVED,
        (CommitmentState.PARKED, CommitmentEvent.WAIVED): CommitmentState.WAIVED,
    }
)
"""Every legal step of a commitment."""

UNCOMMITTED: Final = (CommitmentState.DUE, CommitmentState.ASKED, CommitmentState.PARKED)
"""The object was sent and its destination has not said yet that it keeps it."""

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


def move_commitment(state: CommitmentState, event: CommitmentEvent) -> CommitmentState:
    """Return the state that ``event`` leads to. Raises IllegalMove for a step the table does not have."""
    try:
        return COMMITMENT_MOVES[state, event]
    except KeyError:
        raise IllegalMove("commitment", state, event) from None
