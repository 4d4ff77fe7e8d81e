"""What the last hours brought: images in, images analysed, objects returned, and how long a return took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, func, select

from storage.database import schema
from storage.records import JobKind
from storage.states import JobState

HOUR: Final = timedelta(hours=1)
HOURS: Final = 24
RATE_DAYS: Final = 7
"""Days over which the rate at which the disk fills is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """One hour of the node."""

    begin: datetime
    received: int
    """Images kept."""
    analysed: int
    """Analyses that ended, with a result or without."""
    returned: int
    """Objects that a peer took."""
    seconds: float | None
    """Median, over the studies returned, from the last image before a study's first return to that return."""


def hours(tx: Connection, *, now: datetime) -> list[Hour]:
    """Return the last 24 hours, the earliest first; the last ends now."""
    start = now - HOURS * HOUR
    received = _by_hour(tx, schema.instances.c.received_at, start)
    jobs = schema.jobs
    analysed = _by_hour(
        tx, jobs.c.finished_at, start, jobs.c.kind == JobKind.ANALYSE, jobs.c.state == JobState.DONE
    )
    # what is not sent has no such time: the schema sees to it
    returned = _by_hour(tx, schema.deliveries.c.sent_at, start)
    seconds = _seconds(tx, start)
    return [
        Hour(
            begin=start + number * HOUR,
            received=received[number],
            analysed=analysed[number],
            returned=returned[number],
            seconds=median(seconds[number]) if seconds[number] else None,
        )
        for number in range(HOURS)
    ]


def studies_since(tx: Connection, start: datetime) -> int:
    """Return how many studies of which images are kept began at or after ``start``."""
    query = select(func.count()).select_from(schema.studies).where(schema.studies.c.first_at >= start)
    return int(tx.execute(query).scalar_one())


def bytes_a_day(tx: Connection, *, now: datetime) -> float | None:
    """Return how many bytes of images a day have come in over a week at most; None of less than a day."""
    instances = schema.instances
    start = now - timedelta(days=RATE_DAYS)
    earliest, size = tx.execute(
        select(func.min(instances.c.received_at), func.coalesce(func.sum(instances.c.size), 0)).where(
            instances.c.received_at >= start
        )
    ).one()
    if earliest is None or now - earliest < timedelta(days=1):
        return None
    days: float = (now - earliest) / timedelta(days=1)
    return int(size) / days


def _by_hour(
    tx: Connection, column: Column[Any], start: datetime, *conditions: ColumnElement[bool]
) -> list[int]:
    """Return how many instants of ``column`` lie in each hour."""
    counts = [0] * HOURS
    for at in tx.execute(select(column).where(column >= start, *conditions)).scalars():
        counts[_hour(at, start)] += 1
    return counts


def return_seconds(tx: Connection, *, now: datetime) -> list[float]:
    """Return how long each study took that was returned in the last 24 hours."""
    return [seconds for _, seconds in _returns(tx, now - HOURS * HOUR)]


def _seconds(tx: Connection, start: datetime) -> list[list[float]]:
    """Return by hour how long each study returned there took."""
    by_hour: list[list[float]] = [[] for _ in range(HOURS)]
    for at, seconds in _returns(tx, start):
        by_hour[_hour(at, start)].append(seconds)
    return by_hour


def _returns(tx: Connection, start: datetime) -> list[tuple[datetime, float]]:
    """Return when each study was first returned since ``start``, and the seconds since its last image."""
    results, deliveries, instances = schema.results, schema.deliveries, schema.instances
    lately = (
        select(results.c.study_uid)
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .where(deliveries.c.sent_at >= start)
    )
    returns = (
        select(results.c.study_uid, func.min(deliveries.c.sent_at).label("first"))
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .where(results.c.study_uid.in_(lately))
        .group_by(results.c.study_uid)
        .having(func.min(deliveries.c.sent_at) >= start)
        .subquery()
    )
    query = (
        select(returns.c.first, func.max(instances.c.received_at).label("last"))
        .join(instances, instances.c.study_uid == returns.c.study_uid)
        .where(instances.c.received_at <= returns.c.first)
        .group_by(returns.c.study_uid, returns.c.first)
    )
    return [(row.first, (row.first - row.last).total_seconds()) for row in tx.execute(query)]


def _hour(at: datetime, start: datetime) -> int:
    return min(HOURS - 1, max(0, int((at - start) / HOUR)))
