"""Repair of instants that lie too far ahead: the clock was set back after they were written.

Nothing is put off for longer than its longest wait; what claims to be was dated by a clock that ran ahead.
No state changes here: a row becomes due, and takes the steps that it always takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Column, ColumnElement, Connection, true, update

from storage.database import schema
from storage.states import UNCOMMITTED, DeliveryState, JobState

_studies = schema.studies
_jobs = schema.jobs
_deliveries = schema.deliveries
_commitments = schema.commitments
_questions = schema.commitment_questions

TOLERANCE: Final = timedelta(seconds=5)
"""Instants are taken a moment before they are written, by two processes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LongestWaits:
    """How far ahead an instant may lie by rights."""

    lease: timedelta
    job: timedelta
    """Wait of a job that failed for now."""
    delivery: timedelta
    commitment: timedelta
    """Wait for the answer of a peer, or before it is asked again."""


def make_due(tx: Connection, *, now: datetime, longest: LongestWaits) -> int:
    """Make due now what waits for an instant that it cannot be waiting for. Returns how many rows changed.

    A lease that nobody renews ends by itself again, a study's quiet time begins anew, and the last sign of
    life of a study, from which retention counts, is not in the future.
    """
    no_wait, any_row = timedelta(0), true()
    return sum(
        _make_due(tx, column, condition, now, ahead)
        for column, condition, ahead in (
            (_jobs.c.not_before, _jobs.c.state == JobState.WAITING, longest.job),
            (_jobs.c.lease_until, _jobs.c.state == JobState.RUNNING, longest.lease),
            (_deliveries.c.not_before, _deliveries.c.state == DeliveryState.OWED, longest.delivery),
            (_commitments.c.not_before, _commitments.c.state.in_(UNCOMMITTED), longest.commitment),
            (_questions.c.not_before, any_row, longest.delivery),
            (_studies.c.changed_at, _studies.c.changed, no_wait),
            (_studies.c.last_at, any_row, no_wait),
        )
    )


def _make_due(
    tx: Connection, column: Column[datetime], condition: ColumnElement[bool], now: datetime, ahead: timedelta
) -> int:
    # a lease stays as long as a new one: ended at once, it would be taken from a worker that is alive
    nearest = now + ahead if column is _jobs.c.lease_until else now
    late = condition & (column > now + ahead + TOLERANCE)
    return int(tx.execute(update(column.table).where(late).values({column.name: nearest})).rowcount)
