"""The processes that share the work of a node: who lives, in which role, and who sends to it now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from storage.database import columns, schema

_table = schema.machines

ALIVE: Final = timedelta(seconds=15)
"""Who has given no sign of life for so long is taken for dead, or cut off."""
MEMORY: Final = timedelta(hours=1)
"""So long `status` shows a machine that has gone without a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """One process and its last sign of life."""

    name: str
    """Its own alone, ever: host, role, process and a random part. Owners of leases begin with it."""
    role: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    ready: bool = False
    """Whether it does its work: one that delivers may wait for another to end."""
    busy: tuple[str, ...] = ()
    """AE titles that have an association open with it."""

    def alive(self, now: datetime) -> bool:
        """Tell whether it has given a sign of life lately."""
        return self.seen_at + ALIVE > now


def owner(machine: str, worker: str) -> str:
    """Return what names a worker of ``machine``, which is empty where there are no roles, in its leases."""
    return f"{machine}/{worker}" if machine else worker


def machine_of(owner_of_lease: str) -> str:
    """Return the machine of a lease's owner; empty where there are no roles."""
    return owner_of_lease.rpartition("/")[0]


def beat(tx: Connection, machine: Machine) -> None:
    """Write down that ``machine`` lives and what it does. Changes its row alone."""
    values = {name: getattr(machine, name) for name in Machine.__dataclass_fields__}
    updated = tx.execute(update(_table).where(_table.c.name == machine.name).values(values))
    if updated.rowcount == 0:
        tx.execute(insert(_table).values(values))


def leave(tx: Connection, name: str) -> None:
    """Forget a machine that has ended in order."""
    tx.execute(delete(_table).where(_table.c.name == name))


def forget_gone(tx: Connection, *, now: datetime) -> None:
    """Forget the machines that have given no sign of life for long."""
    tx.execute(delete(_table).where(_table.c.seen_at <= now - MEMORY))


def every(tx: Connection) -> list[Machine]:
    """Return all that are written down, by role and name."""
    rows = tx.execute(select(_table).order_by(_table.c.role, _table.c.name))
    return [Machine(**columns.fields(row)) for row in rows]


def living(tx: Connection, *, now: datetime) -> frozenset[str]:
    """Return the names of those that live."""
    return frozenset(machine.name for machine in every(tx) if machine.alive(now))


def busy(tx: Connection, *, now: datetime) -> frozenset[str]:
    """Return the AE titles that have an association open with a machine that lives."""
    return frozenset(title for machine in every(tx) if machine.alive(now) for title in machine.busy)
