"""The one way in which a delivery's row is read and moved: with its object, by a step of the state table."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select, update

from storage.database import schema
from storage.errors import IllegalMove, Unknown
from storage.records import Delivery, ResultObject
from storage.states import DeliveryEvent, move_delivery
from storage.transitions import tallies
from storage.transitions.tallies import Subject

_deliveries = schema.deliveries
_results = schema.results

_OFFERED: Final = (DeliveryEvent.ACCEPTED, DeliveryEvent.FAILED_FOR_NOW, DeliveryEvent.FAILED_FOR_GOOD)
"""What happens only after the object was offered to the peer."""


def joined() -> Select[Any]:
    """Return the query of deliveries, each with its result object."""
    return select(
        _deliveries,
        *(column for column in _results.c if column.name != "sop_instance_uid"),
    ).join(_results, _results.c.sop_instance_uid == _deliveries.c.sop_instance_uid)


def take(tx: Connection, delivery_id: int, event: DeliveryEvent, **values: object) -> Row[Any]:
    """Take one step of the state table. Returns the row as it was. Raises Unknown, IllegalMove."""
    row = tx.execute(joined().where(_deliveries.c.id == delivery_id).with_for_update()).one_or_none()
    if row is None:
        raise Unknown(f"there is no delivery {delivery_id} (any more)")
    state = move_delivery(row.state, event)
    changes = {"attempts": row.attempts + (event in _OFFERED), **values, "state": state}
    moved = tx.execute(
        update(_deliveries)
        .where(_deliveries.c.id == delivery_id, _deliveries.c.state == row.state)
        .values(**changes)
    )
    if moved.rowcount != 1:
        raise IllegalMove("delivery that changed meanwhile", row.state, event)
    tallies.move(tx, Subject.DELIVERIES, row.destination, row.state, state)
    return row


def touch(tx: Connection, study_uid: str, now: datetime) -> None:
    """Note a sign of life of the study."""
    tx.execute(update(schema.studies).where(schema.studies.c.study_uid == study_uid).values(last_at=now))


def record(row: Row[Any]) -> Delivery:
    """Return the record of a row of `joined`."""
    return Delivery(
        id=row.id,
        result=ResultObject(
            sop_instance_uid=row.sop_instance_uid,
            study_uid=row.study_uid,
            kind=row.kind,
            sop_class_uid=row.sop_class_uid,
            alternative_class_uid=row.alternative_class_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            series_uid=row.series_uid,
            file=row.file,
            size=row.size,
            report_id=row.report_id,
            position=row.position,
        ),
        destination=row.destination,
        state=row.state,
        attempts=row.attempts,
        not_before=row.not_before,
        last_status=row.last_status,
        reason=row.reason,
        sent_at=row.sent_at,
        sent_as=row.sent_as,
    )
