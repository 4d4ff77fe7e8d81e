"""What is owed to whom: one delivery for each result object and destination, until the peer has it.

Offering an object twice does no harm (same UID, same bytes); forgetting one does. So a delivery is OWED
until its own C-STORE was answered, and only a newer result or a person changes that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, insert, or_, select, update

from storage import history, schema
from storage.errors import Unknown
from storage.records import Delivery, ResultKind, ResultObject
from storage.states import DeliveryEvent, DeliveryState, move_delivery

_deliveries = schema.deliveries
_results = schema.results
_UNSENT = (DeliveryState.OWED, DeliveryState.PARKED)


def due(tx: Connection, *, now: datetime, destination: str | None = None) -> dict[str, list[Delivery]]:
    """Return what should be offered now, by destination; in each list the longest owed first."""
    query = _joined().where(
        _deliveries.c.state == DeliveryState.OWED,
        _deliveries.c.not_before <= now,
        *_only(destination=destination),
    )
    found: dict[str, list[Delivery]] = {}
    for row in tx.execute(query.order_by(_deliveries.c.id)):
        found.setdefault(row.destination, []).append(_delivery(row))
    return found


def next_due(tx: Connection) -> datetime | None:
    """Return when the next delivery is due (it may be past), or None where nothing is owed."""
    earliest: datetime | None = tx.execute(
        select(func.min(_deliveries.c.not_before)).where(_deliveries.c.state == DeliveryState.OWED)
    ).scalar_one()
    return earliest


def sent(tx: Connection, delivery_id: int, *, status: int, now: datetime) -> None:
    """Settle: the peer answered that it keeps the object. Raises Unknown, IllegalMove."""
    row = _move(
        tx,
        delivery_id,
        DeliveryEvent.ACCEPTED,
        sent_at=now,
        last_status=status,
        reason=None,
    )
    _touch(tx, row.study_uid, now)
    history.append(
        tx,
        row.study_uid,
        "sent",
        now,
        sop_instance_uid=row.sop_instance_uid,
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
    row = _move(
        tx,
        delivery_id,
        DeliveryEvent.FAILED_FOR_NOW,
        not_before=not_before,
        last_status=status,
        reason=reason,
    )
    _touch(tx, row.study_uid, now)


def never(tx: Connection, delivery_id: int, *, status: int | None, reason: str, now: datetime) -> None:
    """Park: the peer refused for good, for a ``reason`` a person can act on. Raises Unknown, IllegalMove."""
    row = _move(tx, delivery_id, DeliveryEvent.FAILED_FOR_GOOD, last_status=status, reason=reason)
    _touch(tx, row.study_uid, now)
    history.append(
        tx,
        row.study_uid,
        "delivery parked",
        now,
        sop_instance_uid=row.sop_instance_uid,
        destination=row.destination,
        **({} if status is None else {"status": status}),
    )


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
                _move(tx, known[destination].id, DeliveryEvent.OWED_AGAIN, attempts=0, not_before=now)
                owed += 1
    return owed


def withdraw(tx: Connection, study_uid: str, *, keep: Collection[str] = (), now: datetime) -> int:
    """Withdraw what is not sent of the study's results but those in ``keep``. Returns how many deliveries."""
    rows = tx.execute(
        _joined().where(
            _results.c.study_uid == study_uid,
            _deliveries.c.state.in_(_UNSENT),
            _results.c.sop_instance_uid.not_in(keep),
        )
    ).all()
    for row in rows:
        _move(tx, row.id, DeliveryEvent.REPLACED)
    if rows:
        history.append(tx, study_uid, "results withdrawn", now, deliveries=len(rows))
    return len(rows)


def retry(
    tx: Connection, *, study_uid: str | None = None, destination: str | None = None, now: datetime
) -> int:
    """Make parked deliveries owed again and waiting ones due now, all or those named. Returns how many."""
    rows = tx.execute(
        _joined().where(
            or_(
                _deliveries.c.state == DeliveryState.PARKED,
                and_(_deliveries.c.state == DeliveryState.OWED, _deliveries.c.not_before > now),
            ),
            *_only(study_uid=study_uid, destination=destination),
        )
    ).all()
    for row in rows:
        _move(tx, row.id, DeliveryEvent.RETRIED, attempts=0, not_before=now, reason=None)
    return len(rows)


def parked(tx: Connection) -> list[Delivery]:
    """Return the parked deliveries, with their reasons; the longest owed first."""
    query = _joined().where(_deliveries.c.state == DeliveryState.PARKED).order_by(_deliveries.c.id)
    return [_delivery(row) for row in tx.execute(query)]


def counts(tx: Connection) -> dict[str, dict[DeliveryState, int]]:
    """Return how many deliveries stand where, by destination. Every state is named."""
    found: dict[str, dict[DeliveryState, int]] = {}
    for destination, state, number in tx.execute(
        select(_deliveries.c.destination, _deliveries.c.state, func.count())
        .group_by(_deliveries.c.destination, _deliveries.c.state)
        .order_by(_deliveries.c.destination)
    ):
        found.setdefault(destination, dict.fromkeys(DeliveryState, 0))[state] = number
    return found


def last_success(tx: Connection) -> dict[str, datetime]:
    """Return when each destination last took an object."""
    return _by_destination(tx, func.max(_deliveries.c.sent_at), DeliveryState.SENT)


def oldest_owed(tx: Connection) -> dict[str, datetime]:
    """Return since when each destination has been owed something."""
    return _by_destination(tx, func.min(_deliveries.c.created_at), DeliveryState.OWED)


def _by_destination(
    tx: Connection, what: ColumnElement[datetime], state: DeliveryState
) -> dict[str, datetime]:
    rows = tx.execute(
        select(_deliveries.c.destination, what.label("at"))
        .where(_deliveries.c.state == state)
        .group_by(_deliveries.c.destination)
    )
    return {row.destination: row.at for row in rows}


def _move(tx: Connection, delivery_id: int, event: DeliveryEvent, **values: object) -> Row[Any]:
    """Take one step of the state table. Returns the row as it was, with its study."""
    row = tx.execute(_joined().where(_deliveries.c.id == delivery_id).with_for_update()).one_or_none()
    if row is None:
        raise Unknown(f"there is no delivery {delivery_id} (any more)")
    state = move_delivery(row.state, event)
    offered = event in (
        DeliveryEvent.ACCEPTED,
        DeliveryEvent.FAILED_FOR_NOW,
        DeliveryEvent.FAILED_FOR_GOOD,
    )
    moved: Mapping[str, object] = {"attempts": row.attempts + offered, **values, "state": state}
    tx.execute(
        update(_deliveries)
        .where(_deliveries.c.id == delivery_id, _deliveries.c.state == row.state)
        .values(**moved)
    )
    return row


def _touch(tx: Connection, study_uid: str, now: datetime) -> None:
    tx.execute(update(schema.studies).where(schema.studies.c.study_uid == study_uid).values(last_at=now))


def _new(uid: str, destination: str, now: datetime) -> dict[str, object]:
    return {
        "sop_instance_uid": uid,
        "destination": destination,
        "state": DeliveryState.OWED,
        "attempts": 0,
        "not_before": now,
        "created_at": now,
    }


def _joined() -> Select[Any]:
    """Return the query of deliveries, each with its result object."""
    return select(
        _deliveries,
        *(column for column in _results.c if column.name != "sop_instance_uid"),
    ).join(_results, _results.c.sop_instance_uid == _deliveries.c.sop_instance_uid)


def _only(*, study_uid: str | None = None, destination: str | None = None) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if study_uid is not None:
        wanted.append(_results.c.study_uid == study_uid)
    if destination is not None:
        wanted.append(_deliveries.c.destination == destination)
    return wanted


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        result=ResultObject(
            sop_instance_uid=row.sop_instance_uid,
            study_uid=row.study_uid,
            kind=ResultKind(row.kind),
            sop_class_uid=row.sop_class_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            series_uid=row.series_uid,
            file=row.file,
            size=row.size,
            report_id=row.report_id,
        ),
        destination=row.destination,
        state=row.state,
        attempts=row.attempts,
        not_before=row.not_before,
        last_status=row.last_status,
        reason=row.reason,
        sent_at=row.sent_at,
    )
