"""Several images for one call of the network: each is a job of its own, with its own lease and end."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from storage.database import schema
from storage.queue import jobs
from storage.records import Job, JobKind


def claim(tx: Connection, *, owner: str, now: datetime, lease: timedelta, most: int) -> list[Job]:
    """Take the next job that is due for ``owner``, and further ones of its kind, ``most`` in all.

    A report comes alone, and so does a job that has killed a worker, or during which a node ended: where a
    batch was the end of either, each of its jobs is tried by itself, and only the one to blame ends a second.
    """
    first = jobs.claim(tx, owner=owner, now=now, lease=lease)
    if first is None:
        return []
    return [first, *claim_beside(tx, first, owner=owner, now=now, lease=lease, most=most - 1)]


def claim_beside(
    tx: Connection, first: Job, *, owner: str, now: datetime, lease: timedelta, most: int
) -> list[Job]:
    """Take at most ``most`` jobs that may be done in one batch with ``first``."""
    if most < 1 or not shares(first):
        return []
    table = schema.jobs
    rows = tx.execute(
        select(table)
        .where(
            *jobs.claimable(now),
            table.c.kind == JobKind.ANALYSE,
            table.c.deaths == 0,
            table.c.releases == 0,
        )
        .order_by(table.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    return [jobs.grant(tx, row, owner=owner, now=now, lease=lease) for row in rows]


def shares(job: Job) -> bool:
    """Tell whether ``job`` may be done in one batch with others."""
    return job.kind is JobKind.ANALYSE and job.deaths == job.releases == 0
