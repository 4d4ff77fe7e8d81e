"""Who is owed what: deliveries come into being here, and are withdrawn when something newer replaces them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection, insert, select

from storage import history
from storage.database import schema
from storage.states import DeliveryEvent, DeliveryState
from storage.transitions.deliveries import joined, take

_deliveries = schema.deliveries
_results = schema.results
_UNSENT = (DeliveryState.OWED, DeliveryState.PARKED)


def owe(tx: Connection, study_uid: str, destination: str, *, now: datetime) -> int:
    """Owe everything current of the study to one more destination. Returns how many deliveries are new."""
    current = (
        tx.execute(
            select(_results.c.sop_instance_uid)
            .join(schema.reports, schema.reports.c.id == _results.c.report_id)
            .where(_results.c.study_uid == study_uid, schema.reports.c.current)
            .order_by(_results.c.kind.desc(), _results.c.sop_instance_uid)
        )
        .scalars()
        .all()
    )
    return owe_each(tx, current, [destination], now=now)


def owe_each(tx: Connection, uids: Iterable[str], destinations: Collection[str], *, now: datetime) -> int:
    """Owe each of the result objects ``uids`` to each of ``destinations``, in this order.

    One that is owed, sent or parked already stays so; one that was withdrawn is owed again.
    Returns how many deliveries became owed.
    """
    owed = 0
    for uid in uids:
        known = {
            row.destination: row
            for row in tx.execute(select(_deliveries).where(_deliveries.c.sop_instance_uid == uid))
        }
        for destination in destinations:
            if destination not in known:
                tx.execute(insert(_deliveries).values(_new(uid, destination, now)))
                owed += 1
            elif known[destination].state is DeliveryState.WITHDRAWN:
                take(tx, known[destination].id, DeliveryEvent.OWED_AGAIN, attempts=0, not_before=now)
                owed += 1
    return owed


def withdraw(tx: Connection, study_uid: str, *, keep: Collection[str] = (), now: datetime) -> int:
    """Withdraw what is not sent of the study's results but those in ``keep``. Returns how many deliveries."""
    rows = tx.execute(
        joined().where(
            _results.c.study_uid == study_uid,
            _deliveries.c.state.in_(_UNSENT),
            _results.c.sop_instance_uid.not_in(keep),
        )
    ).all()
    for row in rows:
        take(tx, row.id, DeliveryEvent.REPLACED)
    if rows:
        history.append(tx, study_uid, "results withdrawn", now, deliveries=len(rows))
    return len(rows)


def _new(uid: str, destination: str, now: datetime) -> dict[str, object]:
    return {
        "sop_instance_uid": uid,
        "destination": destination,
        "state": DeliveryState.OWED,
        "attempts": 0,
        "not_before": now,
        "created_at": now,
    }
