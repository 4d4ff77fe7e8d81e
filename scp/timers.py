"""What time brings: complete studies, expired leases, retention. The only user of APScheduler.

A tick calls one function and returns. Work is done elsewhere; a tick only makes it due.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from scp.config import Settings
from scp.worker import EPITAPH
from storage import jobs, retention, studies
from storage.archive import Archive
from storage.database import Database
from storage.errors import StorageError

log = structlog.get_logger(__name__)

STUDIES_SECONDS: Final = 1
LEASES_SECONDS: Final = 15
HOUSEKEEPING_SECONDS: Final = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Chores:
    """What the ticks do; each may be called at any time, from any thread, as often as one likes."""

    settings: Settings
    database: Database
    archive: Archive
    busy: Callable[[], Collection[str]]
    """AE titles of the senders that have an association open."""
    work: Callable[[], None]
    """Called when there is work for the worker."""
    now: Callable[[], datetime]

    def complete_studies(self) -> int:
        """Make a report job for every study that is complete now; return how many."""
        with self.database.write() as tx:
            made = studies.make_report_jobs(
                tx,
                now=self.now(),
                quiet=timedelta(seconds=self.settings.study.quiet_seconds),
                busy=self.busy(),
            )
        if made:
            log.info("studies complete", studies=made)
            self.work()
        return made

    def return_expired_leases(self) -> None:
        """Give the jobs of vanished workers back to the queue."""
        with self.database.write() as tx:
            if jobs.expire(tx, now=self.now(), epitaph=EPITAPH):
                self.work()

    def keep_house(self) -> None:
        """Remove what has been delivered and is older than the retention allows, oldest first."""
        before = self.now() - timedelta(days=self.settings.retention.days)
        with self.database.write() as tx:
            files = retention.unneeded(tx, retention.expired(tx, before=before))
            for file in files:  # inside the transaction: nobody can come to need one of them meanwhile
                self.archive.remove(file)
        if files:
            log.info(
                "delivered studies removed", files=len(files), older_than_days=self.settings.retention.days
            )


def start(chores: Chores, *, tend: Callable[[], object]) -> Callable[[], None]:
    """Start the ticks; return what ends them, once those under way have returned.

    ``tend`` looks after associations that ended without a word.
    """
    scheduler = BackgroundScheduler(timezone="UTC")
    for chore, seconds in (
        (tend, STUDIES_SECONDS),
        (chores.complete_studies, STUDIES_SECONDS),
        (chores.return_expired_leases, LEASES_SECONDS),
        (chores.keep_house, HOUSEKEEPING_SECONDS),
    ):
        scheduler.add_job(
            _surviving(chore),
            "interval",
            seconds=seconds,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
    scheduler.start()
    return lambda: scheduler.shutdown(wait=True)


def _surviving(chore: Callable[[], object]) -> Callable[[], None]:
    """Return ``chore`` as a tick: storage that fails now is tried again by the next one."""

    def tick() -> None:
        try:
            chore()
        except StorageError as error:
            log.warning("chore failed, the next tick tries again", chore=chore.__name__, reason=str(error))

    return tick
