"""The objects that the node says of a study now."""

from __future__ import annotations

from sqlalchemy import Connection, select

from storage.database import schema
from storage.records import ResultObject
from storage.transitions import jobs


def current(tx: Connection, study_uid: str) -> list[ResultObject]:
    """Return the objects of the study's current report, in the order in which they are sent."""
    results, reports = schema.results, schema.reports
    rows = tx.execute(
        select(results)
        .join(reports, reports.c.id == results.c.report_id)
        .where(results.c.study_uid == study_uid, reports.c.current)
        .order_by(results.c.position)
    )
    return [ResultObject(**jobs.fields(row)) for row in rows]
