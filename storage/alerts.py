"""What needs a person, and who was told: a row for each condition and channel, until its end was told too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from storage.database import columns, schema

_table = schema.alerts


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One condition, as one channel tells of it."""

    channel: str
    kind: str
    subject: str
    """The peer or certificate that it is about, else empty."""
    words: str
    raised_at: datetime
    told_at: datetime | None
    """When a person was told last; None while nobody was."""
    gone_at: datetime | None
    """Since when it is so no more."""


def every(tx: Connection) -> list[Notice]:
    """Return all notices, the longest raised first."""
    rows = tx.execute(select(_table).order_by(_table.c.raised_at, _table.c.kind, _table.c.subject))
    return [Notice(**columns.fields(row)) for row in rows]


def replace(tx: Connection, notices: Iterable[Notice]) -> None:
    """Keep ``notices`` and no others: there are few, and a node has one writer of them."""
    tx.execute(delete(_table))
    if rows := [asdict(notice) for notice in notices]:
        tx.execute(insert(_table), rows)
