"""What becomes of a job whose holder is gone: back to the queue, or parked if it goes wrong every time."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, select

from storage import history
from storage.database import schema
from storage.queue import findings
from storage.records import FindingRecord, Job, Lease
from storage.states import JobEvent, JobState
from storage.transitions import jobs

_jobs = schema.jobs

DEATHS: Final = 2
"""A job that has killed its worker so often is parked."""

RELEASES: Final = 5
"""A job during which the node was killed so often is parked, as it may be what kills it."""


def release_owner(tx: Connection, owner: str, *, now: datetime, died: bool, epitaph: str) -> list[Job]:
    """Put back what ``owner`` holds, because it stopped, or because it ``died``. Returns the jobs parked.

    A job's second death parks it; its image gets the finding ``epitaph`` (JSON), so that the study is
    reported all the same.
    """
    rows = _running(tx, _jobs.c.owner == owner)
    return _all_back(tx, rows, now=now, epitaph=epitaph, deaths=int(died))


def expire(tx: Connection, *, now: datetime, epitaph: str) -> list[Job]:
    """Put back every job whose lease ran out; that counts as a death. Returns the jobs parked."""
    return _all_back(tx, _running(tx, _jobs.c.lease_until <= now), now=now, epitaph=epitaph, deaths=1)


def release_all(tx: Connection, *, now: datetime, epitaph: str) -> list[Job]:
    """Put back every job, because the node that held them is gone. Only at start. Returns the jobs parked."""
    return _all_back(tx, _running(tx), now=now, epitaph=epitaph, releases=1)


def _running(tx: Connection, *which: ColumnElement[bool]) -> list[Row[Any]]:
    # Reports first: parking an image's job overtakes a running report of its study, not a waiting one.
    query = select(_jobs).where(_jobs.c.state == JobState.RUNNING, *which)
    query = query.order_by(_jobs.c.kind.desc(), _jobs.c.id)
    return list(tx.execute(query.with_for_update()))


def _all_back(
    tx: Connection, rows: list[Row[Any]], *, now: datetime, epitaph: str, deaths: int = 0, releases: int = 0
) -> list[Job]:
    parked = []
    for row in rows:
        blamed = {"deaths": row.deaths + deaths, "releases": row.releases + releases}
        if blamed["deaths"] < DEATHS and blamed["releases"] < RELEASES:
            jobs.take(tx, row, JobEvent.LEASE_LOST, now=now, not_before=now, **blamed)
        else:
            _park(tx, row, blamed, now=now, epitaph=epitaph)
            lease = Lease(job_id=row.id, owner=row.owner, claim=row.claims)
            parked.append(jobs.job(row, attempts=row.attempts, lease=lease))
    return parked


def _park(tx: Connection, row: Row[Any], blamed: dict[str, int], *, now: datetime, epitaph: str) -> None:
    reason = (
        f"the worker died or hung {blamed['deaths']} times while doing it"
        if blamed["deaths"] >= DEATHS
        else f"the node was stopped {blamed['releases']} times while doing it"
    )
    jobs.take(tx, row, JobEvent.FAILED_FOR_GOOD, now=now, reason=reason, **blamed)
    history.append(tx, row.study_uid, "job parked", now, job=row.id, kind=row.kind.value)
    if row.sop_instance_uid is not None:
        record = FindingRecord(
            sop_instance_uid=row.sop_instance_uid, finding=epitaph, analysed_at=now, heatmap=None
        )
        findings.put(tx, record, study_uid=row.study_uid, now=now)
