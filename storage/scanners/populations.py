"""The examinations of one scanner as one network scored them: what a score is compared with.

An examination is a study: its score is that of its higher breast in its latest report.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, exists, func, select

from storage.database import schema
from storage.database.columns import distinct
from storage.scanners.scores import Network, Scanner, columns

_scores = schema.breast_scores
_reports = schema.reports

_PIECE: Final = 256
"""Rows that are fetched at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """One examination of a scanner."""

    score: float
    """Malignant score of the higher breast, on the network's own scale."""
    reported_at: datetime


def scanners(tx: Connection) -> dict[Scanner, Network]:
    """Return every scanner, sorted, with the network that has scored it last."""
    key = _scores.c.manufacturer, _scores.c.scanner_model, _scores.c.network, _scores.c.network_version
    latest: dict[Scanner, tuple[datetime, Network]] = {}
    for row in distinct(tx, *key):
        scanner = Scanner(manufacturer=row.manufacturer, model=row.scanner_model)
        network = Network(name=row.network, version=row.network_version)
        of_both = (_scores.c[name] == value for name, value in columns(scanner, network).items())
        at = tx.execute(select(func.max(_scores.c.reported_at)).where(*of_both)).scalar_one()
        latest[scanner] = max(latest.get(scanner, (at, network)), (at, network))
    return {scanner: network for scanner, (_, network) in sorted(latest.items())}


def count(tx: Connection, scanner: Scanner, network: Network, *, since: datetime | None, most: int) -> int:
    """Return how many examinations there are, those after ``since`` where it is given; at most ``most``."""
    query = _breasts(scanner, network)
    if since is not None:
        query = query.where(_scores.c.reported_at > since)
    reports = query.with_only_columns(_scores.c.report_id).distinct().limit(most).subquery()
    return int(tx.execute(select(func.count()).select_from(reports)).scalar_one())


def last(
    tx: Connection, scanner: Scanner, network: Network, *, limit: int, without: str | None = None
) -> list[Examination]:
    """Return the last ``limit`` examinations, the latest first, that of the study ``without`` left out."""
    query = _breasts(scanner, network).order_by(_scores.c.reported_at.desc(), _scores.c.report_id.desc())
    if without is not None:
        query = query.where(_reports.c.study_uid != without)
    return _read(tx, query, limit)


def first(tx: Connection, scanner: Scanner, network: Network, *, limit: int) -> list[Examination]:
    """Return the first ``limit`` examinations, the earliest first."""
    return _read(tx, _breasts(scanner, network).order_by(_scores.c.reported_at, _scores.c.report_id), limit)


def _read(tx: Connection, query: Select[Any], limit: int) -> list[Examination]:
    """Put the breasts of each report together until there are ``limit``; no further row is read.

    The database would sort all that the scanner has ever made to group it: 0.4 s of 50,000 studies.
    """
    with tx.execute(query.execution_options(yield_per=_PIECE)) as rows:
        reports = (list(breasts) for _, breasts in groupby(rows, key=attrgetter("report_id")))
        return [
            Examination(score=max(breast.malignant for breast in breasts), reported_at=breasts[0].reported_at)
            for breasts in islice(reports, limit)
        ]


def _breasts(scanner: Scanner, network: Network) -> Select[Any]:
    """Return the query of the breasts in the latest report of each study; all of a report have one time."""
    later_scores, later_reports = _scores.alias("later_scores"), _reports.alias("later_reports")
    replaced = exists().where(
        later_reports.c.study_uid == _reports.c.study_uid,
        later_reports.c.id > _reports.c.id,
        later_scores.c.report_id == later_reports.c.id,
    )
    of_scanner = and_(*(_scores.c[name] == value for name, value in columns(scanner, network).items()))
    return (
        select(_scores.c.report_id, _scores.c.malignant, _scores.c.reported_at)
        .join(_reports, _reports.c.id == _scores.c.report_id)
        .where(of_scanner, ~replaced)
    )
