"""The one way in which a commitment's row is read and moved: by a step of the state table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from storage.database import schema
from storage.errors import IllegalMove, Unknown
from storage.states import CommitmentEvent, CommitmentState, DeliveryState, move_commitment
from storage.transitions import tallies
from storage.transitions.tallies import Subject

_commitments = schema.commitments
_deliveries = schema.deliveries
_results = schema.results


@dataclass(frozen=True, kw_only=True, slots=True)
class Commitment:
    """One object that a destination took and is asked to keep."""

    delivery_id: int
    destination: str
    study_uid: str
    delivery: DeliveryState
    state: CommitmentState
    sop_class_uid: str
    """As it was sent; so is the SOP Instance UID."""
    sop_instance_uid: str
    sent_at: datetime
    """When the destination last took the object."""
    attempts: int
    """How often it was tried to ask the destination."""
    failures: int
    """How often the destination said that it does not keep the object."""
    not_before: datetime
    asked_at: datetime | None
    committed_at: datetime | None
    failure_reason: int | None
    """Failure Reason (0008,1197) of the last failure."""
    reason: str | None


def joined() -> Select[Any]:
    """Return the query of commitments, each with its delivery's destination, state and study."""
    return (
        select(
            _commitments,
            _deliveries.c.destination,
            _deliveries.c.state.label("delivery"),
            _results.c.study_uid,
        )
        .join(_deliveries, _deliveries.c.id == _commitments.c.delivery_id)
        .join(_results, _results.c.sop_instance_uid == _deliveries.c.sop_instance_uid)
    )


def record(row: Row[Any]) -> Commitment:
    """Return the record of a row of `joined`."""
    return Commitment(**{name: getattr(row, name) for name in Commitment.__dataclass_fields__})


def take(tx: Connection, delivery_id: int, event: CommitmentEvent, **values: object) -> Commitment:
    """Take one step of the state table. Returns the row as it was. Raises Unknown, IllegalMove."""
    query = joined().where(_commitments.c.delivery_id == delivery_id).with_for_update()
    row = tx.execute(query).one_or_none()
    if row is None:
        raise Unknown(f"there is no commitment of delivery {delivery_id} (any more)")
    state = move_commitment(row.state, event)
    moved = tx.execute(
        update(_commitments)
        .where(_commitments.c.delivery_id == delivery_id, _commitments.c.state == row.state)
        .values(**values, state=state)
    )
    if moved.rowcount != 1:
        raise IllegalMove("commitment that changed meanwhile", row.state, event)
    tallies.move(tx, Subject.COMMITMENTS, row.destination, row.state, state)
    return record(row)
