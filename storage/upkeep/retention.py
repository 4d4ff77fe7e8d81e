"""What may be forgotten: studies of which nothing is owed, the longest quiet first. Nothing else, ever.

Images go before results: `with_pixels` and `replace_file` leave an image's header in its place, which is all
that results need. Of a study first the rows go and are committed, then the files: a kill in between leaves
files that nobody names, which the next start sweeps. What outlives a study are its reports and the times of
its findings (some hundred bytes, without end), so that the same images give the same objects when they come
again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Exists, Select, delete, exists, func, select, update

from storage.database import schema
from storage.queue import reports
from storage.records import Instance, JobKind
from storage.states import LIVE, UNCOMMITTED, DeliveryState, JobState
from storage.transitions import tallies
from storage.transitions.tallies import Subject

_studies = schema.studies
_jobs = schema.jobs
_instances = schema.instances
_results = schema.results
_deliveries = schema.deliveries
_commitments = schema.commitments

_PIECE = 1000
"""Rows that are fetched at once."""

_FILES = (
    schema.instances.c.file,
    schema.copies.c.identity,
    schema.findings.c.heatmap,
    schema.results.c.file,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgotten:
    """A study whose rows are deleted."""

    study_uid: str
    files: tuple[str, ...]
    """What they named: to be removed once the deletion is committed, as far as still `unneeded`."""
    size: int
    """Bytes of instances and results; heatmap pictures come on top."""


def expired(tx: Connection, *, before: datetime, limit: int) -> list[Forgotten]:
    """Forget at most ``limit`` settled studies without a sign of life since ``before``.

    A study is settled when it is reported, nothing of it is owed or parked with a destination, every
    commitment that was asked for is given, and no job of it is to be done. One whose report job is parked
    was never answered: it stays.
    """
    rows = tx.execute(_settled().where(_studies.c.last_at < before).limit(limit))
    return [_forget(tx, study_uid) for study_uid in rows.scalars().all()]


def by_space(tx: Connection, *, shortage: int, promised_since: datetime, limit: int) -> list[Forgotten]:
    """Forget at most ``limit`` settled studies, the longest quiet first, until ``shortage`` bytes come free.

    A study stays of which an image was promised to a peer after ``promised_since``: the peer may have deleted
    its own.
    """
    forgotten: list[Forgotten] = []
    settled = _settled().where(~_promised(promised_since))
    for study_uid in tx.execute(settled.limit(limit)).scalars().all():
        if sum(study.size for study in forgotten) >= shortage:
            break
        forgotten.append(_forget(tx, study_uid))
    return forgotten


def with_pixels(tx: Connection, *, before: datetime | None, promised_since: datetime) -> list[str]:
    """Return the settled studies of which an image is kept whole, the longest quiet first.

    Those alone without a sign of life since ``before``, if that is given, and without an image that was
    promised to a peer after ``promised_since``.
    """
    whole = select(_instances.c.study_uid).where(_instances.c.pixels_removed_at.is_(None))
    if before is not None:
        # no image is younger than its study's last sign of life: the few that are old are found by index
        whole = whole.where(_instances.c.received_at < before)
    query = _settled().where(_studies.c.study_uid.in_(whole), ~_promised(promised_since))
    return list(
        tx.execute(query if before is None else query.where(_studies.c.last_at < before)).scalars().all()
    )


def replace_file(tx: Connection, instance: Instance, *, file: str, size: int, now: datetime) -> bool:
    """Let ``file``, the header, stand for an image of a settled study; tell whether that was still so."""
    settled = _settled().where(_studies.c.study_uid == instance.study_uid)
    if tx.execute(settled).first() is None:
        return False
    changed = tx.execute(
        update(_instances)
        .where(
            _instances.c.sop_instance_uid == instance.sop_instance_uid,
            _instances.c.file == instance.file,
            _instances.c.received_at == instance.received_at,
        )
        .values(file=file, size=size, pixels_removed_at=now)
    )
    return changed.rowcount == 1


def referenced_files(tx: Connection) -> set[str]:
    """Return every file that a row names."""
    return {
        file for column in _FILES for file in tx.execute(select(column).where(column.is_not(None))).scalars()
    }


def unnamed(tx: Connection, files: Collection[str]) -> set[str]:
    """Return those of ``files`` that no row names; some hundred at a time."""
    named = {
        file
        for column in _FILES
        for file in tx.execute(select(column).where(column.in_(list(files)))).scalars()
    }
    return set(files) - named


def last_known(tx: Connection) -> Iterator[tuple[str, datetime]]:
    """Give each SOP Instance UID with a time when the database learnt of it, of forgotten images too.

    A file of the image that is older and that no row names was replaced, or forgotten with its study.
    """
    first = schema.first_findings
    for query in (
        select(_instances.c.sop_instance_uid, _instances.c.received_at),
        select(first.c.sop_instance_uid, first.c.analysed_at),
    ):
        rows = tx.execute(query.execution_options(yield_per=_PIECE))
        yield from ((row[0], row[1]) for row in rows)


def unneeded(tx: Connection, forgotten: Forgotten) -> tuple[str, ...]:
    """Return those files of ``forgotten`` that may be removed while the write transaction ``tx`` is open.

    None where the study is back: a job may be about to name one of them. A file of an instance that comes in
    just now is one of two: named by a row, or gone when its row is written, which is looked after there.
    """
    back = select(_studies.c.study_uid).where(_studies.c.study_uid == forgotten.study_uid)
    if tx.execute(back).first() is not None:
        return ()
    named = {
        file
        for column in _FILES
        for file in tx.execute(select(column).where(column.in_(forgotten.files))).scalars()
    }
    return tuple(file for file in forgotten.files if file not in named)


def _promised(since: datetime) -> Exists:
    """Return the condition that an image of the study was promised to a peer after ``since``."""
    return exists().where(_instances.c.study_uid == _studies.c.study_uid, _instances.c.promised_at > since)


def _settled() -> Select[Any]:
    """Return the query of the studies that may be forgotten, the longest quiet first."""
    to_do = exists().where(
        _jobs.c.study_uid == _studies.c.study_uid,
        _jobs.c.state.in_(LIVE) | ((_jobs.c.state == JobState.PARKED) & (_jobs.c.kind == JobKind.REPORT)),
    )
    to_send = exists().where(
        _results.c.study_uid == _studies.c.study_uid,
        _deliveries.c.sop_instance_uid == _results.c.sop_instance_uid,
        _deliveries.c.state.in_((DeliveryState.OWED, DeliveryState.PARKED)),
    )
    to_commit = exists().where(
        _results.c.study_uid == _studies.c.study_uid,
        _deliveries.c.sop_instance_uid == _results.c.sop_instance_uid,
        _commitments.c.delivery_id == _deliveries.c.id,
        _commitments.c.state.in_(UNCOMMITTED),
    )
    return (
        select(_studies.c.study_uid)
        .where(~_studies.c.changed, ~to_do, ~to_send, ~to_commit)
        .order_by(_studies.c.last_at, _studies.c.study_uid)
    )


def _size(tx: Connection, study_uid: str) -> int:
    return sum(
        tx.execute(
            select(func.coalesce(func.sum(table.c.size), 0)).where(table.c.study_uid == study_uid)
        ).scalar_one()
        for table in (_instances, _results)
    )


def _forget(tx: Connection, study_uid: str) -> Forgotten:
    """Delete the study's rows, children first."""
    forgotten = Forgotten(study_uid=study_uid, files=_files(tx, study_uid), size=_size(tx, study_uid))
    last = reports.last_report(tx, study_uid)
    images = select(_instances.c.sop_instance_uid).where(_instances.c.study_uid == study_uid)
    objects = select(_results.c.sop_instance_uid).where(_results.c.study_uid == study_uid)
    _take_off_tallies(tx, study_uid)
    _forget_commitments(tx, select(_deliveries.c.id).where(_deliveries.c.sop_instance_uid.in_(objects)))
    tx.execute(delete(_deliveries).where(_deliveries.c.sop_instance_uid.in_(objects)))
    for table in (schema.findings, schema.descriptions, schema.copies):
        tx.execute(delete(table).where(table.c.sop_instance_uid.in_(images)))
    for table in (_results, _jobs, _instances, schema.senders, schema.routes, schema.events, _studies):
        tx.execute(delete(table).where(table.c.study_uid == study_uid))
    reports.leave_behind(tx, study_uid, last)
    return forgotten


def _take_off_tallies(tx: Connection, study_uid: str) -> None:
    """Count the study's rows no more that have come to an end."""
    deliveries = (
        select(_deliveries.c.destination, _deliveries.c.state)
        .join(_results, _results.c.sop_instance_uid == _deliveries.c.sop_instance_uid)
        .where(_results.c.study_uid == study_uid)
    )
    states = {
        Subject.JOBS: select(_jobs.c.kind, _jobs.c.state).where(_jobs.c.study_uid == study_uid),
        Subject.DELIVERIES: deliveries,
        Subject.COMMITMENTS: deliveries.join(
            _commitments, _commitments.c.delivery_id == _deliveries.c.id
        ).with_only_columns(_deliveries.c.destination, _commitments.c.state),
    }
    for subject, query in states.items():
        for (name, state), number in Counter(map(tuple, tx.execute(query))).items():
            tallies.add(tx, subject, name, state, -number)


def _forget_commitments(tx: Connection, deliveries: Select[Any]) -> None:
    """Delete what was asked about ``deliveries``, and the requests that were about nothing else."""
    items, requests = schema.commitment_items, schema.commitment_requests
    about = select(items.c.transaction_uid).where(items.c.delivery_id.in_(deliveries)).distinct()
    transactions = tx.execute(about).scalars().all()
    tx.execute(delete(items).where(items.c.delivery_id.in_(deliveries)))
    tx.execute(delete(_commitments).where(_commitments.c.delivery_id.in_(deliveries)))
    tx.execute(
        delete(requests).where(
            requests.c.transaction_uid.in_(transactions),
            ~exists().where(items.c.transaction_uid == requests.c.transaction_uid),
        )
    )


def _files(tx: Connection, study_uid: str) -> tuple[str, ...]:
    images = select(_instances.c.sop_instance_uid).where(_instances.c.study_uid == study_uid)
    findings = schema.findings
    heatmaps = select(findings.c.heatmap).where(
        findings.c.sop_instance_uid.in_(images), findings.c.heatmap.is_not(None)
    )
    copies = schema.copies
    identities = select(copies.c.identity).where(
        copies.c.sop_instance_uid.in_(images), copies.c.identity.is_not(None)
    )
    return (
        *tx.execute(identities.distinct()).scalars(),
        *tx.execute(select(_instances.c.file).where(_instances.c.study_uid == study_uid)).scalars(),
        *tx.execute(select(_results.c.file).where(_results.c.study_uid == study_uid)).scalars(),
        *tx.execute(heatmaps).scalars(),
    )
