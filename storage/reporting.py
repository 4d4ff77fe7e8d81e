"""How a report job ends: its objects are owed to every destination, and replace what was not sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from storage import history, owing, schema, steps
from storage.records import JobKind, Lease, NewResult, ResultKind, ResultObject
from storage.states import JobEvent

_reports = schema.reports
_results = schema.results


def known_results(tx: Connection, uids: Collection[str]) -> dict[str, ResultObject]:
    """Return those of the result objects ``uids`` that are kept already: they need not be built again."""
    rows = tx.execute(select(_results).where(_results.c.sop_instance_uid.in_(uids)))
    return {row.sop_instance_uid: _result(row) for row in rows}


def finish_report(
    tx: Connection,
    lease: Lease,
    *,
    results: Sequence[NewResult],
    made_at: datetime,
    images: int,
    now: datetime,
) -> tuple[str, ...]:
    """Keep the report and owe its objects, in this order, to every destination of the study; end the job.

    Objects of earlier reports that are not in this one and not sent are withdrawn. An object that is kept
    already (same UID, hence same bytes) keeps its row, its file and its deliveries.

    Returns
    -------
    tuple of str
        Files of ``results`` whose objects were kept already: remove them after the commit.

    Raises
    ------
    LeaseLost
        Nothing is kept: someone else has the job, or the study changed since the claim.
    """
    row = steps.held(tx, lease)
    if row.kind is not JobKind.REPORT:
        raise ValueError(f"job {lease.job_id} is no report job")
    steps.take(tx, row, JobEvent.SUCCEEDED, now=now)
    report_id = _replace_report(tx, row.study_uid, results, made_at=made_at, images=images)
    unneeded = _keep(tx, row.study_uid, report_id, results)
    uids = [one.sop_instance_uid for one in results]
    owing.withdraw(tx, row.study_uid, keep=uids, now=now)
    owed = owing.owe_each(tx, uids, _destinations(tx, row.study_uid), now=now)
    tx.execute(update(schema.studies).where(schema.studies.c.study_uid == row.study_uid).values(last_at=now))
    history.append(tx, row.study_uid, "reported", now, report=report_id, images=images, deliveries=owed)
    return unneeded


def retract(tx: Connection, study_uid: str, *, now: datetime) -> None:
    """Stop sending the study's results: a header that they copy has changed. What was sent stays a fact."""
    tx.execute(update(_reports).where(_reports.c.study_uid == study_uid).values(current=False))
    owing.withdraw(tx, study_uid, now=now)


def _replace_report(
    tx: Connection, study_uid: str, results: Sequence[NewResult], *, made_at: datetime, images: int
) -> int:
    last = tx.execute(
        select(func.coalesce(func.max(_reports.c.sequence), 0)).where(_reports.c.study_uid == study_uid)
    ).scalar_one()
    tx.execute(update(_reports).where(_reports.c.study_uid == study_uid).values(current=False))
    document = next((one for one in results if one.kind is ResultKind.SR), None)
    made = tx.execute(
        insert(_reports).values(
            study_uid=study_uid,
            sequence=last + 1,
            made_at=made_at,
            images=images,
            current=True,
            sr_sop_class_uid=document and document.sop_class_uid,
            sr_sop_instance_uid=document and document.sop_instance_uid,
            sr_series_uid=document and document.series_uid,
        )
    )
    key = made.inserted_primary_key
    assert key is not None  # noqa: S101 - every single-row INSERT has one
    return int(key[0])


def _keep(tx: Connection, study_uid: str, report_id: int, results: Sequence[NewResult]) -> tuple[str, ...]:
    known = known_results(tx, [one.sop_instance_uid for one in results])
    unneeded = []
    for one in results:
        if (kept := known.get(one.sop_instance_uid)) is None:
            tx.execute(insert(_results).values(**_columns(one), study_uid=study_uid, report_id=report_id))
        else:
            tx.execute(
                update(_results)
                .where(_results.c.sop_instance_uid == one.sop_instance_uid)
                .values(report_id=report_id)
            )
            unneeded += [one.file] if one.file != kept.file else []
    return tuple(unneeded)


def _destinations(tx: Connection, study_uid: str) -> Sequence[str]:
    table = schema.destinations
    return (
        tx.execute(
            select(table.c.destination).where(table.c.study_uid == study_uid).order_by(table.c.destination)
        )
        .scalars()
        .all()
    )


def _columns(one: NewResult) -> dict[str, object]:
    return {name: getattr(one, name) for name in NewResult.__dataclass_fields__}


def _result(row: Row[Any]) -> ResultObject:
    return ResultObject(**steps.fields(row))
