"""What an arrival changes about its study, and when a study that changed is due for a report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, func, insert, literal, select, union_all, update

from storage import history
from storage.database import schema
from storage.queue import reports
from storage.records import Arrival, JobKind
from storage.transitions import jobs

STANDARD_VIEWS: Final = 4
"""Different views (`Arrival.standard_view`) of a screening examination: CC and MLO of each breast."""

_instances = schema.instances
_studies = schema.studies

# What every arriving image asks and writes is stated once: to state it anew takes longer than to do it.
_LIVES: Final = (
    update(_studies).where(_studies.c.study_uid == bindparam("study")).values(last_at=bindparam("now"))
)
_BEGIN: Final = insert(_studies)
_SENDER_AND_ROUTES: Final = union_all(
    select(schema.senders.c.ae_title, literal(None)).filter_by(
        study_uid=bindparam("study"), ae_title=bindparam("peer")
    ),
    select(schema.routes.c.ae_title, schema.routes.c.destination).filter_by(
        study_uid=bindparam("study"), ae_title=bindparam("peer")
    ),
)


def join(tx: Connection, study_uid: str, ae_title: str, destinations: Sequence[str], now: datetime) -> None:
    """See to it that the study, the sender ``ae_title`` and its destinations are known."""
    if tx.execute(_LIVES, {"study": study_uid, "now": now}).rowcount == 0:
        times = dict.fromkeys(("changed_at", "first_at", "last_at"), now)
        tx.execute(_BEGIN, {"study_uid": study_uid, "changed": False, **times})
    sender = {"study_uid": study_uid, "ae_title": ae_title}
    entered = {row[1] for row in tx.execute(_SENDER_AND_ROUTES, {"study": study_uid, "peer": ae_title})}
    if None not in entered:
        tx.execute(insert(schema.senders), sender)
    routes = [{**sender, "destination": destination} for destination in sorted({*destinations} - entered)]
    if routes:
        tx.execute(insert(schema.routes), routes)


def restate(tx: Connection, study_uid: str, now: datetime) -> None:
    """Take back what the study's results say; ask for a new report if it still has images."""
    reports.retract(tx, study_uid, now=now)
    left = tx.execute(
        select(_instances.c.sop_instance_uid).where(_instances.c.study_uid == study_uid).limit(1)
    ).first()
    if left is not None:
        jobs.mark_changed(tx, study_uid, now=now)
        return
    jobs.overtake_report(tx, study_uid, now=now)
    tx.execute(update(_studies).where(_studies.c.study_uid == study_uid).values(changed=False, last_at=now))


def analyse_again(tx: Connection, study_uid: str, *, now: datetime) -> int:
    """Let the images of the study be analysed once more, because a person wants it. Returns how many.

    Those whose pixels were removed stay as they were. Results that come out the same are not sent again.
    """
    images = tx.execute(
        select(_instances.c.sop_instance_uid).where(
            _instances.c.study_uid == study_uid, _instances.c.pixels_removed_at.is_(None)
        )
    ).scalars()
    uids = list(images)
    for uid in uids:
        jobs.renew_analysis(tx, uid, study_uid=study_uid, now=now)
    if uids:
        jobs.mark_changed(tx, study_uid, now=now)
        history.append(tx, study_uid, "analysis asked for again", now, images=len(uids))
    return len(uids)


def note(tx: Connection, event: str, study_uid: str, arrival: Arrival, now: datetime) -> None:
    """Write what happened to an image, and who sent it, into the history of the study."""
    history.append(
        tx,
        study_uid,
        event,
        now,
        sop_instance_uid=arrival.sop_instance_uid,
        sender=arrival.source_ae,
    )


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
