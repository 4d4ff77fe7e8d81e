"""A study is analysed once more because a person wants it: every image, then the report."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from storage import history
from storage.database import schema
from storage.transitions import jobs


def analyse_again(tx: Connection, study_uid: str, *, now: datetime) -> int:
    """Let all images of the study be analysed once more. Returns how many.

    Results that come out the same are not sent again.
    """
    instances = schema.instances
    images = tx.execute(
        select(instances.c.sop_instance_uid).where(instances.c.study_uid == study_uid)
    ).scalars()
    uids = list(images)
    for uid in uids:
        jobs.renew_analysis(tx, uid, study_uid=study_uid, now=now)
    if uids:
        jobs.mark_changed(tx, study_uid, now=now)
        history.append(tx, study_uid, "analysis asked for again", now, images=len(uids))
    return len(uids)
