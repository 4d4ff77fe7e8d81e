"""Looks through what a stopped node has left on its disk: does the book agree with the files and the peer?"""

import time
from dataclasses import dataclass

from sqlalchemy import func, select

from storage.database import schema
from storage.database.engine import Database
from storage.files.archive import FOLDERS
from storage.queue import jobs
from storage.records import JobKind
from storage.states import DeliveryState, JobState
from storage.upkeep import retention


@dataclass(frozen=True)
class Standing:
    """How far a node is."""

    to_do: int
    """Jobs that wait or run."""
    parked: int
    owed_number: int
    unreported: int
    """Studies that have changed since their last report."""

    @property
    def settled(self):
        return self.to_do == self.owed_number == self.unreported == 0


def standing(database):
    """How far the node of ``database`` is; it may be running."""
    with database.read() as tx:
        counts = jobs.counts(tx)
        owed_number = _count(tx, schema.deliveries, schema.deliveries.c.state == DeliveryState.OWED)
        unreported = _count(tx, schema.studies, schema.studies.c.changed)
    return Standing(
        to_do=sum(counts[kind][state] for kind in JobKind for state in (JobState.WAITING, JobState.RUNNING)),
        parked=sum(counts[kind][JobState.PARKED] for kind in JobKind),
        owed_number=owed_number,
        unreported=unreported,
    )


def wait_until_settled(data_dir, seconds):
    """Wait until the running node on ``data_dir`` has nothing left to do; return how many jobs are parked.

    ``seconds`` may pass in which nothing comes to its end: a slow machine has the time that it needs.
    """
    database = Database.open_for_reading(data_dir)
    try:
        before, deadline = None, 0.0
        while not (now := standing(database)).settled:
            if now != before:
                before, deadline = now, time.monotonic() + seconds
            assert time.monotonic() < deadline, f"for {seconds} s nothing has come to its end: {now}"
            time.sleep(0.25)  # another process's database tells nobody
        return now.parked
    finally:
        database.close()


def analysed(database):
    """SOP Instance UIDs of the images that were analysed with success."""
    with database.read() as tx:
        query = select(schema.findings.c.sop_instance_uid).where(schema.findings.c.succeeded)
        return set(tx.execute(query).scalars())


def sent(database):
    """When each object was recorded as sent, by SOP Instance UID."""
    table = schema.deliveries
    with database.read() as tx:
        rows = tx.execute(
            select(table.c.sop_instance_uid, table.c.sent_at).where(table.c.sent_at.is_not(None))
        )
        return {row.sop_instance_uid: row.sent_at for row in rows}


def orphans(data_dir):
    """Files that no row names, and rows whose file is missing, relative to ``data_dir``."""
    database = Database.open(data_dir)
    try:
        with database.read() as tx:
            named = retention.referenced_files(tx)
    finally:
        database.close()
    present_files = {
        str(path.relative_to(data_dir))
        for folder in (*FOLDERS, "incoming")
        for path in (data_dir / folder).rglob("*")
        if path.is_file()
    }
    return sorted(present_files ^ named)


def _count(tx, table, condition):
    return tx.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
