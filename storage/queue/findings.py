"""What the analyses said, one current finding an image."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from storage import history
from storage.database import schema
from storage.records import FindingRecord, JobKind
from storage.states import JobState
from storage.transitions import jobs

_findings = schema.findings


def replace(tx: Connection, record: FindingRecord, *, study_uid: str, now: datetime) -> tuple[str, ...]:
    """Make ``record`` the finding of its image. Returns files that no row names any more.

    A study that was reported already must be reported again.
    """
    unneeded = take_away(tx, record.sop_instance_uid, keep=record.heatmap)
    succeeded = json.loads(record.finding)["status"] == "Succeeded"
    tx.execute(
        insert(_findings).values(
            sop_instance_uid=record.sop_instance_uid,
            finding=record.finding,
            succeeded=succeeded,
            analysed_at=_first_made_at(tx, record),
            heatmap=record.heatmap,
        )
    )
    history.append(
        tx,
        study_uid,
        "analysed" if succeeded else "not analysed",
        now,
        sop_instance_uid=record.sop_instance_uid,
    )
    _notice(tx, study_uid, now=now)
    return unneeded


def take_away(tx: Connection, sop_instance_uid: str, *, keep: str | None = None) -> tuple[str, ...]:
    """Delete the image's finding, if it has one. Returns its heatmap's file unless that is ``keep``."""
    old = tx.execute(
        select(_findings.c.heatmap).where(_findings.c.sop_instance_uid == sop_instance_uid)
    ).one_or_none()
    tx.execute(delete(_findings).where(_findings.c.sop_instance_uid == sop_instance_uid))
    return () if old is None or old.heatmap in (None, keep) else (old.heatmap,)


def _first_made_at(tx: Connection, record: FindingRecord) -> datetime:
    """Return when this finding of this image under this header was first made, which is written down.

    It is never forgotten, with the study or otherwise: some hundred bytes buy that objects which are made
    again have the times, hence the bytes, that they had.
    """
    header_digest = tx.execute(
        select(schema.instances.c.header_digest).where(
            schema.instances.c.sop_instance_uid == record.sop_instance_uid
        )
    ).scalar_one()
    key = {
        "sop_instance_uid": record.sop_instance_uid,
        "header_digest": header_digest,
        "finding_digest": hashlib.sha256(record.finding.encode()).hexdigest(),
    }
    first: datetime | None = tx.execute(
        select(schema.first_findings.c.analysed_at).filter_by(**key)
    ).scalar_one_or_none()
    if first is None:
        tx.execute(insert(schema.first_findings).values(**key, analysed_at=record.analysed_at))
    return first or record.analysed_at


def _notice(tx: Connection, study_uid: str, *, now: datetime) -> None:
    """Mark the study changed where neither a coming report nor a waiting job will show this finding."""
    changed = tx.execute(
        select(schema.studies.c.changed).where(schema.studies.c.study_uid == study_uid)
    ).scalar_one()
    report = jobs.unfinished(tx, JobKind.REPORT, study_uid=study_uid)
    covered = report is not None and report.state is JobState.WAITING
    if changed or covered:
        tx.execute(update(schema.studies).where(schema.studies.c.study_uid == study_uid).values(last_at=now))
    else:
        jobs.mark_changed(tx, study_uid, now=now)
