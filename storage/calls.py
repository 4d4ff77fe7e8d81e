"""Who has asked for an association: counted by calling AE title and address, admitted or rejected, and why.

Anybody may call under any title, so the rows are bounded: the callers that were silent longest go first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from storage.database import columns, schema

_table = schema.callers

MOST: Final = 500
"""Rows: more than a hospital has senders, few enough for a page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """Associations that one caller has asked for since they were last written down."""

    calling_ae: str
    address: str
    admitted: int
    admitted_at: datetime | None
    rejected: int
    rejected_at: datetime | None
    reason: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who has asked for an association, from where, and what became of it."""

    calling_ae: str
    address: str
    admitted: int
    """How often; so is ``rejected``."""
    admitted_at: datetime | None
    rejected: int
    rejected_at: datetime | None
    reason: str | None
    """Why it was rejected the last time."""
    last_at: datetime
    """When it last called."""


def add(tx: Connection, calls: Iterable[Calls]) -> None:
    """Add ``calls`` to those that are written down; forget the callers that were silent longest."""
    for call in calls:
        _add(tx, call)
    surplus = tx.execute(select(func.count()).select_from(_table)).scalar_one() - MOST
    if surplus > 0:
        oldest = select(_table.c.calling_ae, _table.c.address).order_by(_table.c.last_at).limit(surplus)
        tx.execute(delete(_table).where(tuple_(_table.c.calling_ae, _table.c.address).in_(oldest)))


def latest(tx: Connection) -> list[Caller]:
    """Return the callers, the latest first."""
    rows = tx.execute(select(_table).order_by(_table.c.last_at.desc(), _table.c.calling_ae))
    return [Caller(**columns.fields(row)) for row in rows]


def _add(tx: Connection, call: Calls) -> None:
    key = {"calling_ae": call.calling_ae, "address": call.address}
    times = [at for at in (call.admitted_at, call.rejected_at) if at is not None]
    changes: dict[str, object] = {"last_at": max(times)}
    if call.admitted_at is not None:
        changes["admitted_at"] = call.admitted_at
    if call.rejected_at is not None:
        changes |= {"rejected_at": call.rejected_at, "reason": call.reason}
    grown = tx.execute(
        update(_table)
        .filter_by(**key)
        .values(
            admitted=_table.c.admitted + call.admitted,
            rejected=_table.c.rejected + call.rejected,
            **changes,
        )
    )
    if grown.rowcount == 0:
        tx.execute(insert(_table).values(**key, admitted=call.admitted, rejected=call.rejected, **changes))
