"""What time brings: complete studies, expired leases, retention. The only user of APScheduler.

A tick calls one function and returns. Work is done elsewhere; a tick only makes it due. APScheduler plans its
ticks by the wall clock, as every instant in a table is taken from it: where that clock is set, both are put
right (`scp.clock`, `storage.upkeep.clock_repair`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from scp import retry_policy
from scp.clock import ClockWatch
from scp.configuration.settings import Settings
from scp.working.worker import EPITAPH
from storage.archive import Archive
from storage.database.engine import Database
from storage.errors import StorageError
from storage.queue import completeness, jobs
from storage.upkeep import clock_repair, retention
from storage.upkeep.clock_repair import Longest
from storage.upkeep.retention import Forgotten

log = structlog.get_logger(__name__)

STUDIES_SECONDS: Final = 1
LEASES_SECONDS: Final = 15
HOUSEKEEPING_SECONDS: Final = 600
ROOM_SECONDS: Final = 20
CLOCK_SECONDS: Final = 1.0
"""How often the clock is looked at."""

STUDIES_AT_A_TIME: Final = 5
"""So many are forgotten in one transaction: images that come in wait for no more."""
MEGABYTE: Final = 1_000_000
HEADROOM: Final = 1.5
"""Below so many disk reserves delivered studies go early, so that at one no image need be refused."""


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
    clock: ClockWatch = field(default_factory=ClockWatch)
    """Whether that time can be believed."""

    def complete_studies(self) -> int:
        """Make a report job for every study that is complete now; return how many."""
        with self.database.write() as tx:
            made = completeness.make_report_jobs(
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
        """Give the jobs of vanished workers back to the queue.

        Not just after the clock was set: a worker that is alive renews its lease by the new time first.
        """
        if not self.clock.steady_for(self.settings.worker.lease_seconds):
            return
        with self.database.write() as tx:
            if jobs.expire(tx, now=self.now(), epitaph=EPITAPH):
                self.work()

    def mend_times(self) -> None:
        """Let nothing wait for a time that a clock running ahead has written."""
        delivery = self.settings.delivery
        wait = retry_policy.of_peer(delivery).longest
        longest = Longest(
            lease=timedelta(seconds=self.settings.worker.lease_seconds),
            job=retry_policy.JOB.longest,
            delivery=wait,
            commitment=max(wait, timedelta(seconds=delivery.commitment_timeout_seconds)),
        )
        with self.database.write() as tx:
            mended = clock_repair.bring_near(tx, now=self.now(), longest=longest)
        if mended:
            log.warning("the clock was set back: what waited for a time far ahead is due now", rows=mended)
            self.work()

    def keep_house(self) -> None:
        """Forget what has been delivered and is older than the retention allows, oldest first.

        Nothing while the clock is in doubt: set ahead by mistake, it makes everything look old.
        """
        if not self.clock.believed():
            log.warning("delivered studies are not removed: the clock has jumped lately")
            return
        days = self.settings.retention.days
        before = self.now() - timedelta(days=days)
        choose = partial(retention.expired, before=before, limit=STUDIES_AT_A_TIME)
        while forgotten := self._forget(choose):
            log.info("delivered studies removed", studies=len(forgotten), older_than_days=days)

    def make_room(self) -> None:
        """Forget delivered studies before their time, oldest first, where the disk is nearly full."""
        wanted = round(self.settings.node.disk_reserve_mb * MEGABYTE * HEADROOM) - self.archive.free_bytes()
        while wanted > 0:
            choose = partial(retention.by_space, wanted=wanted, limit=STUDIES_AT_A_TIME)
            if not (forgotten := self._forget(choose)):
                return
            wanted -= sum(one.size for one in forgotten)
            log.warning("delivered studies removed early, the disk is nearly full", studies=len(forgotten))

    def _forget(self, choose: Callable[..., list[Forgotten]]) -> list[Forgotten]:
        """Delete the rows of the studies that ``choose`` forgets, then, once that is committed, their files.

        Each study's files go inside a short write transaction of their own: nobody can come to need one of
        them between the question and the removal.
        """
        with self.database.write() as tx:
            forgotten = choose(tx)
        for one in forgotten:
            with self.database.write() as tx:
                for file in retention.unneeded(tx, one):
                    self.archive.remove(file)
        return forgotten


def start(chores: Chores, *, tend: Callable[[], object]) -> Callable[[], None]:
    """Start the ticks; return what ends them, once those under way have returned.

    ``tend`` looks after associations that ended without a word.
    """
    scheduler = BackgroundScheduler(timezone="UTC")
    for chore, seconds in (
        (tend, STUDIES_SECONDS),
        (chores.complete_studies, STUDIES_SECONDS),
        (chores.mend_times, LEASES_SECONDS),
        (chores.return_expired_leases, LEASES_SECONDS),
        (chores.keep_house, HOUSEKEEPING_SECONDS),
        (chores.make_room, ROOM_SECONDS),
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
    ending = threading.Event()
    watching = threading.Thread(
        target=_watch, args=(chores.clock, scheduler, ending), name="clock", daemon=True
    )
    watching.start()

    def end() -> None:
        ending.set()
        watching.join()
        scheduler.shutdown(wait=True)

    return end


def _watch(clock: ClockWatch, scheduler: BackgroundScheduler, ending: threading.Event) -> None:
    """Plan every tick anew when the clock was set: set back by a day, none would come for a day."""
    while not ending.wait(CLOCK_SECONDS):
        if jump := clock.look():
            log.warning("the clock of this machine was set", seconds=round(jump, 1))
            for planned in scheduler.get_jobs():
                planned.modify(next_run_time=datetime.now(UTC))


def _surviving(chore: Callable[[], object]) -> Callable[[], None]:
    """Return ``chore`` as a tick: storage or a disk that fails now is tried again by the next one."""

    def tick() -> None:
        try:
            chore()
        except (StorageError, OSError) as error:
            log.warning("chore failed, the next tick tries again", chore=chore.__name__, reason=str(error))

    return tick
