"""One line a study: what the ``studies`` command and the console show."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, Select, case, exists, func, select

from storage.database import schema
from storage.records import JobKind
from storage.states import LIVE, UNCOMMITTED, CommitmentState, DeliveryState, JobState

_COUNTED = {
    DeliveryState.SENT: "sent",
    DeliveryState.OWED: "outstanding",
    DeliveryState.PARKED: "parked",
}


class StudyState(StrEnum):
    """Where a study stands, in the words of the ``studies`` command."""

    RECEIVED = "received"
    ANALYSING = "analysing"
    WAITING = "waiting"
    """All images analysed; waiting to be complete, or for its report to be built."""
    REPORTED = "reported"
    """Results are made and not all of them sent, or not committed where commitment is asked for."""
    DELIVERED = "delivered"
    PARKED = "parked"
    """A job, a delivery or a commitment needs a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryCounts:
    """How many deliveries of a study stand where."""

    sent: int = 0
    outstanding: int = 0
    """Owed: neither sent nor parked."""
    parked: int = 0
    committed: int = 0
    """Of those sent: how many the destination has committed itself to keep."""
    uncommitted: int = 0
    """Of those sent: how many it is asked to commit itself to and has not yet."""
    unaskable: int = 0
    """Of those uncommitted: about how many it refuses to be asked, which needs a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyOverview:
    """One line of the ``studies`` command."""

    study_uid: str
    images: int
    analysed: int
    not_analysed: int
    """Images whose analysis ended without a result."""
    state: StudyState
    first_at: datetime
    last_at: datetime
    deliveries: Mapping[str, DeliveryCounts]
    """By destination; those withdrawn are not counted."""


def overview(
    tx: Connection,
    *,
    study_uid: str | None = None,
    among: Collection[str] | None = None,
    limit: int | None = None,
) -> list[StudyOverview]:
    """Return one line for each study that has images, or those named alone; the latest alive first.

    A study whose images all moved to another one has no line.
    """
    table = schema.studies
    latest = select(table.c.study_uid).where(
        exists().where(schema.instances.c.study_uid == table.c.study_uid)
    )
    if study_uid is not None:
        latest = latest.where(table.c.study_uid == study_uid)
    if among is not None:
        latest = latest.where(table.c.study_uid.in_(among))
    # the studies are chosen first, then their rows are counted: no row of another study is read
    latest = latest.order_by(table.c.last_at.desc(), table.c.study_uid).limit(limit)
    chosen = select(latest.subquery().c.study_uid)
    jobs = _jobs(tx, chosen)
    deliveries = _deliveries(tx, chosen)
    _add_commitments(tx, chosen, deliveries)
    return [
        StudyOverview(
            study_uid=row.study_uid,
            images=row.images,
            analysed=row.analysed,
            not_analysed=row.found - row.analysed,
            state=_state(row, jobs.get(row.study_uid, {}), deliveries.get(row.study_uid, {})),
            first_at=row.first_at,
            last_at=row.last_at,
            deliveries=deliveries.get(row.study_uid, {}),
        )
        for row in tx.execute(_images().where(table.c.study_uid.in_(chosen)))
    ]


def kept_as(tx: Connection, study_uid: str) -> str:
    """Return the UID under which the study is kept: an archive may have sent it under another."""
    copies, instances = schema.copies, schema.instances
    kept_uid: str | None = tx.execute(
        select(instances.c.study_uid)
        .join(copies, copies.c.sop_instance_uid == instances.c.sop_instance_uid)
        .where(copies.c.study_uid == study_uid)
        .order_by(instances.c.study_uid != study_uid)
        .limit(1)
    ).scalar_one_or_none()
    return kept_uid or study_uid


_Jobs: TypeAlias = Mapping[tuple[JobKind, JobState], int]


def _state(row: Row[Any], jobs: _Jobs, deliveries: Mapping[str, DeliveryCounts]) -> StudyState:
    """Return what matters most: first what needs a person, then the step that the study waits for."""
    parked = any(state is JobState.PARKED for _, state in jobs)
    if parked or any(count.parked or count.unaskable for count in deliveries.values()):
        return StudyState.PARKED
    if any((JobKind.ANALYSE, state) in jobs for state in LIVE):
        in_progress = row.found or (JobKind.ANALYSE, JobState.RUNNING) in jobs
        return StudyState.ANALYSING if in_progress else StudyState.RECEIVED
    if row.changed or any((JobKind.REPORT, state) in jobs for state in LIVE):
        return StudyState.WAITING
    if any(count.outstanding or count.uncommitted for count in deliveries.values()):
        return StudyState.REPORTED
    return StudyState.DELIVERED


def _images() -> Select[Any]:
    studies, instances, findings = schema.studies, schema.instances, schema.findings
    return (
        select(
            studies.c.study_uid,
            studies.c.changed,
            studies.c.first_at,
            studies.c.last_at,
            func.count(instances.c.sop_instance_uid).label("images"),
            func.count(findings.c.sop_instance_uid).label("found"),
            func.coalesce(func.sum(case((findings.c.succeeded, 1), else_=0)), 0).label("analysed"),
        )
        .join(instances, instances.c.study_uid == studies.c.study_uid)
        .outerjoin(findings, findings.c.sop_instance_uid == instances.c.sop_instance_uid)
        .group_by(studies.c.study_uid, studies.c.changed, studies.c.first_at, studies.c.last_at)
        .order_by(studies.c.last_at.desc(), studies.c.study_uid)
    )


def _jobs(tx: Connection, among: Select[Any]) -> dict[str, dict[tuple[JobKind, JobState], int]]:
    jobs = schema.jobs
    counts: dict[str, dict[tuple[JobKind, JobState], int]] = {}
    for study_uid, kind, state, number in tx.execute(
        select(jobs.c.study_uid, jobs.c.kind, jobs.c.state, func.count())
        .where(jobs.c.study_uid.in_(among), jobs.c.state != JobState.DONE)
        .group_by(jobs.c.study_uid, jobs.c.kind, jobs.c.state)
    ):
        counts.setdefault(study_uid, {})[kind, state] = number
    return counts


def _deliveries(tx: Connection, among: Select[Any]) -> dict[str, dict[str, DeliveryCounts]]:
    results, deliveries = schema.results, schema.deliveries
    counts: dict[str, dict[str, DeliveryCounts]] = {}
    for study_uid, destination, state, number in tx.execute(
        select(results.c.study_uid, deliveries.c.destination, deliveries.c.state, func.count())
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .where(results.c.study_uid.in_(among), deliveries.c.state != DeliveryState.WITHDRAWN)
        .group_by(results.c.study_uid, deliveries.c.destination, deliveries.c.state)
        .order_by(results.c.study_uid, deliveries.c.destination)
    ):
        of_study = counts.setdefault(study_uid, {})
        so_far = of_study.get(destination, DeliveryCounts())
        of_study[destination] = replace(so_far, **{_COUNTED[state]: number})
    return counts


def _add_commitments(
    tx: Connection, among: Select[Any], counts: dict[str, dict[str, DeliveryCounts]]
) -> None:
    """Add to ``counts`` what destinations have committed themselves to."""
    results, deliveries, commitments = schema.results, schema.deliveries, schema.commitments
    for study_uid, destination, state, number in tx.execute(
        select(results.c.study_uid, deliveries.c.destination, commitments.c.state, func.count())
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .join(commitments, commitments.c.delivery_id == deliveries.c.id)
        .where(results.c.study_uid.in_(among), deliveries.c.sent_at.is_not(None))
        .group_by(results.c.study_uid, deliveries.c.destination, commitments.c.state)
    ):
        so_far = counts[study_uid][destination]
        counts[study_uid][destination] = replace(
            so_far,
            committed=so_far.committed + number * (state is CommitmentState.COMMITTED),
            uncommitted=so_far.uncommitted + number * (state in UNCOMMITTED),
            unaskable=so_far.unaskable + number * (state is CommitmentState.PARKED),
        )
