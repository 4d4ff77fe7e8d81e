"""What has arrived: instances grouped into studies, and what of them has changed since the last report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from storage.database import columns, schema
from storage.queue import copies, findings, patients, reports, study_changes
from storage.queue.deliveries import Taking, any_kind
from storage.records import (
    Arrival,
    ArrivalOutcome,
    Copy,
    Description,
    FindingRecord,
    Instance,
    JobKind,
    Recorded,
)
from storage.transitions import jobs

_instances = schema.instances
_descriptions = schema.descriptions
_DESCRIBED: Final = tuple(Description.__dataclass_fields__)
_studies = schema.studies
_AT_A_TIME: Final = 500
"""UIDs in one question: SQLite takes some thousand."""

# What every image asks and writes is stated once: to state it anew takes longer than to do it.
_DESCRIBED_INSTANCES: Final = select(_instances, *(_descriptions.c[name] for name in _DESCRIBED)).outerjoin(
    _descriptions, _descriptions.c.sop_instance_uid == _instances.c.sop_instance_uid
)
"""Instances, each with its description where it has one."""
_FIND: Final = _DESCRIBED_INSTANCES.where(_instances.c.sop_instance_uid == bindparam("image"))
_KEEP: Final = insert(_instances)
_KEEP_DESCRIPTION: Final = insert(_descriptions)


def record(
    tx: Connection,
    arrival: Arrival,
    *,
    identity: str | None = None,
    destinations: Sequence[str],
    takes: Taking = any_kind,
    now: datetime,
) -> Recorded:
    """Write down an instance whose file is in the archive, with the job and the changes that it causes.

    The image is kept once, with the header that came last; whose it is, each sender says for itself. A sender
    that says again what it has said before changes nothing, whatever another one has said since.

    Parameters
    ----------
    tx
        A write transaction; the sender may be told of success once it is committed.
    arrival
        What came in.
    identity
        File of its patient and study; None: read from the kept image when it is needed.
    destinations
        Where the results of what this sender sends go; added to those of the study.
    takes
        Whether a destination is sent objects of a kind.
    now
        The time of arrival.

    Returns
    -------
    Recorded
        NEW made an analyse job and marked the study changed; so did HEADER_CHANGED, or it marked the study
        changed alone where only patient or study are others; DUPLICATE only added its sender and owes it the
        results that there are; CONFLICT and OTHER_PATIENT changed nothing.
    """
    instance = find(tx, arrival.sop_instance_uid)
    if patients.contradicts(tx, instance, arrival):
        patients.note(tx, instance, arrival, now=now)
        kept_file = "" if instance is None else instance.file
        return Recorded(outcome=ArrivalOutcome.OTHER_PATIENT, replaced_files=_unless(kept_file, arrival.file))
    copy = copies.of_arrival(arrival, identity)
    if instance is None:
        return _add(tx, arrival, copy, destinations, now)
    other_pixels = instance.pixel_sha256 != arrival.pixel_sha256
    if other_pixels and instance.pixels_removed_at is None:
        return Recorded(outcome=ArrivalOutcome.CONFLICT, replaced_files=_unless(instance.file, arrival.file))
    copies_of_peers = copies.of_image(tx, arrival.sop_instance_uid)
    before = copies_of_peers.pop(arrival.source_ae, None)
    repeats = any(
        _agree(copy, copy_kept) for copy_kept in (copies_of_peers.values() if before is None else (before,))
    )
    moves = arrival.study_uid != instance.study_uid and not copies_of_peers
    study_uid = arrival.study_uid if moves else instance.study_uid
    study_changes.join(tx, study_uid, arrival.source_ae, destinations, now)
    if not repeats or before is None or before.identity is None:
        copies.write(tx, copy)
    if repeats and not other_pixels:
        return _repeat(tx, instance, arrival, takes, now)
    former = None if before is None or before.identity == identity else before.identity
    if moves or other_pixels or _is_news(instance, before, arrival):
        return replace(_change(tx, instance, arrival, study_uid, now), identity=former)
    study_changes.note(tx, "patient or study named otherwise", study_uid, arrival, now)
    study_changes.restate(tx, study_uid, now)
    return Recorded(
        outcome=ArrivalOutcome.HEADER_CHANGED,
        replaced_files=_unless(instance.file, arrival.file),
        identity=former,
    )


def find(tx: Connection, sop_instance_uid: str) -> Instance | None:
    """Return the instance as it is kept, or None."""
    row = tx.execute(_FIND, {"image": sop_instance_uid}).one_or_none()
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
        _DESCRIBED_INSTANCES.where(_instances.c.study_uid == study_uid).order_by(
            _instances.c.sop_instance_uid
        )
    ).all()
    findings_of_study = tx.execute(
        select(schema.findings)
        .join(_instances, _instances.c.sop_instance_uid == schema.findings.c.sop_instance_uid)
        .where(_instances.c.study_uid == study_uid)
    )
    records = {row.sop_instance_uid: _finding(row) for row in findings_of_study}
    return [(_instance(row), records.get(row.sop_instance_uid)) for row in rows]


def _add(
    tx: Connection, arrival: Arrival, copy: Copy, destinations: Sequence[str], now: datetime
) -> Recorded:
    study_changes.join(tx, arrival.study_uid, arrival.source_ae, destinations, now)
    tx.execute(_KEEP, {**_columns(arrival), "received_at": now})
    copies.add(tx, copy)
    if arrival.description is not None:
        _add_description(tx, arrival.sop_instance_uid, arrival.description)
    jobs.make(tx, JobKind.ANALYSE, study_uid=arrival.study_uid, image=arrival.sop_instance_uid, now=now)
    study_changes.note(tx, "received", arrival.study_uid, arrival, now)
    jobs.mark_changed(tx, arrival.study_uid, now=now)
    return Recorded(outcome=ArrivalOutcome.NEW, replaced_files=())


def _repeat(tx: Connection, instance: Instance, arrival: Arrival, takes: Taking, now: datetime) -> Recorded:
    """Owe the sender what there is; ask for a report where there is none under its identity."""
    reports.owe_current(tx, instance.study_uid, takes=takes, now=now)
    if _is_reported(tx, instance.study_uid) and not reports.is_covered(
        tx, instance.study_uid, arrival.source_ae
    ):
        jobs.mark_changed(tx, instance.study_uid, now=now)
    if instance.pixels_removed_at is None:
        return Recorded(outcome=ArrivalOutcome.DUPLICATE, replaced_files=_unless(instance.file, arrival.file))
    whole = {"file": arrival.file, "size": arrival.size, "received_at": now, "pixels_removed_at": None}
    tx.execute(
        update(_instances).where(_instances.c.sop_instance_uid == instance.sop_instance_uid).values(**whole)
    )
    return Recorded(outcome=ArrivalOutcome.DUPLICATE, replaced_files=_unless(arrival.file, instance.file))


def _change(tx: Connection, instance: Instance, arrival: Arrival, study_uid: str, now: datetime) -> Recorded:
    """Make the header of ``arrival`` that of the image, kept in the study ``study_uid`` from now on."""
    tx.execute(
        update(_instances)
        .where(_instances.c.sop_instance_uid == instance.sop_instance_uid)
        .values(**{**_columns(arrival), "study_uid": study_uid}, received_at=now, pixels_removed_at=None)
    )
    _put_description(tx, instance.sop_instance_uid, arrival.description)
    tx.execute(
        update(schema.jobs)
        .where(schema.jobs.c.sop_instance_uid == instance.sop_instance_uid)
        .values(study_uid=study_uid)
    )
    heatmap = findings.take_away(tx, instance.sop_instance_uid)
    jobs.renew_analysis(tx, instance.sop_instance_uid, study_uid=study_uid, now=now)
    study_changes.note(tx, "header changed", study_uid, arrival, now)
    study_changes.restate(tx, study_uid, now)
    if instance.study_uid != study_uid:
        copies.mark_several_patients(tx, instance.sop_instance_uid)
        study_changes.note(tx, "moved to another study", instance.study_uid, instance, now)
        study_changes.restate(tx, instance.study_uid, now)
    return Recorded(
        outcome=ArrivalOutcome.HEADER_CHANGED,
        replaced_files=(*_unless(arrival.file, instance.file), *heatmap),
    )


def _agree(first: Copy, second: Copy) -> bool:
    """Tell whether two copies say the same of an image and whose it is, as far as it is written down."""
    if any(
        getattr(first, name) != getattr(second, name) for name in ("study_uid", "series_uid", "header_digest")
    ):
        return False
    pairs = ((first.study_digest, second.study_digest), (first.patient_digest, second.patient_digest))
    return all(None in pair or pair[0] == pair[1] for pair in pairs)


def _is_news(instance: Instance, before: Copy | None, arrival: Arrival) -> bool:
    """Tell whether the header of ``arrival`` takes the place of the kept one.

    It does where it shows the image otherwise than the kept one and than its sender did ``before``; and where
    the kept header is of the same sender, who corrects it.
    """
    digests = {instance.header_digest} if before is None else {instance.header_digest, before.header_digest}
    return arrival.header_digest not in digests or (
        arrival.source_ae == instance.source_ae and before is not None
    )


def _is_reported(tx: Connection, study_uid: str) -> bool:
    """Tell whether nothing of the study waits for a report."""
    changed: bool | None = tx.execute(
        select(_studies.c.changed).where(_studies.c.study_uid == study_uid)
    ).scalar_one_or_none()
    return changed is False and jobs.unfinished(tx, JobKind.REPORT, study_uid=study_uid) is None


def _unless(current: str, file: str) -> tuple[str, ...]:
    return () if file == current else (file,)


def _put_description(tx: Connection, sop_instance_uid: str, description: Description | None) -> None:
    """Make ``description`` the one of the image, in place of any that it has."""
    tx.execute(delete(_descriptions).where(_descriptions.c.sop_instance_uid == sop_instance_uid))
    if description is not None:
        _add_description(tx, sop_instance_uid, description)


def _add_description(tx: Connection, sop_instance_uid: str, description: Description) -> None:
    values = {name: getattr(description, name) for name in _DESCRIBED}
    tx.execute(_KEEP_DESCRIPTION, {"sop_instance_uid": sop_instance_uid, **values})


def _columns(arrival: Arrival) -> dict[str, object]:
    return {name: getattr(arrival, name) for name in Arrival.__dataclass_fields__ if name != "description"}


def _instance(row: Row[Any]) -> Instance:
    """Return the record of a row of `_DESCRIBED_INSTANCES`."""
    values = columns.fields(row)
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
