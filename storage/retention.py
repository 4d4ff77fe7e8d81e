"""What may be forgotten: studies of which nothing is owed, the longest quiet first. Nothing else, ever."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, func, select

from storage import schema
from storage.records import JobKind
from storage.states import LIVE, DeliveryState, JobState

_studies = schema.studies
_jobs = schema.jobs
_instances = schema.instances
_results = schema.results
_deliveries = schema.deliveries

_FILES = (schema.instances.c.file, schema.findings.c.heatmap, schema.results.c.file)


def expired(tx: Connection, *, before: datetime) -> tuple[str, ...]:
    """Forget the settled studies without a sign of life since ``before``.

    A study is settled when it is reported, nothing of it is owed or parked with a destination, and no job
    of it is to be done. One whose report job is parked was never answered: it stays.

    Returns
    -------
    tuple of str
        Files to remove after the commit, and there only those that are still `unneeded`.
    """
    rows = tx.execute(_settled().where(_studies.c.last_at < before))
    return _forget(tx, rows.scalars().all())


def by_space(tx: Connection, *, wanted: int) -> tuple[str, ...]:
    """Forget settled studies, the longest quiet first, until ``wanted`` bytes come free or none is left.

    Returns files as `expired` does. Heatmap pictures are not counted: they come on top.
    """
    chosen: list[str] = []
    free = 0
    for study_uid in tx.execute(_settled()).scalars().all():
        if free >= wanted:
            break
        free += _size(tx, study_uid)
        chosen.append(study_uid)
    return _forget(tx, chosen)


def referenced_files(tx: Connection) -> set[str]:
    """Return every file that a row names."""
    return {
        file for column in _FILES for file in tx.execute(select(column).where(column.is_not(None))).scalars()
    }


def unneeded(tx: Connection, files: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``files`` that no row names.

    Remove them while the write transaction ``tx`` is open: an instance that comes in again while its study
    is being forgotten may have been given the same file.
    """
    wanted = tuple(files)
    named = referenced_files(tx) if wanted else set()
    return tuple(file for file in wanted if file not in named)


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
    return (
        select(_studies.c.study_uid)
        .where(~_studies.c.changed, ~to_do, ~to_send)
        .order_by(_studies.c.last_at, _studies.c.study_uid)
    )


def _size(tx: Connection, study_uid: str) -> int:
    return sum(
        tx.execute(
            select(func.coalesce(func.sum(table.c.size), 0)).where(table.c.study_uid == study_uid)
        ).scalar_one()
        for table in (_instances, _results)
    )


def _forget(tx: Connection, study_uids: Collection[str]) -> tuple[str, ...]:
    files: list[str] = []
    for study_uid in study_uids:
        files += _forget_one(tx, study_uid)
    return unneeded(tx, files)


def _forget_one(tx: Connection, study_uid: str) -> list[str]:
    """Delete the study's rows, children first. Returns the files that they named."""
    images = select(_instances.c.sop_instance_uid).where(_instances.c.study_uid == study_uid)
    objects = select(_results.c.sop_instance_uid).where(_results.c.study_uid == study_uid)
    findings = schema.findings
    files = [
        *tx.execute(select(_instances.c.file).where(_instances.c.study_uid == study_uid)).scalars(),
        *tx.execute(select(_results.c.file).where(_results.c.study_uid == study_uid)).scalars(),
        *tx.execute(
            select(findings.c.heatmap).where(
                findings.c.sop_instance_uid.in_(images), findings.c.heatmap.is_not(None)
            )
        ).scalars(),
    ]
    tx.execute(delete(_deliveries).where(_deliveries.c.sop_instance_uid.in_(objects)))
    tx.execute(delete(findings).where(findings.c.sop_instance_uid.in_(images)))
    for table in (
        _results,
        schema.reports,
        _jobs,
        _instances,
        schema.senders,
        schema.destinations,
        schema.events,
        _studies,
    ):
        tx.execute(delete(table).where(table.c.study_uid == study_uid))
    return files
