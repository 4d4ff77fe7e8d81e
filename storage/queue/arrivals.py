"""What has arrived: instances grouped into studies, and what of them has changed since the last report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Table, delete, insert, select, update

from storage import history
from storage.database import schema
from storage.queue import deliveries, findings, patients, reports
from storage.queue.deliveries import Taking, any_kind
from storage.records import Arrival, Description, FindingRecord, Instance, JobKind, Kept, Recorded
from storage.transitions import jobs

_instances = schema.instances
_descriptions = schema.descriptions
_DESCRIBED: Final = tuple(Description.__dataclass_fields__)
_studies = schema.studies
_AT_A_TIME: Final = 500
"""UIDs in one question: SQLite takes some thousand."""


def record(
    tx: Connection,
    arrival: Arrival,
    *,
    destinations: Sequence[str],
    takes: Taking = any_kind,
    now: datetime,
) -> Recorded:
    """Write down an instance whose file is in the archive, with the job and the changes that it causes.

    Parameters
    ----------
    tx
        A write transaction; the sender may be told of success once it is committed.
    arrival
        What came in.
    destinations
        Where the results of what this sender sends go; added to those of the study.
    takes
        Whether a destination is sent objects of a kind.
    now
        The time of arrival.

    Returns
    -------
    Recorded
        NEW and HEADER_CHANGED made an analyse job and marked the study changed; DUPLICATE only added its
        sender and owes it the results that there are; CONFLICT and OTHER_PATIENT changed nothing.
    """
    instance = find(tx, arrival.sop_instance_uid)
    if patients.contradicts(tx, instance, arrival):
        patients.note(tx, instance, arrival, now=now)
        kept_file = "" if instance is None else instance.file
        return Recorded(kept=Kept.OTHER_PATIENT, replaced_files=_unless(kept_file, arrival.file))
    if instance is None:
        return _add(tx, arrival, destinations, now)
    if instance.pixel_sha256 != arrival.pixel_sha256:
        return Recorded(kept=Kept.CONFLICT, replaced_files=_unless(instance.file, arrival.file))
    if (instance.header_digest, instance.study_uid) != (arrival.header_digest, arrival.study_uid):
        return _change(tx, instance, arrival, destinations, now)
    _join(tx, arrival, destinations, now)
    for destination in destinations:
        deliveries.owe(tx, instance.study_uid, destination, takes=takes, now=now)
    return Recorded(kept=Kept.DUPLICATE, replaced_files=_unless(instance.file, arrival.file))


def find(tx: Connection, sop_instance_uid: str) -> Instance | None:
    """Return the instance as it is kept, or None."""
    row = tx.execute(_kept().where(_instances.c.sop_instance_uid == sop_instance_uid)).one_or_none()
    return None if row is None else _instance(row)


def recognised(tx: Connection, sop_instance_uids: Collection[str]) -> set[str]:
    """Return those of the instances that are kept, were read before, or were made by this node itself."""
    uids = sorted(sop_instance_uids)
    return {
        uid
        for first in range(0, len(uids), _AT_A_TIME)
        for table in (_instances, schema.first_findings, schema.results)
        for uid in tx.execute(
            select(table.c.sop_instance_uid).where(
                table.c.sop_instance_uid.in_(uids[first : first + _AT_A_TIME])
            )
        ).scalars()
    }


def unneeded(tx: Connection, files: Sequence[str]) -> list[str]:
    """Return those of ``files`` that no instance names: they may be removed while the transaction is open.

    One that another process has just brought back is one of two: named by a row, or gone when its row is
    written, which is looked after there.
    """
    named = set(tx.execute(select(_instances.c.file).where(_instances.c.file.in_(files))).scalars())
    return [file for file in files if file not in named]


def describe(tx: Connection, instance: Instance, description: Description) -> None:
    """Write down what ``instance``, kept without a description, shows; no other header that came since."""
    now_kept = find(tx, instance.sop_instance_uid)
    if now_kept == instance and instance.description is None:
        _put_description(tx, instance.sop_instance_uid, description)


def images(tx: Connection, study_uid: str) -> list[tuple[Instance, FindingRecord | None]]:
    """Return the study's instances by SOP Instance UID, each with its finding if it has one."""
    rows = tx.execute(
        _kept().where(_instances.c.study_uid == study_uid).order_by(_instances.c.sop_instance_uid)
    ).all()
    findings_of_study = tx.execute(
        select(schema.findings)
        .join(_instances, _instances.c.sop_instance_uid == schema.findings.c.sop_instance_uid)
        .where(_instances.c.study_uid == study_uid)
    )
    records = {row.sop_instance_uid: _finding(row) for row in findings_of_study}
    return [(_instance(row), records.get(row.sop_instance_uid)) for row in rows]


def _add(tx: Connection, arrival: Arrival, destinations: Sequence[str], now: datetime) -> Recorded:
    _join(tx, arrival, destinations, now)
    tx.execute(insert(_instances).values(**_columns(arrival), received_at=now))
    _put_description(tx, arrival.sop_instance_uid, arrival.description)
    jobs.make(tx, JobKind.ANALYSE, study_uid=arrival.study_uid, image=arrival.sop_instance_uid, now=now)
    _log(tx, "received", arrival, now)
    jobs.mark_changed(tx, arrival.study_uid, now=now)
    return Recorded(kept=Kept.NEW, replaced_files=())


def _change(
    tx: Connection, instance: Instance, arrival: Arrival, destinations: Sequence[str], now: datetime
) -> Recorded:
    _join(tx, arrival, destinations, now)
    tx.execute(
        update(_instances)
        .where(_instances.c.sop_instance_uid == instance.sop_instance_uid)
        .values(**_columns(arrival), received_at=now)
    )
    _put_description(tx, instance.sop_instance_uid, arrival.description)
    tx.execute(
        update(schema.jobs)
        .where(schema.jobs.c.sop_instance_uid == instance.sop_instance_uid)
        .values(study_uid=arrival.study_uid)
    )
    heatmap = findings.take_away(tx, instance.sop_instance_uid)
    jobs.renew_analysis(tx, instance.sop_instance_uid, study_uid=arrival.study_uid, now=now)
    _log(tx, "header changed", arrival, now)
    _restate(tx, arrival.study_uid, now)
    if instance.study_uid != arrival.study_uid:
        _log(tx, "moved to another study", instance, now)
        _restate(tx, instance.study_uid, now)
    return Recorded(
        kept=Kept.HEADER_CHANGED, replaced_files=(*_unless(arrival.file, instance.file), *heatmap)
    )


def _restate(tx: Connection, study_uid: str, now: datetime) -> None:
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


def _join(tx: Connection, arrival: Arrival, destinations: Sequence[str], now: datetime) -> None:
    """See to it that the arrival's study, its sender and their destinations are known."""
    study_uid = arrival.study_uid
    updated = tx.execute(update(_studies).where(_studies.c.study_uid == study_uid).values(last_at=now))
    if updated.rowcount == 0:
        tx.execute(
            insert(_studies).values(
                study_uid=study_uid, changed=False, changed_at=now, first_at=now, last_at=now
            )
        )
    _remember(tx, schema.senders, study_uid=study_uid, ae_title=arrival.source_ae)
    for destination in destinations:
        _remember(tx, schema.destinations, study_uid=study_uid, destination=destination)


def _remember(tx: Connection, table: Table, **key: str) -> None:
    row = tx.execute(select(table).filter_by(**key)).first()
    if row is None:
        tx.execute(insert(table).values(**key))


def _log(tx: Connection, event: str, arrival: Arrival, now: datetime) -> None:
    history.append(
        tx,
        arrival.study_uid,
        event,
        now,
        sop_instance_uid=arrival.sop_instance_uid,
        sender=arrival.source_ae,
    )


def _unless(current: str, file: str) -> tuple[str, ...]:
    return () if file == current else (file,)


def _put_description(tx: Connection, sop_instance_uid: str, description: Description | None) -> None:
    """Make ``description`` the one of the image, in place of any that it has."""
    tx.execute(delete(_descriptions).where(_descriptions.c.sop_instance_uid == sop_instance_uid))
    if description is not None:
        values = {name: getattr(description, name) for name in _DESCRIBED}
        tx.execute(insert(_descriptions).values(sop_instance_uid=sop_instance_uid, **values))


def _columns(arrival: Arrival) -> dict[str, object]:
    return {name: getattr(arrival, name) for name in Arrival.__dataclass_fields__ if name != "description"}


def _kept() -> Select[Any]:
    """Return the query of instances, each with its description where it has one."""
    return select(_instances, *(_descriptions.c[name] for name in _DESCRIBED)).outerjoin(
        _descriptions, _descriptions.c.sop_instance_uid == _instances.c.sop_instance_uid
    )


def _instance(row: Row[Any]) -> Instance:
    """Return the record of a row of `_kept`."""
    values = jobs.fields(row)
    described = {name: values.pop(name) for name in _DESCRIBED}
    description = None if described["study_digest"] is None else Description(**described)
    return Instance(**values, description=description)


def _finding(row: Row[Any]) -> FindingRecord:
    return FindingRecord(
        sop_instance_uid=row.sop_instance_uid,
        finding=row.finding,
        analysed_at=row.analysed_at,
        heatmap=row.heatmap,
    )
