"""What an arrival changes about its study, and a person who wants it analysed once more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Table, insert, select, update

from storage import history
from storage.database import schema
from storage.queue import reports
from storage.records import Arrival
from storage.transitions import jobs

_instances = schema.instances
_studies = schema.studies


def join(tx: Connection, study_uid: str, ae_title: str, destinations: Sequence[str], now: datetime) -> None:
    """See to it that the study, the sender ``ae_title`` and its destinations are known."""
    updated = tx.execute(update(_studies).where(_studies.c.study_uid == study_uid).values(last_at=now))
    if updated.rowcount == 0:
        tx.execute(
            insert(_studies).values(
                study_uid=study_uid, changed=False, changed_at=now, first_at=now, last_at=now
            )
        )
    _remember(tx, schema.senders, study_uid=study_uid, ae_title=ae_title)
    for destination in destinations:
        _remember(tx, schema.routes, study_uid=study_uid, ae_title=ae_title, destination=destination)


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
    instances = schema.instances
    images = tx.execute(
        select(instances.c.sop_instance_uid).where(
            instances.c.study_uid == study_uid, instances.c.pixels_removed_at.is_(None)
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


def _remember(tx: Connection, table: Table, **key: str) -> None:
    row = tx.execute(select(table).filter_by(**key)).first()
    if row is None:
        tx.execute(insert(table).values(**key))
