"""What a study waits for, and until when: facts, for command line and console to put into words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from storage.database import schema
from storage.records import JobKind
from storage.states import LIVE, UNCOMMITTED, CommitmentState, DeliveryState, JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """The facts about one study."""

    images_left: int
    """Images that are still to be analysed."""
    not_before: datetime | None
    """When the first of its jobs that waits for a time is due; None where none is open."""
    reason: str | None
    """Why a job waits for that time, or was given up."""
    changed_at: datetime | None
    """When the study last changed; None once a report job covers the change."""
    report_open: bool
    """Whether its report is about to be made."""
    owed_to: tuple[str, ...]
    """Destinations that are owed something."""
    next_try: datetime | None
    """When the first of them is tried."""
    uncommitted: tuple[str, ...]
    """Destinations that took something and have not said yet that they keep it."""
    next_question: datetime | None
    """When the first of them is asked, or asked again because it has not answered."""
    parked: str | None
    """Why a person is needed."""


def of_studies(tx: Connection, study_uids: Collection[str]) -> dict[str, Wait]:
    """Return the facts about each of the studies."""
    jobs = schema.jobs
    rows = tx.execute(
        select(jobs)
        .where(jobs.c.study_uid.in_(study_uids), jobs.c.state != JobState.DONE)
        .order_by(jobs.c.id)
    ).all()
    studies = schema.studies
    query = select(studies.c.study_uid, studies.c.changed_at).where(
        studies.c.study_uid.in_(study_uids), studies.c.changed
    )
    changed = {row.study_uid: row.changed_at for row in tx.execute(query)}
    due = _deliveries(tx, study_uids)
    uncommitted = _uncommitted(tx, study_uids)
    refused = _unaskable(uncommitted) | _refused(tx, study_uids)
    waits: dict[str, Wait] = {}
    for uid in study_uids:
        own = [row for row in rows if row.study_uid == uid]
        live = [row for row in own if row.state in LIVE]
        parked = next((row for row in own if row.state is JobState.PARKED), None)
        put_off = next((row for row in live if row.reason is not None), None)
        questions = [
            row for row in uncommitted if row.study_uid == uid and row.state is not CommitmentState.PARKED
        ]
        waits[uid] = Wait(
            images_left=sum(row.kind is JobKind.ANALYSE for row in live),
            not_before=None if put_off is None else put_off.not_before,
            reason=None if put_off is None else put_off.reason,
            changed_at=changed.get(uid),
            report_open=any(row.kind is JobKind.REPORT for row in live),
            owed_to=tuple(due.get(uid, {})),
            next_try=min(due.get(uid, {}).values(), default=None),
            uncommitted=tuple(dict.fromkeys(row.destination for row in questions)),
            next_question=min((row.not_before for row in questions), default=None),
            parked=(parked.reason or "a job was given up") if parked is not None else refused.get(uid),
        )
    return waits


def _deliveries(tx: Connection, study_uids: Collection[str]) -> dict[str, dict[str, datetime]]:
    results, deliveries = schema.results, schema.deliveries
    next_tries: dict[str, dict[str, datetime]] = {}
    for row in tx.execute(
        select(results.c.study_uid, deliveries.c.destination, func.min(deliveries.c.not_before).label("at"))
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .where(results.c.study_uid.in_(study_uids), deliveries.c.state == DeliveryState.OWED)
        .group_by(results.c.study_uid, deliveries.c.destination)
        .order_by(deliveries.c.destination)
    ):
        next_tries.setdefault(row.study_uid, {})[row.destination] = row.at
    return next_tries


def _uncommitted(tx: Connection, study_uids: Collection[str]) -> Sequence[Row[Any]]:
    results, deliveries, commitments = schema.results, schema.deliveries, schema.commitments
    query: Select[Any] = (
        select(
            results.c.study_uid,
            deliveries.c.destination,
            commitments.c.state,
            commitments.c.not_before,
            commitments.c.reason,
        )
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .join(commitments, commitments.c.delivery_id == deliveries.c.id)
        .where(results.c.study_uid.in_(study_uids), commitments.c.state.in_(UNCOMMITTED))
        .order_by(deliveries.c.destination, deliveries.c.id)
    )
    return tx.execute(query).all()


def _unaskable(uncommitted: Sequence[Row[Any]]) -> dict[str, str]:
    return {
        row.study_uid: row.reason or f"{row.destination} refuses to be asked whether it keeps the results"
        for row in reversed(uncommitted)
        if row.state is CommitmentState.PARKED
    }


def _refused(tx: Connection, study_uids: Collection[str]) -> dict[str, str]:
    results, deliveries = schema.results, schema.deliveries
    rows = tx.execute(
        select(results.c.study_uid, deliveries.c.destination, deliveries.c.reason)
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .where(results.c.study_uid.in_(study_uids), deliveries.c.state == DeliveryState.PARKED)
        .order_by(deliveries.c.id.desc())
    )
    return {row.study_uid: f"{row.destination} refused: {row.reason or 'no reason given'}" for row in rows}
