"""The examinations of one scanner as one network scored them: what a score is compared with.

An examination is a study: its score is that of its higher breast in its latest report.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, exists, func, select

from storage.database import schema
from storage.database.columns import distinct
from storage.scanners.scores import Network, Scanner, columns

_scores = schema.breast_scores
_reports = schema.reports
_KEY: Final = _scores.c.manufacturer, _scores.c.scanner_model, _scores.c.network, _scores.c.network_version
_BY_TIME: Final = _scores.c.reported_at, _scores.c.report_id
_LATEST_FIRST: Final = tuple(column.desc() for column in _BY_TIME)


def _of_scanner() -> Select[Any]:
    """Return the query of the higher breast in each study's latest report; all of a report have one time.

    `ix_breast_scores_scanner` has all that is asked of the breasts, in this order: with a limit, no more rows
    are read than are wanted, none is looked up in the table, nothing is sorted.
    """
    later_scores, later_reports = _scores.alias("later_scores"), _reports.alias("later_reports")
    replaced = exists().where(
        later_reports.c.study_uid == _reports.c.study_uid,
        later_reports.c.id > _reports.c.id,
        later_scores.c.report_id == later_reports.c.id,
    )
    of_scanner = (column == bindparam(column.name) for column in _KEY)
    return (
        select(func.max(_scores.c.malignant))
        .join_from(_scores, _reports, _reports.c.id == _scores.c.report_id)
        .where(*of_scanner, ~replaced)
        .group_by(*_BY_TIME)
    )


_EXAMINATIONS: Final = _of_scanner()


def scanners(tx: Connection) -> dict[Scanner, Network]:
    """Return every scanner, sorted, with the network that has scored it last."""
    latest: dict[Scanner, tuple[datetime, Network]] = {}
    for row in distinct(tx, *_KEY):
        scanner = Scanner(manufacturer=row.manufacturer, model=row.scanner_model)
        network = Network(name=row.network, version=row.network_version)
        of_both = (_scores.c[name] == value for name, value in columns(scanner, network).items())
        at = tx.execute(select(func.max(_scores.c.reported_at)).where(*of_both)).scalar_one()
        latest[scanner] = max(latest.get(scanner, (at, network)), (at, network))
    return {scanner: network for scanner, (_, network) in sorted(latest.items())}


def count(tx: Connection, scanner: Scanner, network: Network, *, since: datetime | None, most: int) -> int:
    """Return how many examinations there are, those after ``since`` where it is given; at most ``most``."""
    query = _EXAMINATIONS.order_by(*_LATEST_FIRST).limit(most)
    if since is not None:
        query = query.where(_scores.c.reported_at > since)
    return int(
        tx.execute(select(func.count()).select_from(query.subquery()), columns(scanner, network)).scalar_one()
    )


def last(
    tx: Connection, scanner: Scanner, network: Network, *, limit: int, without: str | None = None
) -> Sequence[float]:
    """Return the scores of the last ``limit`` examinations, the latest first, without the study ``without``.

    They are malignant scores, on the network's own scale.
    """
    query = _EXAMINATIONS.order_by(*_LATEST_FIRST).limit(limit)
    if without is not None:
        query = query.where(_reports.c.study_uid != without)
    return tx.execute(query, columns(scanner, network)).scalars().all()


def first(tx: Connection, scanner: Scanner, network: Network, *, limit: int) -> Sequence[float]:
    """Return the scores of the first ``limit`` examinations, the earliest first."""
    query = _EXAMINATIONS.order_by(*_BY_TIME).limit(limit)
    return tx.execute(query, columns(scanner, network)).scalars().all()
