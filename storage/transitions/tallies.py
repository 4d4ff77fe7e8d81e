"""How many rows have come to an end, kept in step with each step that leads there or back.

Jobs that are done and objects that are sent become more for years: to count their rows takes longer each
day. What still waits is little, and is counted by its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, insert, select, update

from storage.database import schema
from storage.states import CommitmentState, DeliveryState, JobState

_table = schema.tallies

State = JobState | DeliveryState | CommitmentState


class Subject(StrEnum):
    """What is counted."""

    JOBS = "jobs"
    """By kind."""
    DELIVERIES = "deliveries"
    """By destination; commitments likewise."""
    COMMITMENTS = "commitments"


TALLIED: Final[Mapping[Subject, tuple[State, ...]]] = {
    Subject.JOBS: (JobState.DONE,),
    Subject.DELIVERIES: (DeliveryState.SENT, DeliveryState.WITHDRAWN),
    Subject.COMMITMENTS: (CommitmentState.COMMITTED, CommitmentState.FAILED, CommitmentState.WAIVED),
}
"""The states whose rows are not counted one by one."""


def move(tx: Connection, subject: Subject, name: str, before: State, after: State) -> None:
    """Note that a row of ``name`` went from one state to another, or stayed."""
    if before is not after:
        add(tx, subject, name, before, -1)
        add(tx, subject, name, after, 1)


def add(tx: Connection, subject: Subject, name: str, state: State, number: int) -> None:
    """Note that so many rows came into ``state``, or with a negative number, left it."""
    if state not in TALLIED[subject]:
        return
    key = {"subject": subject.value, "name": name, "state": state.value}
    grown = tx.execute(update(_table).filter_by(**key).values(number=_table.c.number + number))
    if grown.rowcount == 0:
        tx.execute(insert(_table).values(**key, number=number))


def standing(tx: Connection, subject: Subject) -> dict[tuple[str, str], int]:
    """Return how many rows stand where, by name and state, of the states that are tallied."""
    query = select(_table).where(_table.c.subject == subject.value).order_by(_table.c.name, _table.c.state)
    return {(row.name, row.state): row.number for row in tx.execute(query) if row.number}
