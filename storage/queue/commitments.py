"""Whom to ask for the commitment to keep what it took (PS3.4 annex J), and which requests were made.

A C-STORE answered with success says that the peer has the object, a commitment that it is responsible for
it from now on. A request is written down before it goes out, so that a report is recognised however early
or late it comes. Asking twice does no harm, under a new Transaction UID each time; forgetting to ask does.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from storage.database import schema
from storage.records import Delivery
from storage.states import UNCOMMITTED, CommitmentEvent, CommitmentState, DeliveryState
from storage.transitions import tallies
from storage.transitions.commitments import Commitment, joined, record, take
from storage.transitions.tallies import Subject

_commitments = schema.commitments
_deliveries = schema.deliveries
_requests = schema.commitment_requests

UNREPORTED: Final = "no report on the request before came in time"
"""The reason where a destination accepted a request and had to be asked again."""

_TO_ASK: Final = (CommitmentState.DUE, CommitmentState.ASKED)
_RETRIABLE: Final = (CommitmentState.DUE, CommitmentState.ASKED, CommitmentState.PARKED)
_WAIVABLE: Final = (*_RETRIABLE, CommitmentState.FAILED)


def want(
    tx: Connection, delivery: Delivery, *, sop_class_uid: str, sop_instance_uid: str, now: datetime
) -> None:
    """Ask for the commitment of what was just sent, in the same transaction as `outbox.sent`.

    The UIDs are those under which the object went over the wire.
    """
    sent = {"sop_class_uid": sop_class_uid, "sop_instance_uid": sop_instance_uid, "sent_at": now}
    row = tx.execute(
        select(_commitments.c.delivery_id).where(_commitments.c.delivery_id == delivery.id)
    ).scalar_one_or_none()
    if row is not None:
        take(tx, delivery.id, CommitmentEvent.DELIVERED, **sent, not_before=now, reason=None)
        return
    tx.execute(
        insert(_commitments).values(
            delivery_id=delivery.id,
            state=CommitmentState.DUE,
            **sent,
            attempts=0,
            failures=0,
            not_before=now,
        )
    )


def due(tx: Connection, *, now: datetime, destination: str) -> list[Commitment]:
    """Return what ``destination`` should be asked about now; the longest sent first.

    Among it is what it was asked about already, if its report has not come in time.
    """
    query = joined().where(*_askable(now), _deliveries.c.destination == destination)
    return [record(row) for row in tx.execute(query.order_by(_commitments.c.delivery_id))]


def due_destinations(tx: Connection, *, now: datetime) -> list[str]:
    """Return the destinations that should be asked now, in alphabetical order."""
    query = (
        select(_deliveries.c.destination)
        .join(_commitments, _commitments.c.delivery_id == _deliveries.c.id)
        .where(*_askable(now))
        .distinct()
    )
    return sorted(tx.execute(query).scalars())


def open_request(
    tx: Connection, transaction_uid: str, destination: str, delivery_ids: Collection[int], *, now: datetime
) -> None:
    """Write down, before it goes out, a request about these deliveries. Raises Conflict for a used UID."""
    tx.execute(
        insert(_requests).values(transaction_uid=transaction_uid, destination=destination, opened_at=now)
    )
    tx.execute(
        insert(schema.commitment_items),
        [{"transaction_uid": transaction_uid, "delivery_id": commitment} for commitment in delivery_ids],
    )


def accepted(tx: Connection, delivery_ids: Collection[int], *, answer_until: datetime, now: datetime) -> None:
    """Note that the destination has accepted a request; where its report was faster, that stands."""
    for commitment in _askable_among(tx, delivery_ids):
        take(
            tx,
            commitment.delivery_id,
            CommitmentEvent.ACCEPTED,
            attempts=commitment.attempts + 1,
            asked_at=now,
            not_before=answer_until,
            reason=UNREPORTED if commitment.state is CommitmentState.ASKED else None,
        )


def again(tx: Connection, delivery_ids: Collection[int], *, not_before: datetime, reason: str) -> None:
    """Put off: the destination could not be asked now. What is answered meanwhile stays so."""
    for commitment in _askable_among(tx, delivery_ids):
        event = CommitmentEvent.FAILED_FOR_NOW
        take(
            tx,
            commitment.delivery_id,
            event,
            attempts=commitment.attempts + 1,
            not_before=not_before,
            reason=reason,
        )


def never(tx: Connection, delivery_ids: Collection[int], *, reason: str) -> None:
    """Park: the destination refuses to be asked, for a ``reason`` a person can act on."""
    for commitment in _askable_among(tx, delivery_ids):
        event = CommitmentEvent.FAILED_FOR_GOOD
        take(tx, commitment.delivery_id, event, attempts=commitment.attempts + 1, reason=reason)


def retry(
    tx: Connection, *, study_uid: str | None = None, destination: str | None = None, now: datetime
) -> int:
    """Ask now about what is parked, waits or was asked already, all or those named. Returns about how many.

    What is to be sent again because it was not committed gets all its tries back.
    """
    conditions: list[ColumnElement[bool]] = [_commitments.c.state.in_((*_RETRIABLE, CommitmentState.FAILED))]
    if study_uid is not None:
        conditions.append(schema.results.c.study_uid == study_uid)
    if destination is not None:
        conditions.append(_deliveries.c.destination == destination)
    commitments = [record(row) for row in tx.execute(joined().where(*conditions))]
    retriable = [commitment for commitment in commitments if commitment.state in _RETRIABLE]
    for commitment in retriable:
        take(
            tx,
            commitment.delivery_id,
            CommitmentEvent.RETRIED,
            attempts=0,
            failures=0,
            not_before=now,
            reason=None,
        )
    unsent = [
        commitment.delivery_id for commitment in commitments if commitment.delivery is DeliveryState.OWED
    ]
    tx.execute(update(_commitments).where(_commitments.c.delivery_id.in_(unsent)).values(failures=0))
    return len(retriable)


def waive_all_but(tx: Connection, destinations: Collection[str]) -> int:
    """Stop asking every destination that is not one of these. Returns how many commitments are waived."""
    rows = tx.execute(
        joined().where(_commitments.c.state.in_(_WAIVABLE), _deliveries.c.destination.not_in(destinations))
    ).all()
    for row in rows:
        take(tx, row.delivery_id, CommitmentEvent.WAIVED)
    return len(rows)


def counts(tx: Connection) -> dict[str, dict[CommitmentState, int]]:
    """Return how many commitments stand where, by destination. Every state is named."""
    by_place = tallies.standing(tx, Subject.COMMITMENTS)
    for destination, state, number in tx.execute(
        select(_deliveries.c.destination, _commitments.c.state, func.count())
        .join(_commitments, _commitments.c.delivery_id == _deliveries.c.id)
        .where(_commitments.c.state.in_(UNCOMMITTED))
        .group_by(_deliveries.c.destination, _commitments.c.state)
    ):
        by_place[destination, state] = number
    return {
        destination: {state: by_place.get((destination, state), 0) for state in CommitmentState}
        for destination in sorted({destination for destination, _ in by_place})
    }


def _askable(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        _commitments.c.state.in_(_TO_ASK),
        _commitments.c.not_before <= now,
        # what is owed again meanwhile is asked about when it has been sent
        _deliveries.c.state == DeliveryState.SENT,
    )


def _askable_among(tx: Connection, delivery_ids: Collection[int]) -> list[Commitment]:
    query = joined().where(_commitments.c.delivery_id.in_(delivery_ids), _commitments.c.state.in_(_TO_ASK))
    return [record(row) for row in tx.execute(query.order_by(_commitments.c.delivery_id))]
