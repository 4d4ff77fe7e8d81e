"""The delivery ledger: for each object and destination what was sent when, what it answered and committed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from storage.database import columns, schema
from storage.records import ResultObject
from storage.states import CommitmentState, DeliveryState


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """How one object stands with one destination."""

    sop_instance_uid: str
    kind: str
    destination: str
    state: DeliveryState
    owed_since: datetime
    attempts: int
    """How often it was offered."""
    last_status: int | None
    """The destination's last C-STORE status; None where none came."""
    reason: str | None
    """Why it is not sent, or was not kept."""
    next_try: datetime | None
    """When it is offered next, where it is owed."""
    sent_at: datetime | None
    """When the destination last took it, even if it was lost there."""
    sent_as: str | None
    """SOP Instance UID on the wire, where that is not the object's own."""
    commitment: CommitmentState | None
    """None where its commitment was never asked for."""
    asked_at: datetime | None
    """When the destination last accepted to be asked."""
    asked_again_at: datetime | None
    """When it is asked next, where it has not answered."""
    committed_at: datetime | None
    failure_reason: int | None
    """Failure Reason (0008,1197) of its last report, where that was a failure (PS3.3 C.14.1.1)."""
    warning: str | None
    """Why it could not be asked, or what it said."""


def current_results(tx: Connection, study_uid: str) -> list[ResultObject]:
    """Return the objects of the study's current report, in the order in which they are sent."""
    results, reports = schema.results, schema.reports
    rows = tx.execute(
        select(results)
        .join(reports, reports.c.id == results.c.report_id)
        .where(results.c.study_uid == study_uid, reports.c.current)
        .order_by(results.c.position)
    )
    return [ResultObject(**columns.fields(row)) for row in rows]


def of_study(tx: Connection, study_uid: str) -> list[Entry]:
    """Return the entries of the study's results, by destination; in each the longest owed first."""
    query = _entries().where(schema.results.c.study_uid == study_uid)
    return [_entry(row) for row in tx.execute(query)]


def _entries() -> Select[Any]:
    results, deliveries, commitments = schema.results, schema.deliveries, schema.commitments
    return (
        select(
            deliveries.c.sop_instance_uid,
            results.c.kind,
            deliveries.c.destination,
            deliveries.c.state,
            deliveries.c.created_at.label("owed_since"),
            deliveries.c.attempts,
            deliveries.c.last_status,
            deliveries.c.reason,
            deliveries.c.not_before.label("next_try"),
            func.coalesce(deliveries.c.sent_at, commitments.c.sent_at).label("sent_at"),
            deliveries.c.sent_as,
            commitments.c.state.label("commitment"),
            commitments.c.asked_at,
            commitments.c.not_before.label("asked_again_at"),
            commitments.c.committed_at,
            commitments.c.failure_reason,
            commitments.c.reason.label("warning"),
        )
        .join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .outerjoin(commitments, commitments.c.delivery_id == deliveries.c.id)
        .order_by(deliveries.c.destination, deliveries.c.id)
    )


def _entry(row: Row[Any]) -> Entry:
    """Return the entry of a row; a time at which nothing will happen any more is none."""
    entry = Entry(**columns.fields(row))
    if entry.state is not DeliveryState.OWED:
        entry = replace(entry, next_try=None)
    if entry.commitment not in (CommitmentState.DUE, CommitmentState.ASKED):
        entry = replace(entry, asked_again_at=None)
    return entry
