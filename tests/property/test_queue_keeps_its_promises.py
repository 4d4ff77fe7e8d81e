"""Claims, endings, deaths, restarts and crashes in any order: no job is lost, none is finished twice.

Two connections work on one real SQLite file, then on one database of PostgreSQL, with a clock that only the
machine moves. A crash is a transaction that is rolled back, or whose connection goes away, before COMMIT.
What becomes of results once they are sent is tested beside this (`test_commitments_keep_their_promises.py`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, select

from storage.database import schema
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.errors import LeaseLost
from storage.queue import arrivals, jobs, reports, study_changes
from storage.records import ArrivalOutcome, Job, JobKind
from storage.states import LIVE, JobState
from tests.support import postgresql
from tests.support.kinds import ResultKind
from tests.unit.storage.making import (
    FAILED,
    LEASE,
    QUIET,
    START,
    arrival,
    assert_counted,
    empty_database,
    finding,
    new_report,
    open_hastily,
    result,
)

STUDIES = ("1.2.1", "1.2.2")
OWNERS = ("worker-1", "worker-2")
OWNER = st.sampled_from((OWNERS[0], *OWNERS))
SELDOM = st.sampled_from((False, False, False, True))


class Crash(Exception):  # noqa: N818
    """The process ends here."""


class Queue(RuleBasedStateMachine):
    """The queue as two processes see it, beside a model that a child could keep."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name)
        self.prepare()
        self.connections = [self.connect(number) for number in range(2)]
        self.turns = 0
        self.now = START
        self.images: dict[str, tuple[str, int]] = {}
        """What must be analysed: UID → its study and the version of its header."""
        self.about: dict[int, tuple[JobKind, str]] = {}
        """What a job is about: job → kind and UID of image or study."""
        self.holders: dict[int, tuple[str, int]] = {}
        """Who holds a job: job → owner and number of the claim."""
        self.finished: set[int] = set()
        self.claimed: list[Job] = []
        """Every claim ever made: each may still be settled, rightly or too late."""

    def prepare(self) -> None:
        """Make a database without rows."""
        (self._path / NAME).write_bytes(empty_database())

    def connect(self, number: int) -> Database:
        """Return the database as process ``number`` opens it."""
        return open_hastily(self._path)

    def teardown(self) -> None:
        for connection in self.connections:
            connection.close()
        self._directory.cleanup()

    @property
    def database(self) -> Database:
        """The two connections take turns, so that each sees what the other did."""
        self.turns += 1
        return self.connections[self.turns % 2]

    @initialize(images=st.integers(1, 2))
    def study_arrives(self, images: int) -> None:
        for number in range(images):
            self.receive(number, STUDIES[0], 0, crash=False)

    @rule(
        number=st.integers(0, 1),
        study=st.sampled_from((*STUDIES[:1] * 3, STUDIES[1])),
        header=st.integers(0, 9),
        crash=SELDOM,
    )
    def receive(self, number: int, study: str, header: int, *, crash: bool) -> None:
        """Receive an image: new, again, with another header, or moved to another study."""
        new_arrival = arrival(
            number,
            study=study,
            sop_instance_uid=f"1.2.3.{number}",
            header_digest=f"{study}-{header}",
            file=f"instances/{number}-{study}-{header}.dcm",
        )
        with self._write(crash=crash) as tx:
            entry = arrivals.record(tx, new_arrival, destinations=["PACS"], now=self.now)
        if crash:
            return
        before = self.images.get(new_arrival.sop_instance_uid)
        assert (before == (study, header)) == (entry.outcome is ArrivalOutcome.DUPLICATE)
        self.images[new_arrival.sop_instance_uid] = (study, header)
        if entry.outcome is not ArrivalOutcome.DUPLICATE:
            self._let_go(JobKind.ANALYSE, {new_arrival.sop_instance_uid})
            self._let_go(JobKind.REPORT, {study, *(before or ())[:1]})

    @rule()
    def images_are_analysed(self) -> None:
        """Do at once what else would take luck: every image that waits; then ask for the report."""
        self.now += timedelta(seconds=100)
        while True:
            with self._write() as tx:
                job = jobs.claim(tx, owner=OWNERS[0], now=self.now, lease=LEASE)
                if job is None or job.kind is JobKind.REPORT:
                    tx.rollback()
                    break
                self._check_claim(job)
                assert job.sop_instance_uid is not None
                jobs.finish_analysis(tx, job.lease, finding(job.sop_instance_uid), now=self.now)
            self._ended(job)
        self.now += QUIET
        with self._write() as tx:
            study_changes.make_report_jobs(tx, now=self.now, quiet=QUIET, busy=())

    @rule(owner=OWNER, kind=st.sampled_from(JobKind), crash=SELDOM)
    def claim(self, owner: str, kind: JobKind, *, crash: bool) -> None:
        """Claim a job; where the queue is empty, first bring about one of ``kind``."""
        if not self._something_is_due():
            self.receive(0, STUDIES[0], 10 + self.turns, crash=False)
            if kind is JobKind.REPORT:
                self.images_are_analysed()
        with self._write(crash=crash) as tx:
            job = jobs.claim(tx, owner=owner, now=self.now, lease=LEASE)
        if job is None or crash:
            return
        self._check_claim(job)
        self.holders[job.id] = (owner, job.lease.claim)
        self.about[job.id] = (job.kind, job.sop_instance_uid or job.study_uid)
        self.claimed.append(job)

    @precondition(lambda self: self.claimed)
    @rule(
        back=st.integers(0, 2),
        ending=st.sampled_from(("finished", "finished", "again", "never", "heartbeat")),
        crash=SELDOM,
    )
    def settle(self, back: int, ending: str, *, crash: bool) -> None:
        """End one of the last claims, which may have been lost, or settled already."""
        job = self.claimed[-1 - min(back, len(self.claimed) - 1)]
        held = self._holds(job)
        try:
            with self._write(crash=crash) as tx:
                getattr(self, f"_{ending}")(tx, job)
        except LeaseLost:
            assert not held, "the holder of a lease was refused"
            return
        assert held, "a lease that was lost was accepted"
        if crash or ending == "heartbeat":
            return
        del self.holders[job.id]
        if ending != "again":
            self._ended(job, finished=ending == "finished")

    @rule(owner=OWNER, ending=st.sampled_from(("expires", "stops", "dies", "node restarts")))
    def leases_go(self, owner: str, ending: str) -> None:
        """Give jobs back: leases that ran out, those of one worker, or all of them."""
        lost = {job for job, held in self.holders.items() if held[0] == owner}
        if ending == "node restarts":
            lost = set(self.holders)
            self.connections[0].close()
            self.connections[0] = self.connect(0)
        elif ending == "expires":
            self.now += LEASE / 2
            lost = self._run_out()
        with self._write() as tx:
            if ending == "node restarts":
                parked = jobs.release_all(tx, now=self.now, epitaph=FAILED)
            elif ending == "expires":
                parked = jobs.expire(tx, now=self.now, epitaph=FAILED)
            else:
                parked = jobs.release_owner(tx, owner, now=self.now, died=ending == "dies", epitaph=FAILED)
        for uid in lost:
            del self.holders[uid]
        for uid in parked:
            self._ended(uid, finished=False)

    @rule(retries=st.booleans())
    def time_brings_reports(self, *, retries: bool) -> None:
        self.now += QUIET / 2
        with self._write() as tx:
            study_changes.make_report_jobs(tx, now=self.now, quiet=QUIET, busy=())
            if retries:
                jobs.retry_parked(tx, now=self.now)

    @invariant()
    def every_image_has_a_finding_or_a_job(self) -> None:
        with self.database.read() as tx:
            live = self._jobs(tx, JobKind.ANALYSE, LIVE)
            analysed = set(tx.execute(select(schema.findings.c.sop_instance_uid)).scalars())
            instances = {row.sop_instance_uid: row for row in tx.execute(select(schema.instances))}
        assert set(instances) == set(self.images)
        for uid, (study, header) in self.images.items():
            assert (instances[uid].study_uid, instances[uid].header_digest) == (study, f"{study}-{header}")
            assert uid in live or uid in analysed, f"image {uid} was lost"

    @invariant()
    def every_study_is_reported_or_will_be(self) -> None:
        with self.database.read() as tx:
            open_reports = self._jobs(tx, JobKind.REPORT, (*LIVE, JobState.PARKED))
            current = set(
                tx.execute(select(schema.reports.c.study_uid).where(schema.reports.c.current)).scalars()
            )
            changed = set(
                tx.execute(select(schema.studies.c.study_uid).where(schema.studies.c.changed)).scalars()
            )
        for study in {study for study, _ in self.images.values()}:
            assert study in changed | open_reports | current, f"study {study} was lost"

    @invariant()
    def what_is_counted_is_what_there_is(self) -> None:
        assert_counted(self.database)

    @invariant()
    def the_holders_are_those_of_the_model(self) -> None:
        with self.database.read() as tx:
            rows = tx.execute(select(schema.jobs).where(schema.jobs.c.state == JobState.RUNNING))
            assert {row.id: (row.owner, row.claims) for row in rows} == self.holders

    @contextmanager
    def _write(self, *, crash: bool = False) -> Iterator[Connection]:
        """Give a write transaction; with ``crash`` its connection is gone before its COMMIT."""
        with suppress(Crash), self.database.write() as tx:
            yield tx
            if crash:
                tx.invalidate()
                raise Crash

    def _finished(self, tx: Connection, job: Job) -> None:
        if job.sop_instance_uid is not None:
            jobs.finish_analysis(tx, job.lease, finding(job.sop_instance_uid), now=self.now)
        else:
            results = [result(f"{job.study_uid}.{job.id}", ResultKind.SR)]
            report = new_report(*results, made_at=self.now, content_digest="")
            reports.finish(tx, job.lease, new=[report], now=self.now)

    def _heartbeat(self, tx: Connection, job: Job) -> None:
        jobs.heartbeat(tx, job.lease, now=self.now, duration=LEASE)

    def _again(self, tx: Connection, job: Job) -> None:
        jobs.again(tx, job.lease, not_before=self.now + LEASE, reason="later", now=self.now)

    def _never(self, tx: Connection, job: Job) -> None:
        epitaph = None if job.sop_instance_uid is None else finding(job.sop_instance_uid, FAILED)
        jobs.never(tx, job.lease, reason="no", trace="trace", finding=epitaph, now=self.now)

    def _check_claim(self, job: Job) -> None:
        assert job.id not in self.holders, "a job that someone holds was given to another"
        assert job.id not in self.finished, "a job was given out after its end"
        if job.kind is JobKind.REPORT:
            with self.database.read() as tx:
                records = [record for _, record in arrivals.images(tx, job.study_uid)]
            assert None not in records, "a report was begun before its images were analysed"

    def _ended(self, job: Job, *, finished: bool = True) -> None:
        if finished:
            assert job.id not in self.finished, "a job was finished twice"
            self.finished.add(job.id)
        if job.kind is JobKind.ANALYSE:
            # the finding is news to a report that is being built
            self._let_go(JobKind.REPORT, {job.study_uid})

    def _something_is_due(self) -> bool:
        with self.database.read() as tx:
            due = select(schema.jobs.c.id).where(
                schema.jobs.c.state == JobState.WAITING, schema.jobs.c.not_before <= self.now
            )
            return tx.execute(due).first() is not None

    def _run_out(self) -> set[int]:
        with self.database.read() as tx:
            running = select(schema.jobs.c.id).where(
                schema.jobs.c.state == JobState.RUNNING, schema.jobs.c.lease_until <= self.now
            )
            return set(tx.execute(running).scalars())

    def _holds(self, job: Job) -> bool:
        return self.holders.get(job.id) == (job.lease.owner, job.lease.claim)

    def _let_go(self, kind: JobKind, subjects: set[str]) -> None:
        for job in list(self.holders):
            if self.about[job][0] is kind and self.about[job][1] in subjects:
                del self.holders[job]

    @staticmethod
    def _jobs(tx: Connection, kind: JobKind, states: tuple[JobState, ...]) -> set[str]:
        column = schema.jobs.c.sop_instance_uid if kind is JobKind.ANALYSE else schema.jobs.c.study_uid
        rows = tx.execute(select(column).where(schema.jobs.c.kind == kind, schema.jobs.c.state.in_(states)))
        return set(rows.scalars())


class QueueOnPostgreSQL(Queue):
    """The same with two processes that reach one server."""

    def prepare(self) -> None:
        postgresql.emptied()

    def connect(self, number: int) -> Database:
        return postgresql.opened(number)


SETTINGS = settings(
    max_examples=60 if "SECONDREAD_CHAOS_ROUNDS" in os.environ else 25,  # make chaos: all
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
Queue.TestCase.settings = SETTINGS
QueueOnPostgreSQL.TestCase.settings = settings(SETTINGS, max_examples=6)
test_queue_keeps_its_promises = Queue.TestCase
test_queue_keeps_its_promises_on_postgresql = QueueOnPostgreSQL.TestCase
