"""Builders for tests of promises: arrivals, findings, results, and a hand that drives one database."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from sqlalchemy import event, func, select

from storage.database import schema
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.queue import arrivals, commitments, jobs, reports, study_changes
from storage.queue import deliveries as outbox
from storage.queue.new_reports import NewReport
from storage.records import (
    Arrival,
    Delivery,
    Description,
    FindingRecord,
    Job,
    JobKind,
    NewResult,
    Recorded,
)
from storage.scanners.scores import BreastScore, Network, Scanner
from tests.support.kinds import ResultKind

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)
QUIET = timedelta(seconds=180)
VIEWS = ("RCC", "LCC", "RMLO", "LMLO")
STUDY = "1.2.9"
SUCCEEDED = '{"status": "Succeeded"}'
FAILED = '{"status": "Failed", "reason": "stopped"}'


def assert_counted(database: Database) -> None:
    """Look whether what is counted is what there is: rows that wait, and tallies of all others."""
    tables = schema.jobs, schema.deliveries, schema.commitments
    jobs_table, deliveries_table, commitments_table = tables
    joined = commitments_table.join(deliveries_table)
    places = {
        jobs: (jobs_table, jobs_table.c.kind, jobs_table.c.state),
        outbox: (deliveries_table, deliveries_table.c.destination, deliveries_table.c.state),
        commitments: (joined, deliveries_table.c.destination, commitments_table.c.state),
    }
    with database.read() as tx:
        for room, (table, name, state) in places.items():
            rows = tx.execute(select(name, state, func.count()).select_from(table).group_by(name, state))
            counted = {
                (label, place): number
                for label, numbers in room.counts(tx).items()
                for place, number in numbers.items()
                if number
            }
            assert counted == {(row[0], row[1]): row[2] for row in rows}, room.__name__


@cache
def empty_database() -> bytes:
    """Return a database file without rows, made once."""
    with tempfile.TemporaryDirectory() as directory:
        Database.open(Path(directory)).close()
        return (Path(directory) / NAME).read_bytes()


def open_hastily(data_dir: Path) -> Database:
    """Open a database without waiting for the disk: what dies here is the process, not the machine."""

    def hasten(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF").close()

    opened = Database.open(data_dir)
    opened.engine.dispose()
    event.listen(opened.engine, "connect", hasten)
    return opened


def description(view: str | None = "RCC", **changes: object) -> Description:
    """Return what reception understands of an image of this standard view."""
    row = Description(
        laterality=view and view[0],
        view=view and view[1:],
        objection=None,
        for_processing=False,
        acquisition_date="20260301",
        acquisition_time="080000",
        source_instance_uids=(),
        rows=4096,
        columns=3328,
        frames=1,
        study_digest="study",
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def arrival(number: int = 0, *, study: str = STUDY, **changes: object) -> Arrival:
    """Return the arrival of image ``number``; 0 to 3 are the standard views."""
    view = VIEWS[number] if number < len(VIEWS) else None
    new_arrival = Arrival(
        sop_instance_uid=f"{study}.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        study_uid=study,
        series_uid=f"{study}.100",
        header_digest="header",
        pixel_sha256="pixels",
        file=f"instances/{number}.dcm",
        size=1000,
        standard_view=view,
        analysable=True,
        source_ae="PACS",
        patient_digest=None,
        description=description(view),
    )
    return replace(new_arrival, **changes)  # type: ignore[arg-type]


def finding(uid: str, text: str = SUCCEEDED, *, heatmap: str | None = None) -> FindingRecord:
    return FindingRecord(sop_instance_uid=uid, finding=text, analysed_at=START, heatmap=heatmap)


def result(uid: str, kind: ResultKind = ResultKind.SC, *, file: str | None = None) -> NewResult:
    return NewResult(
        sop_instance_uid=uid,
        kind=kind,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        alternative_class_uid=None,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        series_uid="1.2.9.9001",
        file=file or f"results/{uid}.dcm",
        size=100,
    )


def new_report(*results: NewResult, **changes: object) -> NewReport:
    """Return a report under the identity of `description`."""
    report = NewReport(
        identity="study",
        sr_study_uid=STUDY,
        results=results,
        made_at=START,
        images=1,
        content_digest="c",
        replaces=None,
    )
    return replace(report, **changes)  # type: ignore[arg-type]


SCANNER = Scanner(manufacturer="ACME", model="Mammo 3000")
NETWORK = Network(name="net", version="1.0")


def breast(malignant: float, laterality: str | None = "R", **changes: object) -> BreastScore:
    """Return what a report states of a breast with this score."""
    breast_score = BreastScore(
        laterality=laterality,
        scanner=SCANNER,
        network=NETWORK,
        malignant=malignant,
        threshold=0.5,
        threshold_source="of the model",
        flagged=malignant >= 0.5,
        percentile=None,
        examinations=None,
    )
    return replace(breast_score, **changes)  # type: ignore[arg-type]


@dataclass
class Hand:
    """Does by hand what the node does, at a time of its choice."""

    database: Database
    now: datetime = START
    owner: str = "worker-1"
    destinations: Sequence[str] = field(default=("PACS",))

    def wait(self, **span: float) -> None:
        self.now += timedelta(**span)

    def receive(self, new_arrival: Arrival, destinations: Sequence[str] | None = None) -> Recorded:
        with self.database.write() as tx:
            return arrivals.record(
                tx,
                new_arrival,
                destinations=self.destinations if destinations is None else destinations,
                now=self.now,
            )

    def receive_study(self, study: str = STUDY, images: int = 4) -> None:
        for number in range(images):
            self.receive(arrival(number, study=study))

    def claim(self, owner: str | None = None) -> Job | None:
        with self.database.write() as tx:
            return jobs.claim(tx, owner=owner or self.owner, now=self.now, lease=LEASE)

    def claimed(self, owner: str | None = None) -> Job:
        job = self.claim(owner)
        assert job is not None
        return job

    def analyse(self, job: Job, text: str = SUCCEEDED, *, heatmap: str | None = None) -> tuple[str, ...]:
        assert job.sop_instance_uid is not None
        with self.database.write() as tx:
            record = finding(job.sop_instance_uid, text, heatmap=heatmap)
            return jobs.finish_analysis(tx, job.lease, record, now=self.now)

    def analyse_all(self) -> None:
        while (job := self.claim()) is not None and job.kind is JobKind.ANALYSE:
            self.analyse(job)
        assert job is None

    def ask_for_reports(self, busy: Collection[str] = ()) -> int:
        with self.database.write() as tx:
            return study_changes.make_report_jobs(tx, now=self.now, quiet=QUIET, busy=busy)

    def report(
        self, job: Job, *uids: str, document: str = "1.2.9.1", breasts: Sequence[BreastScore] = ()
    ) -> tuple[str, ...]:
        results = [result(document, ResultKind.SR), *(result(uid) for uid in uids)]
        with self.database.write() as tx:
            finished_report = new_report(
                *results,
                made_at=job.created_at,
                images=len(uids),
                content_digest=document,
                breasts=breasts,
            )
            return reports.finish(tx, job.lease, new=[finished_report], now=self.now)

    def answer_study(
        self,
        *uids: str,
        study: str = STUDY,
        document: str = "1.2.9.1",
        breasts: Sequence[BreastScore] = (),
        images: int = 4,
    ) -> None:
        """Receive, analyse and report a whole study, or one with so many images."""
        self.receive_study(study, images)
        self.analyse_all()
        if images < len(VIEWS):
            self.now += QUIET
        assert self.ask_for_reports() == 1
        self.report(self.claimed(), *uids, document=document, breasts=breasts)

    def due(self, destination: str = "PACS") -> list[Delivery]:
        with self.database.read() as tx:
            return outbox.due(tx, now=self.now).get(destination, [])

    def due_uids(self, destination: str = "PACS") -> list[str]:
        return [delivery.result.sop_instance_uid for delivery in self.due(destination)]

    def send_all(self) -> None:
        with self.database.write() as tx:
            for deliveries in outbox.due(tx, now=self.now).values():
                for delivery in deliveries:
                    outbox.sent(tx, delivery.id, status=0, now=self.now)
