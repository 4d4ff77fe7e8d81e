"""What was not taken, and why: objects by peer and class, calls by peer; since the database was made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, update

from storage.database import columns, schema
from storage.records import NotKept, RefusedCalls
from storage.refused import Refused, Subject

_table = schema.refusals

NO_CLASS: Final = ""
"""SOP class of what is no object."""
NO_PEER: Final = ""
"""All callers that are no peers: they choose their names, and shall not choose how many rows there are."""

Kind = tuple[str, str, Refused]
"""Peer, SOP Class UID and reason."""


def add(tx: Connection, counts: Mapping[Kind, int], *, now: datetime) -> None:
    """Add ``counts`` to those that are written down."""
    for (peer, sop_class_uid, reason), number in counts.items():
        key = {"peer": peer, "sop_class_uid": sop_class_uid, "reason": reason}
        grown = tx.execute(
            update(_table).filter_by(**key).values(number=_table.c.number + number, last_at=now)
        )
        if grown.rowcount == 0:
            tx.execute(insert(_table).values(**key, number=number, last_at=now))


def objects(tx: Connection) -> list[NotKept]:
    """Return what was not kept, by peer, reason and class."""
    query = select(_table).order_by(_table.c.peer, _table.c.reason, _table.c.sop_class_uid)
    counted = [columns.fields(row) for row in tx.execute(query)]
    return [
        NotKept(objects=entry.pop("number"), **entry)
        for entry in counted
        if entry["reason"].subject is Subject.OBJECT
    ]


def calls(tx: Connection) -> list[RefusedCalls]:
    """Return the associations, connections and requests that were refused, by peer and reason."""
    rows = tx.execute(select(_table).order_by(_table.c.peer, _table.c.reason))
    return [
        RefusedCalls(peer=row.peer, reason=row.reason, calls=row.number, last_at=row.last_at)
        for row in rows
        if row.reason.subject is not Subject.OBJECT
    ]
