"""How a report job ends: its objects are owed to whom they go, and replace what was not sent.

A report that peers have is never forgotten, not even with its study: the next one names it as predecessor,
and where it says the same it is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, select, update

from storage import history
from storage.database import columns, schema
from storage.queue import deliveries, editions, new_reports
from storage.queue.deliveries import Taking, any_kind
from storage.queue.new_reports import NewReport
from storage.records import JobKind, Lease, Report
from storage.scanners import scores
from storage.states import DeliveryState, JobEvent
from storage.transitions import jobs

_reports = schema.reports
_results = schema.results


def last_report(tx: Connection, study_uid: str, senders: Collection[str] | None = None) -> Report | None:
    """Return the study's latest report that a peer has or will have: the predecessor of the next one.

    Only those made under the identity of one of ``senders``, where they are given. A report of which every
    document, in whichever form, was withdrawn everywhere before it was sent does not count.
    """
    rows = tx.execute(
        select(_reports).where(_reports.c.study_uid == study_uid).order_by(_reports.c.sequence.desc())
    )
    return next(
        (
            _report(row)
            for row in rows
            if not _wholly_withdrawn(tx, row.id) and (senders is None or _is_for(tx, row.id, senders))
        ),
        None,
    )


def numbered(tx: Connection, study_uid: str, sequence: int) -> Report | None:
    """Return the study's report of that sequence, whatever became of it."""
    row = tx.execute(
        select(_reports).where(_reports.c.study_uid == study_uid, _reports.c.sequence == sequence)
    ).one_or_none()
    return None if row is None else _report(row)


def chain(tx: Connection, last: Report | None) -> Iterator[Report]:
    """Yield ``last``, the report that it replaced, and so on to the first."""
    report = last
    while report is not None:
        yield report
        before = report.replaces
        report = None if before is None else numbered(tx, report.study_uid, before)


def finish(
    tx: Connection,
    lease: Lease,
    *,
    new: Sequence[NewReport],
    unchanged: Collection[int] = (),
    takes: Taking = any_kind,
    now: datetime,
) -> tuple[str, ...]:
    """Keep new reports and owe their objects, in this order, to whom they go; end the job.

    Objects of earlier reports that are in no current one and not sent are withdrawn. An object that is kept
    already (same UID, hence same bytes) keeps its row, its file and its deliveries; a report whose
    Structured Report is known keeps its number and its time.

    Parameters
    ----------
    new
        The reports that say something new, at most one for each identity.
    unchanged
        Rows of the reports that say everything still.
    takes
        Whether a destination is sent objects of a kind.

    Returns
    -------
    tuple of str
        Files of new results whose objects were kept already: remove them after the commit.

    Raises
    ------
    LeaseLost
        Nothing is kept: someone else has the job, or the study changed since the claim.
    """
    study_uid = _end(tx, lease, now=now)
    tx.execute(update(_reports).where(_reports.c.study_uid == study_uid).values(current=False))
    tx.execute(update(_reports).where(_reports.c.id.in_(unchanged)).values(current=True))
    senders = {edition.identity: edition.senders for edition in editions.of_study(tx, study_uid)}
    unneeded: tuple[str, ...] = ()
    for report in new:
        number, kept_already = new_reports.keep(
            tx, study_uid, report, senders=senders.get(report.identity, ()), now=now
        )
        unneeded += kept_already
        history.append(tx, study_uid, "reported", now, report=number, images=report.images)
    if not new:
        history.append(tx, study_uid, "nothing new to report", now)
    goals = {uid: destinations for uid, _, destinations in _owed_to(tx, study_uid)}
    deliveries.withdraw(tx, study_uid, keep=goals, now=now)
    owe_current(tx, study_uid, takes=takes, now=now)
    return unneeded


def owe_current(tx: Connection, study_uid: str, *, takes: Taking = any_kind, now: datetime) -> int:
    """Owe the objects of the study's current reports to everyone to whom they go, and who ``takes`` them.

    Returns how many deliveries are new.
    """
    return sum(
        deliveries.owe_each(tx, {uid: kind}, destinations, takes=takes, now=now)
        for uid, kind, destinations in _owed_to(tx, study_uid)
    )


def is_covered(tx: Connection, study_uid: str, ae_title: str) -> bool:
    """Tell whether a current report has the identity of this sender, or none is due to it now."""
    return all(
        current(tx, study_uid, edition.identity) is not None
        for edition in editions.of_study(tx, study_uid)
        if ae_title in edition.senders
    )


def current(tx: Connection, study_uid: str, identity: str) -> Report | None:
    """Return the current report of the study under this identity."""
    row = tx.execute(
        select(_reports).where(
            _reports.c.study_uid == study_uid, _reports.c.identity == identity, _reports.c.current
        )
    ).one_or_none()
    return None if row is None else _report(row)


def retract(tx: Connection, study_uid: str, *, now: datetime) -> None:
    """Stop sending the study's results: a header that they copy has changed. What was sent stays a fact."""
    tx.execute(update(_reports).where(_reports.c.study_uid == study_uid).values(current=False))
    deliveries.withdraw(tx, study_uid, now=now)


def leave_behind(tx: Connection, study_uid: str, last: Report | None) -> None:
    """Forget of the study's reports those after ``last``, its `last_report`: nobody has them."""
    of_study = _reports.c.study_uid == study_uid
    forgotten = and_(of_study, _reports.c.sequence > (last.sequence if last else 0))
    ids = tx.execute(select(_reports.c.id).where(forgotten)).scalars().all()
    scores.forget(tx, ids)
    tx.execute(delete(schema.report_senders).where(schema.report_senders.c.report_id.in_(ids)))
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


def _is_for(tx: Connection, report_id: int, senders: Collection[str]) -> bool:
    """Tell whether the report was made under the identity of one of ``senders``; an old one was."""
    table = schema.report_senders
    made_for = set(tx.execute(select(table.c.ae_title).filter_by(report_id=report_id)).scalars())
    return not made_for or not made_for.isdisjoint(senders)


def _owed_to(tx: Connection, study_uid: str) -> list[tuple[str, str, Sequence[str]]]:
    """Return the objects of the study's current reports, in their order: UID, kind, and where each goes."""
    goals: list[tuple[str, str, Sequence[str]]] = []
    for edition in editions.of_study(tx, study_uid):
        report = current(tx, study_uid, edition.identity)
        if report is not None:
            objects = select(_results.c.sop_instance_uid, _results.c.kind).filter_by(report_id=report.id)
            rows = tx.execute(objects.order_by(_results.c.position, _results.c.sop_instance_uid))
            goals += [(row.sop_instance_uid, row.kind, edition.destinations) for row in rows]
    return goals


def _wholly_withdrawn(tx: Connection, report_id: int) -> bool:
    states = set(
        tx.execute(
            select(schema.deliveries.c.state)
            .join(_results, _results.c.sop_instance_uid == schema.deliveries.c.sop_instance_uid)
            .where(_results.c.report_id == report_id, _results.c.kind.in_(new_reports.DOCUMENTS))
        ).scalars()
    )
    return states == {DeliveryState.WITHDRAWN}


def _report(row: Row[Any]) -> Report:
    return Report(**columns.fields(row))
