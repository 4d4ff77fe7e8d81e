"""The rows of one new report: the report, its objects, and under whose identity it was made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from storage.database import schema
from storage.records import NewResult
from storage.scanners import scores
from storage.scanners.scores import BreastScore

_reports = schema.reports
_results = schema.results

DOCUMENT: Final = "SR"
"""Kind of the object that stands for its report: the next report names it as its predecessor."""
DOCUMENTS: Final = (DOCUMENT, "SR-OUTLINE", "CAD-SR")
"""Kinds that say the same in another form, for peers that take nothing else."""
_AS_MADE: Final = ("made_at", "images", "content_digest", "replaces", "identity", "sr_study_uid")
"""Columns that a new report brings along."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewReport:
    """One finished report under one identity."""

    identity: str
    """Which edition of its study it is; see `Report`."""
    sr_study_uid: str
    results: Sequence[NewResult]
    """In the order in which they are sent."""
    made_at: datetime
    images: int
    content_digest: str
    replaces: int | None
    breasts: Sequence[BreastScore] = ()
    """What it states of each breast, in its order."""


def keep(
    tx: Connection, study_uid: str, report: NewReport, *, senders: Iterable[str], now: datetime
) -> tuple[int, tuple[str, ...]]:
    """Make ``report`` the current one of its identity, which is that of ``senders``.

    Returns its number among the study's reports, and files of its objects that were kept already.
    """
    report_id, sequence = _replace_report(tx, study_uid, report)
    _remember_senders(tx, report_id, senders)
    scores.keep(tx, report_id, report.breasts, now=now)
    return sequence, _keep(tx, study_uid, report_id, report.results)


def _replace_report(tx: Connection, study_uid: str, report: NewReport) -> tuple[int, int]:
    """Make ``report`` the current one of its identity.

    Returns the id of its row, which may be there, and its number among the study's reports.
    """
    document = next((result for result in report.results if result.kind == DOCUMENT), None)
    if document is not None and (identifiers := _with_document(tx, study_uid, document)) is not None:
        tx.execute(update(_reports).where(_reports.c.id == identifiers[0]).values(current=True))
        return identifiers
    last = tx.execute(
        select(func.coalesce(func.max(_reports.c.sequence), 0)).where(_reports.c.study_uid == study_uid)
    ).scalar_one()
    inserted = tx.execute(
        insert(_reports).values(
            study_uid=study_uid,
            sequence=last + 1,
            current=True,
            **{name: getattr(report, name) for name in _AS_MADE},
            sr_sop_class_uid=document and document.sop_class_uid,
            sr_sop_instance_uid=document and document.sop_instance_uid,
            sr_series_uid=document and document.series_uid,
        )
    )
    key = inserted.inserted_primary_key
    assert key is not None  # noqa: S101 - every single-row INSERT has one
    return int(key[0]), last + 1


def _remember_senders(tx: Connection, report_id: int, senders: Iterable[str]) -> None:
    """Add ``senders`` to those under whose identity the report was made."""
    table = schema.report_senders
    titles = set(tx.execute(select(table.c.ae_title).filter_by(report_id=report_id)).scalars())
    for ae_title in sorted(set(senders) - titles):
        tx.execute(insert(table).values(report_id=report_id, ae_title=ae_title))


def _with_document(tx: Connection, study_uid: str, document: NewResult) -> tuple[int, int] | None:
    row = tx.execute(
        select(_reports.c.id, _reports.c.sequence).where(
            _reports.c.study_uid == study_uid, _reports.c.sr_sop_instance_uid == document.sop_instance_uid
        )
    ).one_or_none()
    return None if row is None else (row.id, row.sequence)


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


def _columns(result: NewResult) -> dict[str, object]:
    return {name: getattr(result, name) for name in NewResult.__dataclass_fields__}
