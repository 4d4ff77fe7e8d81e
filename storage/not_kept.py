"""What peers sent that was not kept: how many objects of which class, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from storage.database import columns, schema
from storage.records import NotKept, Refused

_table = schema.not_kept

Kind = tuple[str, str, Refused]
"""Calling AE title, SOP Class UID and reason."""


def add(tx: Connection, counts: Mapping[Kind, int], *, now: datetime) -> None:
    """Add ``counts`` of objects to those that are written down."""
    for (peer, sop_class_uid, reason), objects in counts.items():
        key = {"peer": peer, "sop_class_uid": sop_class_uid, "reason": reason}
        grown = tx.execute(
            update(_table).filter_by(**key).values(objects=_table.c.objects + objects, last_at=now)
        )
        if grown.rowcount == 0:
            tx.execute(insert(_table).values(**key, objects=objects, last_at=now))


def counted(tx: Connection) -> list[NotKept]:
    """Return what was not kept, by peer, reason and class."""
    rows = tx.execute(select(_table).order_by(_table.c.peer, _table.c.reason, _table.c.sop_class_uid))
    return [NotKept(**columns.fields(row)) for row in rows]
