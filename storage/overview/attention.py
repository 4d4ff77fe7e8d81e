"""What needs a person, or keeps failing, and why: the reasons that the ``status`` command shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from storage.database import columns, schema
from storage.queue import editions
from storage.records import JobKind
from storage.states import UNCOMMITTED, CommitmentState, DeliveryState, JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedJob:
    """A job that only a person brings back."""

    job_id: int
    kind: JobKind
    study_uid: str
    sop_instance_uid: str | None
    reason: str
    parked_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryProblem:
    """Why objects have not arrived at a destination."""

    destination: str
    state: DeliveryState
    """OWED: it goes on by itself; PARKED: it does not."""
    reason: str
    objects: int
    next_try: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitmentWarning:
    """Why a destination has not committed itself to keep objects that it took."""

    destination: str
    state: CommitmentState
    """DUE or ASKED: it goes on by itself; PARKED: it does not."""
    reason: str
    objects: int
    next_try: datetime


def parked_jobs(tx: Connection) -> list[ParkedJob]:
    """Return the parked jobs, the longest parked first."""
    jobs = schema.jobs
    rows = tx.execute(
        select(jobs).where(jobs.c.state == JobState.PARKED).order_by(jobs.c.finished_at, jobs.c.id)
    )
    return [
        ParkedJob(
            job_id=row.id,
            kind=row.kind,
            study_uid=row.study_uid,
            sop_instance_uid=row.sop_instance_uid,
            reason=row.reason or "",
            parked_at=row.finished_at,
        )
        for row in rows
    ]


def mixed_studies(tx: Connection) -> list[str]:
    """Return the studies that hold images of several patients, by Study Instance UID."""
    studies = schema.studies
    rows = tx.execute(
        select(studies.c.study_uid).where(studies.c.several_patients).order_by(studies.c.study_uid)
    )
    return [study_uid for study_uid in rows.scalars().all() if editions.mixes_patients(tx, study_uid)]


def delivery_problems(tx: Connection) -> list[DeliveryProblem]:
    """Return why deliveries failed that are owed still or parked, by destination."""
    deliveries = schema.deliveries
    rows = tx.execute(
        select(
            deliveries.c.destination,
            deliveries.c.state,
            deliveries.c.reason,
            func.count().label("objects"),
            func.min(deliveries.c.not_before).label("next_try"),
        )
        .where(
            deliveries.c.state.in_((DeliveryState.OWED, DeliveryState.PARKED)),
            deliveries.c.reason.is_not(None),
        )
        .group_by(deliveries.c.destination, deliveries.c.state, deliveries.c.reason)
        .order_by(deliveries.c.destination, deliveries.c.state.desc(), deliveries.c.reason)
    )
    return [DeliveryProblem(**columns.fields(row)) for row in rows]


def commitment_warnings(tx: Connection) -> list[CommitmentWarning]:
    """Return why objects are not committed that were sent, by destination.

    One that its destination denied is owed again or parked: that is among the `delivery_problems`.
    """
    commitments, deliveries = schema.commitments, schema.deliveries
    groups = (deliveries.c.destination, commitments.c.state, commitments.c.reason)
    rows = tx.execute(
        select(
            *groups,
            func.count().label("objects"),
            func.min(commitments.c.not_before).label("next_try"),
        )
        .join(deliveries, deliveries.c.id == commitments.c.delivery_id)
        .where(
            commitments.c.state.in_(UNCOMMITTED),
            commitments.c.reason.is_not(None),
        )
        .group_by(*groups)
        .order_by(*groups)
    )
    return [CommitmentWarning(**columns.fields(row)) for row in rows]
