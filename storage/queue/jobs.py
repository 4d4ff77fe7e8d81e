"""The queue: claim a job under a lease, keep the lease alive, settle how the job ended.

At most one job of an image or a study is not done. A report waits until no image of its study is to be
analysed. Who has lost a lease can settle nothing: the result is dropped and the job done again. A job whose
holder is gone goes back to the queue; one that goes wrong every time is parked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from itertools import product
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect, case, func, or_, select, update

from storage import history, machines
from storage.database import schema
from storage.errors import LeaseLost
from storage.queue import findings
from storage.records import FindingRecord, Job, JobKind, Lease
from storage.states import LIVE, JobEvent, JobState
from storage.transitions import jobs, tallies
from storage.transitions.tallies import TALLIED, Subject

_jobs = schema.jobs

DEATHS: Final = 2
"""A job that has killed its worker so often is parked."""

RELEASES: Final = 5
"""A job during which the node was killed so often is parked, as it may be what kills it."""


class Blame(NamedTuple):
    """What the end of its holder counts against a job."""

    deaths: int
    releases: int


BLAMELESS: Final = Blame(0, 0)
DIED: Final = Blame(1, 0)
"""Its worker has died of it, or hung."""
RELEASED: Final = Blame(0, 1)
"""Its node, or its machine, has ended while it ran."""


def claim(tx: Connection, *, owner: str, now: datetime, lease: timedelta) -> Job | None:
    """Take the next job that is due for ``owner``: reports first, then the image that waits longest.

    A job that has killed a worker comes after all others: its next try delays nobody who is waiting.
    Returns None where nothing is due. The job goes to others when ``lease`` passes without a heartbeat.
    """
    row = tx.execute(
        select(_jobs)
        .where(*claimable(now))
        .order_by(_jobs.c.deaths, case((_jobs.c.kind == JobKind.REPORT, 0), else_=1), _jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    return grant(tx, row, owner=owner, now=now, lease=lease)


def grant(tx: Connection, row: Row[Any], *, owner: str, now: datetime, lease: timedelta) -> Job:
    """Let ``owner`` hold the waiting job of ``row``, which is locked, for ``lease``."""
    granted = Lease(job_id=row.id, owner=owner, claim=row.claims + 1)
    jobs.take(
        tx,
        row,
        JobEvent.CLAIMED,
        now=now,
        owner=owner,
        lease_until=now + lease,
        claims=granted.claim,
        attempts=row.attempts + 1,
    )
    return jobs.job(row, attempts=row.attempts + 1, lease=granted)


def heartbeat(tx: Connection, lease: Lease, *, now: datetime, duration: timedelta) -> None:
    """Let the lease run for ``duration`` from now. Raises LeaseLost."""
    beaten = tx.execute(
        update(_jobs)
        .where(
            _jobs.c.id == lease.job_id,
            _jobs.c.state == JobState.RUNNING,
            _jobs.c.owner == lease.owner,
            _jobs.c.claims == lease.claim,
        )
        .values(lease_until=now + duration)
    )
    if beaten.rowcount != 1:
        raise LeaseLost(lease.job_id)


def finish_analysis(tx: Connection, lease: Lease, record: FindingRecord, *, now: datetime) -> tuple[str, ...]:
    """Keep the finding and end the job. Returns files to remove after the commit. Raises LeaseLost."""
    row = jobs.held(tx, lease)
    if row.sop_instance_uid != record.sop_instance_uid:
        raise ValueError(f"job {lease.job_id} is not about the image of this finding")
    jobs.take(tx, row, JobEvent.SUCCEEDED, now=now)
    return findings.replace(tx, record, study_uid=row.study_uid, now=now)


def again(
    tx: Connection, lease: Lease, *, not_before: datetime, reason: str, now: datetime, counted: bool = True
) -> None:
    """Put the job back: it may work later. An attempt that is not ``counted`` was none. Raises LeaseLost."""
    row = jobs.held(tx, lease)
    attempts = row.attempts if counted else row.attempts - 1
    jobs.take(
        tx,
        row,
        JobEvent.FAILED_FOR_NOW,
        now=now,
        not_before=not_before,
        reason=reason,
        attempts=attempts,
    )


def never(
    tx: Connection,
    lease: Lease,
    *,
    reason: str,
    trace: str | None,
    now: datetime,
    finding: FindingRecord | None,
) -> tuple[str, ...]:
    """Park the job, with a ``reason`` a person can act on. Returns files to remove after the commit.

    An analyse job leaves the failure ``finding`` behind, so that its study is reported all the same; without
    one ValueError is raised. Raises LeaseLost.
    """
    row = jobs.held(tx, lease)
    if (finding.sop_instance_uid if finding else None) != row.sop_instance_uid:
        raise ValueError(f"job {lease.job_id} needs a failure finding of its own image, a report needs none")
    jobs.take(tx, row, JobEvent.FAILED_FOR_GOOD, now=now, reason=reason, trace=trace)
    history.append(tx, row.study_uid, "job parked", now, job=row.id, kind=row.kind.value)
    return () if finding is None else findings.replace(tx, finding, study_uid=row.study_uid, now=now)


def release_owner(tx: Connection, owner: str, *, now: datetime, died: bool, epitaph: str) -> list[Job]:
    """Put back what ``owner`` holds, because it stopped, or because it ``died``. Returns the jobs parked.

    A job's second death parks it; its image gets the finding ``epitaph`` (JSON), so that the study is
    reported all the same.
    """
    rows = _running(tx, _jobs.c.owner == owner)
    return _all_back(tx, rows, lambda _: DIED if died else BLAMELESS, now=now, epitaph=epitaph)


def expire(
    tx: Connection, *, now: datetime, epitaph: str, living: Collection[str] | None = None
) -> list[Job]:
    """Put back every job whose lease ran out; that counts as a death. Returns the jobs parked.

    Where there are several machines, ``living`` names those that live: a job of another one was not what
    ended it, as far as anybody knows, and counts as after the end of a node.
    """

    def blame(row: Row[Any]) -> Blame:
        alive = living is None or machines.machine_of(row.owner) in living
        return DIED if alive else RELEASED

    return _all_back(tx, _running(tx, _jobs.c.lease_until <= now), blame, now=now, epitaph=epitaph)


def release_all(tx: Connection, *, now: datetime, epitaph: str) -> list[Job]:
    """Put back every job, because the node that held them is gone. Only at start. Returns the jobs parked."""
    return _all_back(tx, _running(tx), lambda _: RELEASED, now=now, epitaph=epitaph)


def retry_parked(tx: Connection, *, study_uid: str | None = None, now: datetime) -> int:
    """Let parked jobs, of all studies or one, start over. Returns how many."""
    query = select(_jobs).where(_jobs.c.state == JobState.PARKED)
    if study_uid is not None:
        query = query.where(_jobs.c.study_uid == study_uid)
    rows = tx.execute(query.with_for_update()).all()
    for row in rows:
        jobs.take(tx, row, JobEvent.RETRIED, now=now, not_before=now, **jobs.FRESH)
        history.append(tx, row.study_uid, "job retried", now, job=row.id, kind=row.kind.value)
    return len(rows)


def counts(tx: Connection) -> dict[JobKind, dict[JobState, int]]:
    """Return how many jobs stand where. Every kind and state is named."""
    finished = tallies.standing(tx, Subject.JOBS)
    places = [place for place in product(JobKind, JobState) if place[1] not in TALLIED[Subject.JOBS]]
    # each is one stretch of an index: grouping all jobs would compare the words of each
    numbers = tx.execute(select(*(_how_many(*place) for place in places))).one()
    by_place = finished | dict(zip(places, numbers, strict=True))
    return {kind: {state: by_place.get((kind, state), 0) for state in JobState} for kind in JobKind}


def oldest_waiting(tx: Connection, *, now: datetime) -> datetime | None:
    """Return since when the first of the jobs that are due has waited for a worker.

    One that is to be tried again later waits for its time, a report for its images; more workers do neither
    sooner.
    """
    query = select(_jobs.c.not_before).where(*claimable(now)).order_by(_jobs.c.not_before).limit(1)
    due: datetime | None = tx.execute(query).scalar_one_or_none()
    return due


def claimable(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Tell what a worker may claim: what is due, a report once none of its study's images is under way."""
    sibling = _jobs.alias("sibling")
    images_left = (
        select(sibling.c.id)
        .where(
            sibling.c.study_uid == _jobs.c.study_uid,
            sibling.c.kind == JobKind.ANALYSE,
            sibling.c.state.in_(LIVE),
        )
        .exists()
    )
    return (
        _jobs.c.state == JobState.WAITING,
        _jobs.c.not_before <= now,
        or_(_jobs.c.kind == JobKind.ANALYSE, ~images_left),
    )


def _how_many(kind: JobKind, state: JobState) -> ScalarSelect[int]:
    return select(func.count()).where(_jobs.c.state == state, _jobs.c.kind == kind).scalar_subquery()


def _running(tx: Connection, *conditions: ColumnElement[bool]) -> list[Row[Any]]:
    # Reports first: parking an image's job overtakes a running report of its study, not a waiting one.
    query = select(_jobs).where(_jobs.c.state == JobState.RUNNING, *conditions)
    query = query.order_by(_jobs.c.kind.desc(), _jobs.c.id)
    return list(tx.execute(query.with_for_update()))


def _all_back(
    tx: Connection, rows: list[Row[Any]], blame: Callable[[Row[Any]], Blame], *, now: datetime, epitaph: str
) -> list[Job]:
    parked, held = [], Counter(row.owner for row in rows)
    for row in rows:
        deaths, releases = blame(row)
        blamed = {"deaths": row.deaths + deaths, "releases": row.releases + releases}
        if blamed["deaths"] < DEATHS and blamed["releases"] < RELEASES:
            # of a batch all but one are without fault, and all are tried by themselves: the attempt was none
            counted = held[row.owner] == 1 and (deaths or releases)
            attempts = row.attempts if counted else row.attempts - 1
            jobs.take(tx, row, JobEvent.LEASE_LOST, now=now, not_before=now, attempts=attempts, **blamed)
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
        findings.replace(tx, record, study_uid=row.study_uid, now=now)
