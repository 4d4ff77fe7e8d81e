"""What destinations report about their commitment, and what that makes of the objects (PS3.4 J.3.3).

Every step is idempotent: a report that is given twice, or out of turn, finds nothing more to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from storage import history
from storage.database import schema
from storage.errors import Unknown
from storage.states import CommitmentEvent, CommitmentState, DeliveryEvent, DeliveryState
from storage.transitions import deliveries as delivery_steps
from storage.transitions.commitments import Commitment, joined, record, take

_requests = schema.commitment_requests
_items = schema.commitment_items

_DENIABLE = (CommitmentState.DUE, CommitmentState.ASKED, CommitmentState.PARKED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request for commitment that was written down."""

    transaction_uid: str
    destination: str
    opened_at: datetime
    items: tuple[Commitment, ...]
    """What it was about, as it stands now."""


def answered(tx: Connection, transaction_uid: str, *, now: datetime) -> Request:
    """Note that a report on this request came, and return it. Raises Unknown where no such one was made.

    A request is unknown, too, once everything that it was about is forgotten.
    """
    row = tx.execute(
        select(_requests).where(_requests.c.transaction_uid == transaction_uid).with_for_update()
    ).one_or_none()
    if row is None:
        raise Unknown(f"there is no storage commitment request {transaction_uid} (any more)")
    if row.answered_at is None:
        tx.execute(
            update(_requests).where(_requests.c.transaction_uid == transaction_uid).values(answered_at=now)
        )
    about = select(_items.c.delivery_id).where(_items.c.transaction_uid == transaction_uid)
    query = joined().where(schema.commitments.c.delivery_id.in_(about))
    return Request(
        transaction_uid=transaction_uid,
        destination=row.destination,
        opened_at=row.opened_at,
        items=tuple(record(item) for item in tx.execute(query)),
    )


def confirm(tx: Connection, commitment: Commitment, *, now: datetime) -> bool:
    """Note that the destination keeps the object, whichever request it says so to. Tells whether it is news.

    One that was parked because an earlier report had denied it counts as sent again; one that is owed again
    is sent all the same, which does no harm.
    """
    if commitment.state is CommitmentState.COMMITTED:
        return False
    take(
        tx,
        commitment.delivery_id,
        CommitmentEvent.CONFIRMED,
        committed_at=now,
        failure_reason=None,
        reason=None,
    )
    if commitment.delivery is DeliveryState.PARKED:
        delivery_steps.take(
            tx, commitment.delivery_id, DeliveryEvent.FOUND, sent_at=commitment.sent_at, reason=None
        )
    delivery_steps.touch(tx, commitment.study_uid, now)
    _append(tx, commitment, "committed", now)
    return True


def counts_against(request: Request, commitment: Commitment) -> bool:
    """Tell whether a failure that answers ``request`` is about the object as it was last sent."""
    return (
        commitment.state in _DENIABLE
        and commitment.delivery is DeliveryState.SENT
        and request.opened_at >= commitment.sent_at
    )


def deny(
    tx: Connection,
    commitment: Commitment,
    *,
    failure_reason: int,
    reason: str,
    send_again: datetime | None,
    now: datetime,
) -> None:
    """Note that the destination does not keep the object, of which `counts_against` holds.

    It is owed again, not before ``send_again``, or parked where that is None. One that a newer result has
    replaced meanwhile is not sent again but withdrawn.
    """
    outcome = {"failures": commitment.failures + 1, "failure_reason": failure_reason, "reason": reason}
    take(tx, commitment.delivery_id, CommitmentEvent.DENIED, **outcome)
    if send_again is None:
        delivery_steps.take(
            tx, commitment.delivery_id, DeliveryEvent.LOST_FOR_GOOD, sent_at=None, reason=reason
        )
    else:
        delivery = {"sent_at": None, "not_before": send_again, "reason": reason}
        delivery_steps.take(tx, commitment.delivery_id, DeliveryEvent.LOST, **delivery)
    if not _current(tx, commitment.delivery_id):
        delivery_steps.take(tx, commitment.delivery_id, DeliveryEvent.REPLACED)
    delivery_steps.touch(tx, commitment.study_uid, now)
    _append(tx, commitment, "commitment failed", now, failure_reason=failure_reason)


def _current(tx: Connection, delivery_id: int) -> bool:
    """Tell whether the object belongs to what the node says of the study now."""
    deliveries, results, reports = schema.deliveries, schema.results, schema.reports
    return bool(
        tx.execute(
            select(reports.c.current)
            .join(results, results.c.report_id == reports.c.id)
            .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
            .where(deliveries.c.id == delivery_id)
        ).scalar_one()
    )


def _append(tx: Connection, commitment: Commitment, event: str, now: datetime, **fields: int) -> None:
    history.append(
        tx,
        commitment.study_uid,
        event,
        now,
        sop_instance_uid=commitment.sop_instance_uid,
        destination=commitment.destination,
        **fields,
    )
