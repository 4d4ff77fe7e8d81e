"""What happened to a study: one line an event, never changed afterwards. UIDs, AE titles and numbers only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select

from storage.database import schema

_APPEND: Final = insert(schema.events)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One line of a study's history."""

    study_uid: str
    event: str
    at: datetime
    fields: Mapping[str, str | int]


def append(tx: Connection, study_uid: str, event: str, now: datetime, **fields: str | int) -> None:
    """Write down that ``event`` happened to the study now. No names, no free text."""
    line = {"study_uid": study_uid, "event": event, "at": now, "fields": json.dumps(fields, sort_keys=True)}
    tx.execute(_APPEND, line)


def of(tx: Connection, study_uid: str) -> list[Event]:
    """Return everything that happened to the study, oldest first."""
    rows = tx.execute(
        select(schema.events).where(schema.events.c.study_uid == study_uid).order_by(schema.events.c.id)
    )
    return [
        Event(study_uid=row.study_uid, event=row.event, at=row.at, fields=json.loads(row.fields))
        for row in rows
    ]
