"""The one way in which a job's row is made and moved: a step of the state table, guarded by what it was."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, true, update

from storage.database import schema
from storage.errors import LeaseLost
from storage.records import Job, JobKind, Lease
from storage.states import LIVE, JobEvent, JobState, move_job
from storage.transitions import tallies
from storage.transitions.tallies import Subject

_jobs = schema.jobs

# What every arriving image asks and writes is stated once: to state it anew takes longer than to do it.
_MAKE: Final = insert(_jobs)
_UNFINISHED: Final = (
    select(_jobs).where(_jobs.c.kind == bindparam("job"), _jobs.c.state != JobState.DONE).with_for_update()
)
_UNFINISHED_OF_STUDY: Final = _UNFINISHED.where(_jobs.c.study_uid == bindparam("study"))
_UNFINISHED_OF_IMAGE: Final = _UNFINISHED.where(_jobs.c.sop_instance_uid == bindparam("image"))
_MARK_CHANGED: Final = (
    update(schema.studies)
    .where(schema.studies.c.study_uid == bindparam("study"))
    .values(changed=true(), changed_at=bindparam("now"), last_at=bindparam("now"))
)

FRESH: Final = {"attempts": 0, "deaths": 0, "releases": 0, "reason": None, "trace": None}
"""What a job that starts over forgets."""


def make(tx: Connection, kind: JobKind, *, study_uid: str, image: str | None = None, now: datetime) -> None:
    """Insert a waiting job."""
    job = {
        "kind": kind,
        "study_uid": study_uid,
        "sop_instance_uid": image,
        "state": JobState.WAITING,
        "claims": 0,
        "not_before": now,
        "created_at": now,
        **FRESH,
    }
    tx.execute(_MAKE, job)


def take(tx: Connection, row: Row[Any], event: JobEvent, *, now: datetime, **values: object) -> None:
    """Move the job of ``row`` by ``event``. Raises IllegalMove, or LeaseLost if it is not as ``row`` says."""
    state = move_job(row.state, event)
    running = {} if state is JobState.RUNNING else {"owner": None, "lease_until": None}
    moved = tx.execute(
        update(_jobs)
        .where(
            _jobs.c.id == row.id,
            _jobs.c.state == row.state,
            _jobs.c.owner.is_not_distinct_from(row.owner),
            _jobs.c.claims == row.claims,
        )
        .values(state=state, finished_at=None if state in LIVE else now, **running, **values)
    )
    if moved.rowcount != 1:
        raise LeaseLost(row.id)
    tallies.move(tx, Subject.JOBS, row.kind, row.state, state)


def held(tx: Connection, lease: Lease) -> Row[Any]:
    """Return the job that ``lease`` holds. Raises LeaseLost if it does not hold it any more."""
    row = tx.execute(
        select(_jobs)
        .where(
            _jobs.c.id == lease.job_id,
            _jobs.c.state == JobState.RUNNING,
            _jobs.c.owner == lease.owner,
            _jobs.c.claims == lease.claim,
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise LeaseLost(lease.job_id)
    return row


def unfinished(tx: Connection, kind: JobKind, *, study_uid: str, image: str | None = None) -> Row[Any] | None:
    """Return the job that is not done of one image or one study; the schema allows one."""
    if image is None:
        return tx.execute(_UNFINISHED_OF_STUDY, {"job": kind, "study": study_uid}).one_or_none()
    return tx.execute(_UNFINISHED_OF_IMAGE, {"job": kind, "image": image}).one_or_none()


def renew_analysis(tx: Connection, image: str, *, study_uid: str, now: datetime) -> None:
    """See to it that the image is analysed from its row as it is now, whatever ran or failed before."""
    row = unfinished(tx, JobKind.ANALYSE, study_uid=study_uid, image=image)
    if row is None:
        make(tx, JobKind.ANALYSE, study_uid=study_uid, image=image, now=now)
    else:
        take(tx, row, JobEvent.RENEWED, now=now, study_uid=study_uid, not_before=now, **FRESH)


def overtake_report(tx: Connection, study_uid: str, *, now: datetime) -> None:
    """End the study's report job, if there is one: it is about the study as it was."""
    row = unfinished(tx, JobKind.REPORT, study_uid=study_uid)
    if row is not None:
        take(tx, row, JobEvent.OVERTAKEN, now=now, reason="overtaken by a change of the study")


def mark_changed(tx: Connection, study_uid: str, *, now: datetime) -> None:
    """Remember that the study must be reported (again): from here on no report job covers it."""
    overtake_report(tx, study_uid, now=now)
    tx.execute(_MARK_CHANGED, {"study": study_uid, "now": now})


def job(row: Row[Any], *, attempts: int, lease: Lease) -> Job:
    """Return the record of ``row``."""
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        sop_instance_uid=row.sop_instance_uid,
        study_uid=row.study_uid,
        attempts=attempts,
        deaths=row.deaths,
        releases=row.releases,
        created_at=row.created_at,
        lease=lease,
    )
