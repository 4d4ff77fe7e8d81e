"""How a report job ends: its objects are owed to every destination, and replace what was not sent.

A report that peers have is never forgotten, not even with its study: the next one names it as predecessor,
and where it says the same it is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from storage import history
from storage.database import schema
from storage.queue import deliveries
from storage.queue.deliveries import Taking, any_kind
from storage.records import JobKind, Lease, NewResult, Report
from storage.scanners import scores
from storage.scanners.scores import BreastScore
from storage.states import DeliveryState, JobEvent
from storage.transitions import jobs

_reports = schema.reports
_results = schema.results

DOCUMENT: Final = "SR"
"""Kind of the object that stands for its report: the next report names it as its predecessor."""


def last_report(tx: Connection, study_uid: str) -> Report | None:
    """Return the study's latest report that a peer has or will have: the predecessor of the next one.

    A report whose Structured Report was withdrawn everywhere before it was sent does not count.
    """
    rows = tx.execute(
        select(_reports).where(_reports.c.study_uid == study_uid).order_by(_reports.c.sequence.desc())
    )
    return next((_report(row) for row in rows if not _wholly_withdrawn(tx, row.sr_sop_instance_uid)), None)


def numbered(tx: Connection, study_uid: str, sequence: int) -> Report | None:
    """Return the study's report of that sequence, whatever became of it."""
    row = tx.execute(
        select(_reports).where(_reports.c.study_uid == study_uid, _reports.c.sequence == sequence)
    ).one_or_none()
    return None if row is None else _report(row)


def finish_report(
    tx: Connection,
    lease: Lease,
    *,
    results: Sequence[NewResult],
    made_at: datetime,
    images: int,
    content_digest: str,
    replaces: int | None,
    breasts: Sequence[BreastScore] = (),
    takes: Taking = any_kind,
    now: datetime,
) -> tuple[str, ...]:
    """Keep the report and owe its objects, in this order, to every destination of the study; end the job.

    Objects of earlier reports that are not in this one and not sent are withdrawn. An object that is kept
    already (same UID, hence same bytes) keeps its row, its file and its deliveries; a report whose
    Structured Report is known keeps its number and its time.

    Parameters
    ----------
    content_digest
        What `finish_unchanged` is decided by; see `Report`.
    replaces
        Sequence of the report that this one names as its predecessor.
    breasts
        What it states of each breast, in its order.
    takes
        Whether a destination is sent objects of a kind.

    Returns
    -------
    tuple of str
        Files of ``results`` whose objects were kept already: remove them after the commit.

    Raises
    ------
    LeaseLost
        Nothing is kept: someone else has the job, or the study changed since the claim.
    """
    study_uid = _end(tx, lease, now=now)
    report_id = _replace_report(
        tx,
        study_uid,
        next((result for result in results if result.kind == DOCUMENT), None),
        made_at=made_at,
        images=images,
        content_digest=content_digest,
        replaces=replaces,
    )
    scores.keep(tx, report_id, breasts, now=now)
    unneeded = _keep(tx, study_uid, report_id, results)
    kinds = {result.sop_instance_uid: result.kind for result in results}
    deliveries.withdraw(tx, study_uid, keep=kinds, now=now)
    number = deliveries.owe_each(tx, kinds, _destinations(tx, study_uid), takes=takes, now=now)
    history.append(tx, study_uid, "reported", now, report=report_id, images=images, deliveries=number)
    return unneeded


def finish_unchanged(tx: Connection, lease: Lease, *, takes: Taking = any_kind, now: datetime) -> None:
    """End the report job of a study of which the current report says everything. Raises LeaseLost.

    Destinations that joined the study since are owed of its results what they take.
    """
    study_uid = _end(tx, lease, now=now)
    number = sum(
        deliveries.owe(tx, study_uid, destination, takes=takes, now=now)
        for destination in _destinations(tx, study_uid)
    )
    history.append(tx, study_uid, "nothing new to report", now, deliveries=number)


def retract(tx: Connection, study_uid: str, *, now: datetime) -> None:
    """Stop sending the study's results: a header that they copy has changed. What was sent stays a fact."""
    tx.execute(update(_reports).where(_reports.c.study_uid == study_uid).values(current=False))
    deliveries.withdraw(tx, study_uid, now=now)


def leave_behind(tx: Connection, study_uid: str, last: Report | None) -> None:
    """Forget of the study's reports those after ``last``, its `last_report`: nobody has them."""
    of_study = _reports.c.study_uid == study_uid
    forgotten = and_(of_study, _reports.c.sequence > (last.sequence if last else 0))
    scores.forget(tx, tx.execute(select(_reports.c.id).where(forgotten)).scalars().all())
    tx.execute(delete(_reports).where(forgotten))
    tx.execute(update(_reports).where(of_study).values(current=False))


def _end(tx: Connection, lease: Lease, *, now: datetime) -> str:
    """End the report job that ``lease`` holds. Returns its study. Raises LeaseLost."""
    row = jobs.held(tx, lease)
    if row.kind is not JobKind.REPORT:
        raise ValueError(f"job {lease.job_id} is no report job")
    jobs.take(tx, row, JobEvent.SUCCEEDED, now=now)
    tx.execute(update(schema.studies).where(schema.studies.c.study_uid == row.study_uid).values(last_at=now))
    return str(row.study_uid)


def _replace_report(
    tx: Connection, study_uid: str, document: NewResult | None, **columns: datetime | str | int | None
) -> int:
    """Make the report with ``document`` the current one. Returns the id of its row, which may be there."""
    tx.execute(update(_reports).where(_reports.c.study_uid == study_uid).values(current=False))
    if document is not None and (report_id := _with_document(tx, study_uid, document)) is not None:
        tx.execute(update(_reports).where(_reports.c.id == report_id).values(current=True))
        return report_id
    last = tx.execute(
        select(func.coalesce(func.max(_reports.c.sequence), 0)).where(_reports.c.study_uid == study_uid)
    ).scalar_one()
    inserted = tx.execute(
        insert(_reports).values(
            study_uid=study_uid,
            sequence=last + 1,
            current=True,
            **columns,
            sr_sop_class_uid=document and document.sop_class_uid,
            sr_sop_instance_uid=document and document.sop_instance_uid,
            sr_series_uid=document and document.series_uid,
        )
    )
    key = inserted.inserted_primary_key
    assert key is not None  # noqa: S101 - every single-row INSERT has one
    return int(key[0])


def _with_document(tx: Connection, study_uid: str, document: NewResult) -> int | None:
    report_id: int | None = tx.execute(
        select(_reports.c.id).where(
            _reports.c.study_uid == study_uid, _reports.c.sr_sop_instance_uid == document.sop_instance_uid
        )
    ).scalar_one_or_none()
    return report_id


def _wholly_withdrawn(tx: Connection, sop_instance_uid: str | None) -> bool:
    states = set(
        tx.execute(
            select(schema.deliveries.c.state).where(schema.deliveries.c.sop_instance_uid == sop_instance_uid)
        ).scalars()
    )
    return states == {DeliveryState.WITHDRAWN}


def _keep(tx: Connection, study_uid: str, report_id: int, results: Sequence[NewResult]) -> tuple[str, ...]:
    files = _known_files(tx, [result.sop_instance_uid for result in results])
    unneeded = []
    for position, result in enumerate(results):
        place = {"report_id": report_id, "position": position}
        if (file := files.get(result.sop_instance_uid)) is None:
            tx.execute(insert(_results).values(**_columns(result), study_uid=study_uid, **place))
        else:
            tx.execute(
                update(_results).where(_results.c.sop_instance_uid == result.sop_instance_uid).values(**place)
            )
            unneeded += [result.file] if result.file != file else []
    return tuple(unneeded)


def _known_files(tx: Connection, uids: Collection[str]) -> dict[str, str]:
    """Return the file of each of the result objects ``uids`` that is kept already."""
    rows = tx.execute(select(_results).where(_results.c.sop_instance_uid.in_(uids)))
    return {row.sop_instance_uid: row.file for row in rows}


def _destinations(tx: Connection, study_uid: str) -> Sequence[str]:
    table = schema.destinations
    return (
        tx.execute(
            select(table.c.destination).where(table.c.study_uid == study_uid).order_by(table.c.destination)
        )
        .scalars()
        .all()
    )


def _columns(result: NewResult) -> dict[str, object]:
    return {name: getattr(result, name) for name in NewResult.__dataclass_fields__}


def _report(row: Row[Any]) -> Report:
    return Report(**jobs.fields(row))
