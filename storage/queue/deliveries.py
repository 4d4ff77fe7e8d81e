"""What is owed to whom: one delivery for each result object and destination, until the peer has it.

Offering an object twice does no harm (same UID, same bytes); forgetting one does. So a delivery is OWED
until its own C-STORE was answered, and only a newer result or a person changes that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select

from storage import history
from storage.database import schema
from storage.database.columns import distinct
from storage.records import Delivery
from storage.states import DeliveryEvent, DeliveryState
from storage.transitions import tallies
from storage.transitions.deliveries import joined, record, take, touch
from storage.transitions.tallies import TALLIED, Subject

Taking: TypeAlias = Callable[[str, str], bool]
"""Whether a destination is sent objects of a kind."""

_deliveries = schema.deliveries
_results = schema.results
_UNSENT: Final = (DeliveryState.OWED, DeliveryState.PARKED)


def any_kind(_destination: str, _kind: str) -> bool:
    """Say that every destination takes every kind."""
    return True


def owe_each(
    tx: Connection,
    kinds: Mapping[str, str],
    destinations: Collection[str],
    *,
    takes: Taking = any_kind,
    now: datetime,
) -> int:
    """Owe each of the result objects to each of ``destinations`` that takes its kind, in this order.

    One that is owed, sent or parked already stays so; one that was withdrawn is owed again.

    Parameters
    ----------
    kinds
        SOP Instance UID → kind of the object.
    takes
        Whether a destination is sent objects of a kind.

    Returns
    -------
    int
        How many deliveries became owed.
    """
    number = 0
    for uid, kind in kinds.items():
        deliveries = {
            row.destination: row
            for row in tx.execute(select(_deliveries).where(_deliveries.c.sop_instance_uid == uid))
        }
        for destination in (name for name in destinations if takes(name, kind)):
            if destination not in deliveries:
                tx.execute(insert(_deliveries).values(_new(uid, destination, now)))
                number += 1
            elif deliveries[destination].state is DeliveryState.WITHDRAWN:
                take(tx, deliveries[destination].id, DeliveryEvent.OWED_AGAIN, attempts=0, not_before=now)
                number += 1
    return number


def withdraw(
    tx: Connection, study_uid: str, *, keep: Mapping[str, Collection[str]] | None = None, now: datetime
) -> int:
    """Withdraw what is not sent of the study's results. Returns how many deliveries.

    ``keep`` holds by result object the destinations to which it goes on being owed.
    """
    exempt = keep or {}
    rows = [
        row
        for row in tx.execute(
            joined().where(_results.c.study_uid == study_uid, _deliveries.c.state.in_(_UNSENT))
        ).all()
        if row.destination not in exempt.get(row.sop_instance_uid, ())
    ]
    for row in rows:
        take(tx, row.id, DeliveryEvent.REPLACED)
    if rows:
        history.append(tx, study_uid, "results withdrawn", now, deliveries=len(rows))
    return len(rows)


def due(tx: Connection, *, now: datetime, destination: str | None = None) -> dict[str, list[Delivery]]:
    """Return what should be offered now, by destination; in each list the longest owed first."""
    query = joined().where(
        _deliveries.c.state == DeliveryState.OWED,
        _deliveries.c.not_before <= now,
        *_only(destination=destination),
    )
    by_destination: dict[str, list[Delivery]] = {}
    for row in tx.execute(query.order_by(_deliveries.c.id)):
        by_destination.setdefault(row.destination, []).append(record(row))
    return by_destination


def due_destinations(tx: Connection, *, now: datetime) -> list[str]:
    """Return the destinations to which something should be offered now, in alphabetical order."""
    query = (
        select(_deliveries.c.destination)
        .where(_deliveries.c.state == DeliveryState.OWED, _deliveries.c.not_before <= now)
        .distinct()
    )
    return sorted(tx.execute(query).scalars())


def is_owed(tx: Connection, delivery_id: int) -> bool:
    """Tell whether the delivery is still owed: a newer result may have replaced it meanwhile."""
    state = tx.execute(
        select(_deliveries.c.state).where(_deliveries.c.id == delivery_id)
    ).scalar_one_or_none()
    return state is DeliveryState.OWED


def sent(tx: Connection, delivery_id: int, *, status: int, now: datetime, sent_as: str | None = None) -> None:
    """Settle: the peer answered that it keeps the object. Raises Unknown, IllegalMove.

    ``sent_as`` is the SOP Instance UID on the wire, where the peer took the object in another SOP class;
    None means the object's own.
    """
    row = take(
        tx,
        delivery_id,
        DeliveryEvent.ACCEPTED,
        sent_at=now,
        sent_as=sent_as,
        last_status=status,
        reason=None,
    )
    touch(tx, row.study_uid, now)
    history.append(
        tx,
        row.study_uid,
        "sent",
        now,
        sop_instance_uid=sent_as or row.sop_instance_uid,
        destination=row.destination,
        status=status,
    )


def again(
    tx: Connection,
    delivery_id: int,
    *,
    not_before: datetime,
    status: int | None,
    reason: str,
    now: datetime,
) -> None:
    """Put off: the peer may take it later; ``status`` None: none came. Raises Unknown, IllegalMove."""
    row = take(
        tx,
        delivery_id,
        DeliveryEvent.FAILED_FOR_NOW,
        not_before=not_before,
        last_status=status,
        reason=reason,
    )
    touch(tx, row.study_uid, now)


def never(tx: Connection, delivery_id: int, *, status: int | None, reason: str, now: datetime) -> None:
    """Park: the peer refused for good, for a ``reason`` a person can act on. Raises Unknown, IllegalMove."""
    row = take(tx, delivery_id, DeliveryEvent.FAILED_FOR_GOOD, last_status=status, reason=reason)
    touch(tx, row.study_uid, now)
    history.append(
        tx,
        row.study_uid,
        "delivery parked",
        now,
        sop_instance_uid=row.sop_instance_uid,
        destination=row.destination,
        **({} if status is None else {"status": status}),
    )


def retry(
    tx: Connection, *, study_uid: str | None = None, destination: str | None = None, now: datetime
) -> int:
    """Make parked deliveries owed again and waiting ones due now, all or those named. Returns how many."""
    rows = tx.execute(
        joined().where(
            or_(
                _deliveries.c.state == DeliveryState.PARKED,
                and_(_deliveries.c.state == DeliveryState.OWED, _deliveries.c.not_before > now),
            ),
            *_only(study_uid=study_uid, destination=destination),
        )
    ).all()
    for row in rows:
        take(tx, row.id, DeliveryEvent.RETRIED, attempts=0, not_before=now, reason=None)
    return len(rows)


def counts(tx: Connection) -> dict[str, dict[DeliveryState, int]]:
    """Return how many deliveries stand where, by destination. Every state is named."""
    settled = tallies.standing(tx, Subject.DELIVERIES)
    return {
        destination: {
            state: settled.get((destination, state), 0)
            if state in TALLIED[Subject.DELIVERIES]
            else _how_many(tx, destination, state)
            for state in DeliveryState
        }
        for destination in distinct(tx, _deliveries.c.destination)
    }


def last_success(tx: Connection) -> dict[str, datetime]:
    """Return when each destination last took an object."""
    last: dict[str, datetime] = {}
    for destination in distinct(tx, _deliveries.c.destination):
        query = select(func.max(_deliveries.c.sent_at)).where(_deliveries.c.destination == destination)
        at = tx.execute(query.where(_deliveries.c.sent_at.is_not(None))).scalar_one()
        if at is not None:
            last[destination] = at
    return last


def oldest_owed(tx: Connection) -> dict[str, datetime]:
    """Return since when each destination has been owed something."""
    rows = tx.execute(
        select(_deliveries.c.destination, func.min(_deliveries.c.created_at).label("at"))
        .where(_deliveries.c.state == DeliveryState.OWED)
        .group_by(_deliveries.c.destination)
    )
    return {row.destination: row.at for row in rows}


def _how_many(tx: Connection, destination: str, state: DeliveryState) -> int:
    """Count one stretch of an index: grouping all deliveries would compare the words of each."""
    query = select(func.count()).where(_deliveries.c.state == state, _deliveries.c.destination == destination)
    return int(tx.execute(query).scalar_one())


def _only(*, study_uid: str | None = None, destination: str | None = None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if study_uid is not None:
        conditions.append(_results.c.study_uid == study_uid)
    if destination is not None:
        conditions.append(_deliveries.c.destination == destination)
    return conditions


def _new(uid: str, destination: str, now: datetime) -> dict[str, object]:
    return {
        "sop_instance_uid": uid,
        "destination": destination,
        "state": DeliveryState.OWED,
        "attempts": 0,
        "not_before": now,
        "created_at": now,
    }
