"""When a study's images are all in: as far as anybody can know."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select, update

from storage import history
from storage.database import schema
from storage.records import JobKind
from storage.transitions import jobs

STANDARD_VIEWS: Final = 4
"""Different views (`Arrival.standard_view`) of a screening examination: CC and MLO of each breast."""

_studies = schema.studies
_instances = schema.instances


def due_for_report(tx: Connection, *, now: datetime, quiet: timedelta, busy: Collection[str]) -> list[str]:
    """Return the studies that should be reported now, the longest unchanged first.

    One that was never reported is due at once when its four standard views are in and analysable and none
    of its senders is in ``busy`` (AE titles with an open association); any other when nothing has changed
    for ``quiet``. Reports that outlive their study count: a study that comes again may have had more images.
    """
    changed = tx.execute(
        select(_studies.c.study_uid, _studies.c.changed_at)
        .where(_studies.c.changed)
        .order_by(_studies.c.changed_at, _studies.c.study_uid)
    ).all()
    return [
        row.study_uid
        for row in changed
        if row.changed_at + quiet <= now or _complete(tx, row.study_uid, busy)
    ]


def make_report_jobs(tx: Connection, *, now: datetime, quiet: timedelta, busy: Collection[str]) -> int:
    """Make a report job for every study that is due. Returns how many.

    Each can be claimed when no image of its study is left to analyse.
    """
    due = due_for_report(tx, now=now, quiet=quiet, busy=busy)
    for study_uid in due:
        jobs.make(tx, JobKind.REPORT, study_uid=study_uid, now=now)
        tx.execute(update(_studies).where(_studies.c.study_uid == study_uid).values(changed=False))
        history.append(tx, study_uid, "complete", now)
    return len(due)


def _complete(tx: Connection, study_uid: str, busy: Collection[str]) -> bool:
    reported = tx.execute(
        select(schema.reports.c.id).where(schema.reports.c.study_uid == study_uid).limit(1)
    ).first()
    if reported is not None:
        return False
    senders = tx.execute(
        select(schema.senders.c.ae_title).where(schema.senders.c.study_uid == study_uid)
    ).scalars()
    if not set(busy).isdisjoint(senders):
        return False
    views = (
        select(func.count(_instances.c.standard_view.distinct()).label("views"))
        .join(schema.copies, schema.copies.c.sop_instance_uid == _instances.c.sop_instance_uid)
        .where(_instances.c.study_uid == study_uid, _instances.c.analysable)
        .group_by(schema.copies.c.patient_digest)
    )
    return STANDARD_VIEWS in tx.execute(views).scalars().all()
