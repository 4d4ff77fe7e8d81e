"""Which report of an edition is made: a new one with its predecessor, or the last one to the byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from inference.options import Predecessor
from inference.reading.mammogram import ImageDescription
from storage.database.engine import Database
from storage.queue import reports
from storage.queue.editions import Edition
from storage.records import FindingRecord, Instance, Job, Report


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedImage:
    """One image that the report speaks of, before its file is opened."""

    instance: Instance
    description: ImageDescription
    record: FindingRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """Which report of one edition is made."""

    edition: Edition
    images: Sequence[ReportedImage]
    content: str
    """Digest of all that it says, times and predecessor apart."""
    made_at: datetime
    replaced: Report | None
    """The report that it replaces."""
    issued: tuple[tuple[int, datetime], ...]
    """Number and time of that report, and of those before it, whose images are all here as they were."""
    repeated: Report | None
    """The report that it is once more, to the byte; None for a new one."""

    @property
    def predecessor(self) -> Predecessor | None:
        """What it names as its predecessor; None where that has no Structured Report."""
        last = self.replaced
        if last is None:
            return None
        if last.sr_sop_instance_uid is None or last.sr_sop_class_uid is None or last.sr_series_uid is None:
            return None
        return Predecessor(
            sop_class_uid=last.sr_sop_class_uid,
            sop_instance_uid=last.sr_sop_instance_uid,
            series_instance_uid=last.sr_series_uid,
            study_instance_uid=last.sr_study_uid or last.study_uid,
            images=last.images,
            made_at=last.made_at,
            instance_number=last.sequence,
            issued=self.issued,
        )


def of_edition(
    database: Database, job: Job, edition: Edition, *, images: Sequence[ReportedImage], content: str
) -> Issue:
    """Return which report ``content`` is: a new one, or the last one of these senders once more."""
    issue = partial(Issue, edition=edition, images=images, content=content)
    # never before its heatmaps: a study is often complete, and its job made, while its last image is analysed
    known_at = max([job.created_at, *(image.record.analysed_at for image in images)])
    with database.read() as tx:
        last = reports.last_report(tx, job.study_uid, edition.senders)
        if last is None or last.content_digest != content:
            issued = tuple(_issued(edition, images, reports.chain(tx, last)))
            return issue(made_at=known_at, replaced=last, issued=issued, repeated=None)
        # where it was taken back or forgotten meanwhile: the same objects, to the byte
        before = None if last.replaces is None else reports.numbered(tx, job.study_uid, last.replaces)
        issued = tuple(_issued(edition, images, reports.chain(tx, before)))
        return issue(made_at=last.made_at, replaced=before, issued=issued, repeated=last)


def _issued(
    edition: Edition, images: Sequence[ReportedImage], chain: Iterable[Report]
) -> Iterator[tuple[int, datetime]]:
    """Yield number and time of the reports of ``chain``, to the first that does not hold.

    A report holds while patient, study and each of its images are what they were: a corrected image has been
    analysed since, and may have been one of another breast.
    """
    for report in chain:
        unchanged = sum(image.record.analysed_at <= report.made_at for image in images)
        if report.identity != edition.identity or report.images != unchanged:
            return
        # the first one under an identity has no number, though reports of other senders may have come before
        yield 1 if report.replaces is None else report.sequence, report.made_at
