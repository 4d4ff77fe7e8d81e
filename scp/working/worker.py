"""Claims a job, does it, and records how it ended.

One job at a time, or a batch of images that the network reads in one call: each of those has its own lease
and its own end, and what goes wrong with the batch is tried image by image.

Every step may be killed at any moment: the lease runs out, the job is claimed again, and the same job
gives the same result. What goes wrong ends in *again, later* or *never, because…*; nothing stops the worker.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from inference import findings
from inference.findings import AnalysisStatus, NotAnalysed
from scp import log_privacy, retry_policy
from scp.process import memory
from scp.working.heartbeats import Heartbeats
from storage.database.engine import Database
from storage.errors import FilesUnavailable, LeaseLost, StorageError
from storage.files.archive import Archive
from storage.queue import batches, jobs
from storage.records import FindingRecord, Job, JobKind

log = structlog.get_logger(__name__)

INTERRUPTED_ANALYSIS: Final = findings.dump(
    NotAnalysed(
        status=AnalysisStatus.FAILED, reason="the analysis stopped unexpectedly and was not tried again"
    )
)
"""The finding of an image whose analysis failed by a fault of ours: the study is reported all the same."""


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """Does the jobs of the queue, each kind by its own function."""

    owner: str
    """Names this worker in its leases."""
    database: Database
    archive: Archive
    heartbeats: Heartbeats
    """Keeps what is claimed; the caller lets it begin and end."""
    do: Mapping[JobKind, Callable[[Job], None]]
    """What does a job; it commits the result and the job's end in one transaction."""
    now: Callable[[], datetime]
    batch: int = 1
    """Images of one call of the network."""
    batch_wait: timedelta = timedelta(0)
    """How long a batch waits for more images."""
    analyse_ahead: Callable[[Sequence[Job]], None] | None = None
    """Analyses the images of a batch; what `do` does with each of its jobs then is the rest."""
    pause: Callable[[float], bool] = _sleep
    """Waits so many seconds, or until the worker is told to stop; tells whether it goes on."""
    proceed: Callable[[], bool] = lambda: True
    """Hears that a job of a batch has ended; tells whether the next one may begin, or all go back."""

    def give_back(self) -> None:
        """Return what this worker still holds to the queue, without blame: storage failed, not the job."""
        with self.database.write() as tx:
            jobs.release_owner(tx, self.owner, now=self.now(), died=False, epitaph=INTERRUPTED_ANALYSIS)

    def step(self) -> JobKind | None:
        """Claim a job, or a batch, and do it. Returns its kind, or None where there was none to do.

        Raises StorageError where not even the job's failure could be written down: `give_back`, later.
        """
        try:
            claimed = self._claim()
            if not claimed:
                return None
            if self.analyse_ahead is not None and len(claimed) > 1:
                self._analyse_ahead(claimed)
            for job in claimed:
                if job is not claimed[0] and not self.proceed():
                    self.give_back()
                    break
                self._do(job)
        finally:
            self.heartbeats.drop()
        return claimed[0].kind

    def _claim(self) -> list[Job]:
        lease = self.heartbeats.lease
        with self.database.write_beside_others() as tx:
            claimed = batches.claim(tx, owner=self.owner, now=self.now(), lease=lease, most=self.batch)
        self.heartbeats.hold(job.lease for job in claimed)
        if claimed and len(claimed) < self.batch and self.batch_wait and batches.shares(claimed[0]):
            if not self.pause(self.batch_wait.total_seconds()):
                self.give_back()
                return []
            with self.database.write_beside_others() as tx:
                claimed += batches.claim_beside(
                    tx,
                    claimed[0],
                    owner=self.owner,
                    now=self.now(),
                    lease=lease,
                    most=self.batch - len(claimed),
                )
            self.heartbeats.hold(job.lease for job in claimed)
        return claimed

    def _analyse_ahead(self, claimed: Sequence[Job]) -> None:
        """Analyse a batch at once; where that fails, each image is analysed by itself, and ends by itself."""
        assert self.analyse_ahead is not None  # noqa: S101 - `step` has seen to it
        try:
            self.analyse_ahead(claimed)
        except Exception as error:  # noqa: BLE001 - whichever image it was, its own job finds out
            log.warning("a batch failed, its images are analysed one by one", reason=type(error).__name__)
            if isinstance(error, MemoryError):
                _give_back_memory(error)

    def _do(self, job: Job) -> None:
        started = time.monotonic()
        try:
            succeeded = self._execute(job)
        except LeaseLost:
            log.warning("job was taken over, its result is dropped", job=job.id)
            return
        if succeeded:
            log.info(
                "job done",
                job=job.id,
                kind=job.kind.value,
                study=job.study_uid,
                seconds=round(time.monotonic() - started, 2),
            )

    def _execute(self, job: Job) -> bool:
        """Do ``job``; tell whether it is done. Raises LeaseLost where someone else has it now."""
        try:
            self.do[job.kind](job)
        except LeaseLost:
            raise
        except (StorageError, OSError, MemoryError) as error:  # the machine failed, not the image
            self._retry_later(job, error)
            return False
        except Exception as error:  # noqa: BLE001 - a bug must not stop the worker: the job is parked with its trace
            self._park(job, error)
            return False
        return True

    def _retry_later(self, job: Job, error: Exception) -> None:
        if isinstance(error, FilesUnavailable):  # it is away for all jobs, as the database may be
            self._again(job, error, wait=retry_policy.FILES_AWAY, counted=False)
            return
        if lacks_memory := isinstance(error, MemoryError):
            _give_back_memory(error)
        tries = retry_policy.JOB_TRIES_WITHOUT_MEMORY if lacks_memory else retry_policy.JOB_TRIES
        if job.attempts >= tries:
            self._park(job, error)
            return
        self._again(job, error, wait=retry_policy.JOB.wait(job.attempts))

    def _again(self, job: Job, error: Exception, *, wait: timedelta, counted: bool = True) -> None:
        reason = str(error) or "it takes more memory than a job may ([worker] job_memory_mb)"
        log.warning("job failed for now", job=job.id, reason=reason, again_in_seconds=wait.total_seconds())
        with self.database.write() as tx:
            now = self.now()
            jobs.again(tx, job.lease, not_before=now + wait, reason=reason, now=now, counted=counted)

    def _park(self, job: Job, error: Exception) -> None:
        log.error("job parked", job=job.id, kind=job.kind.value, study=job.study_uid, exc_info=error)
        now = self.now()
        finding = (
            FindingRecord(
                sop_instance_uid=job.sop_instance_uid,
                finding=INTERRUPTED_ANALYSIS,
                analysed_at=now,
                heatmap=None,
            )
            if job.sop_instance_uid is not None
            else None
        )
        with self.database.write() as tx:
            unneeded = jobs.never(
                tx,
                job.lease,
                reason=type(error).__name__,
                trace=log_privacy.trace(error),
                finding=finding,
                now=now,
            )
        for file in unneeded:
            with suppress(FilesUnavailable):  # no row names it: a sweep removes it
                self.archive.remove(file)


def _give_back_memory(error: MemoryError) -> None:
    """Return to the system what the failed attempt took: kept in pieces, it would count against the next."""
    traceback.clear_frames(error.__traceback__)  # they hold the arrays
    memory.give_back()
