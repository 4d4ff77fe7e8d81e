"""Housekeeping: what is put right at the start, and what is done again and again while the node runs.

`scp.schedule` calls each task again and again: the task makes work due and returns, others do the work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pydicom
import structlog
from pydicom.errors import InvalidDicomError

from inference.reading import attributes
from scp import calibration, pixel_removal, retry_policy
from scp.archives import HEADROOM
from scp.auditing.trail import NO_TRAIL, Trail
from scp.configuration.settings import Settings
from scp.schedule import ClockWatch
from scp.working.worker import INTERRUPTED_ANALYSIS
from storage.database.engine import Database
from storage.errors import DatabaseError, FilesUnavailable, PlaceTaken
from storage.files.archive import IDENTITIES, Archive
from storage.queue import commitments, jobs, study_changes
from storage.upkeep import clock_repair, retention
from storage.upkeep.clock_repair import LongestWaits
from storage.upkeep.retention import Forgotten

log = structlog.get_logger(__name__)

STUDIES_AT_A_TIME: Final = 5
"""So many are removed in one transaction: images that come in wait for no more."""
MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class HousekeepingTasks:
    """The tasks. Each may be called at any time, from any thread, and any number of times."""

    settings: Settings
    database: Database
    archive: Archive
    senders: Callable[[], Collection[str]]
    """Returns the AE titles of the senders that have an association open."""
    wake_worker: Callable[[], None]
    """Called when there is work for the worker."""
    now: Callable[[], datetime]
    clock: ClockWatch
    """Tells whether that time can be believed: it watches the clock that ``now`` reads."""
    trail: Trail = NO_TRAIL
    """Is told which studies are removed."""
    living: Callable[[], Collection[str] | None] = lambda: None
    """Returns the machines that live, where there are several (`storage.machines`)."""
    displaced: Callable[[PlaceTaken], None] = lambda _: None
    """Called where another node works with the database: this one must end."""
    ending: Callable[[], bool] = lambda: False
    """Tells whether what takes long is to stop between two steps: the next one goes on there."""
    database_gone: threading.Event = field(default_factory=threading.Event)
    """Set while `watch_database` finds it gone."""

    def recover(self) -> None:
        """Put right what a crash has left: leases of the dead, half-written files.

        Only before the worker and the listener start: their files and leases would be taken for the dead's.
        Files that no row names are put away while the node runs (`scp.roles.leftovers`).
        """
        self.archive.clear_incoming()
        with self.database.write() as tx:
            parked = jobs.release_all(tx, now=self.now(), epitaph=INTERRUPTED_ANALYSIS)
        for job in parked:
            log.error("job parked: it was under way at too many crashes", job=job.id, study=job.study_uid)

    def waive_commitments(self) -> None:
        """Ask no peer for commitment any more for which the configuration no longer wants it."""
        committing = [peer.ae_title for peer in self.settings.peers if peer.commitment]
        with self.database.write() as tx:
            waived = commitments.waive_all_but(tx, committing)
        if waived:
            log.warning("commitments waived: commitment = false for their peers", objects=waived)

    def complete_studies(self) -> int:
        """Make a report job for every study that is complete now; return how many."""
        with self.database.write() as tx:
            studies = study_changes.make_report_jobs(
                tx,
                now=self.now(),
                quiet=timedelta(seconds=self.settings.study.quiet_seconds),
                busy=self.senders(),
            )
        if studies:
            log.info("studies complete", studies=studies)
            self.wake_worker()
        return studies

    def return_expired_leases(self) -> None:
        """Give the jobs of vanished workers back to the queue.

        Not just after the clock was set: a worker that is alive renews its lease by the new time first.
        """
        if not self.clock.steady_for(self.settings.worker.lease_seconds):
            return
        living = self.living()
        with self.database.write() as tx:
            if jobs.expire(tx, now=self.now(), epitaph=INTERRUPTED_ANALYSIS, living=living):
                self.wake_worker()

    def repair_times(self) -> None:
        """Make jobs and deliveries due whose time was written by a clock that ran ahead."""
        delivery = self.settings.delivery
        wait = retry_policy.of_peer(delivery).longest
        longest = LongestWaits(
            lease=timedelta(seconds=self.settings.worker.lease_seconds),
            job=retry_policy.JOB.longest,
            delivery=wait,
            commitment=max(wait, timedelta(seconds=delivery.commitment_timeout_seconds)),
        )
        with self.database.write() as tx:
            repaired = clock_repair.make_due(tx, now=self.now(), longest=longest)
        if repaired:
            log.warning("the clock was set back: what waited for a time far ahead is due now", rows=repaired)
            self.wake_worker()

    def watch_database(self) -> None:
        """Say once that the database is no more in its place, and once that it is again."""
        try:
            self.database.check_place()
        except DatabaseError as error:
            if isinstance(error, PlaceTaken):
                self.displaced(error)
            if not self.database_gone.is_set():
                self.database_gone.set()
                log.error("stores are refused (0xA700)", reason=str(error))  # noqa: TRY400 - a sentence, not a trace
            return
        if self.database_gone.is_set():
            self.database_gone.clear()
            log.warning("the database is in its place again, stores are accepted")

    def calibrate_scanners(self) -> None:
        """Set the thresholds of scanners by their own examinations, where the configuration wants it."""
        if self.settings.model.calibration != "automatic":
            return
        accepted = calibration.renew(self.database, flag_rate=self.settings.model.flag_rate, now=self.now())
        for threshold in accepted:
            log.warning(
                "scanner calibrated: new reports flag its breasts from another threshold on",
                scanner=str(threshold.scanner),
                network=str(threshold.network),
                threshold=threshold.threshold,
                examinations=threshold.examinations,
            )

    def remove_old_studies(self) -> None:
        """Remove the delivered studies that are older than the retention allows, oldest first.

        Remove none while the clock is in doubt: set ahead by mistake, it makes every study look old.
        """
        if not self.clock.believed():
            log.warning("delivered studies are not removed: the clock has jumped lately")
            return
        days = self.settings.retention.days
        before = self.now() - timedelta(days=days)
        image_days = self.settings.retention.image_days
        if image_days < days:
            self._remove_pixels(before=self.now() - timedelta(days=image_days), shortage=None)
        choose = partial(retention.expired, before=before, limit=STUDIES_AT_A_TIME)
        while not self.ending() and (removed := self._remove(choose)):
            log.info("delivered studies removed", studies=len(removed), older_than_days=days)

    def free_disk_space(self) -> None:
        """Where the disk is nearly full, remove early what is delivered: images first, then studies.

        Nothing where the files are elsewhere: that would make no room for images that come in.
        """
        if not self.archive.is_on_disk:
            return
        promised_since = self.now() - timedelta(days=self.settings.retention.days)
        shortage = round(self.settings.node.disk_reserve_mb * MEGABYTE * HEADROOM) - self.archive.free_bytes()
        if shortage > 0:
            shortage -= self._remove_pixels(before=None, shortage=shortage)
        while shortage > 0 and not self.ending():
            choose = partial(
                retention.by_space, shortage=shortage, promised_since=promised_since, limit=STUDIES_AT_A_TIME
            )
            if not (removed := self._remove(choose)):
                return
            shortage -= sum(study.size for study in removed)
            log.warning("delivered studies removed early, the disk is nearly full", studies=len(removed))

    def _remove_pixels(self, *, before: datetime | None, shortage: int | None) -> int:
        """Leave the headers of settled studies' images, the oldest first; return the bytes that came free.

        All studies without a sign of life since ``before``, or as many as free ``shortage`` bytes.
        """
        promised_since = self.now() - timedelta(days=self.settings.retention.days)
        with self.database.read() as tx:
            studies = retention.with_pixels(tx, before=before, promised_since=promised_since)
        freed, reading = 0, self.settings.node.reading()
        for number, study in enumerate(studies):
            if self.ending() or (shortage is not None and freed >= shortage):
                break
            freed += pixel_removal.remove_pixels(study, self.database, self.archive, reading, now=self.now())
            if not number:
                log.info("pixels of delivered images are removed", early=before is None)
        return freed

    def _remove(self, choose: Callable[..., list[Forgotten]]) -> list[Forgotten]:
        """Delete the rows of the studies that ``choose`` names, then, once that is committed, their files.

        Each study's files go inside a short write transaction of their own: nobody can come to need one of
        them between the question and the removal.
        """
        self.archive.require()  # else the rows were gone and no file
        with self.database.write() as tx:
            removed = choose(tx)
        for study in removed:
            if self.trail.on:
                self.trail.deleted(study.study_uid, self._patients(study))
            with self.database.write() as tx:
                self._remove_files(retention.unneeded(tx, study))
        return removed

    def _remove_files(self, files: Collection[str]) -> None:
        try:
            for file in files:
                self.archive.remove(file)
        except FilesUnavailable as error:
            log.warning("files of a removed study are left for a sweep", reason=str(error))

    def _patients(self, study: Forgotten) -> set[str]:
        """Return the Patient IDs under which images of the study came: of files that are about to go."""
        identities = [file for file in study.files if Path(file).parts[0] == IDENTITIES]
        patients: set[str] = set()
        for file in identities:
            try:
                header = pydicom.dcmread(self.archive.path(file), specific_tags=["PatientID"])
            except (OSError, InvalidDicomError) as error:
                log.warning("whose study is removed cannot be read", reason=type(error).__name__)
                continue
            patients.add(attributes.text(header, "PatientID"))
        return patients
