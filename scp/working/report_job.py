"""The "report" job: a complete study's findings → the objects to send back, and who is owed them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Protocol

import pydicom
import structlog
from pydicom.dataset import Dataset

from inference import examination, findings
from inference.decision import FlagRule
from inference.findings import ModelIdentity, OutdatedFindingError
from inference.heatmap import layers
from inference.heatmap.layers import Layers
from inference.options import MeasuredImage, OutputOptions
from inference.pipeline import Analysis
from inference.reading import mammogram
from inference.reading.digests import canonical_digest
from inference.reading.mammogram import ImageDescription
from inference.reading.options import DEFAULT, ReadingOptions
from inference.results import headers
from inference.results.identity import Device, Maker
from inference.results.kinds import KINDS, OutputKind
from inference.results.study import Distribute, in_turn
from inference.results.study_results import StudyObject, study_objects
from scp import calibration
from scp.calibration import StudyThresholds
from scp.configuration.settings import Settings
from scp.receiving import descriptions, identities
from scp.working import report_issue
from scp.working.report_issue import Issue, ReportedImage
from storage.database.engine import Database
from storage.files.archive import Archive
from storage.queue import arrivals, editions, reports
from storage.queue.editions import Edition
from storage.queue.new_reports import DOCUMENT, NewReport
from storage.records import FindingRecord, Instance, Job, NewResult
from storage.scanners.scores import Network

_VIEWS: Final = 4
"""Pictures that a report keeps decoded, 4 bytes a pixel: those of a summary page, of however many images."""
KeptImages = list[tuple[Instance, FindingRecord | None]]

log = structlog.get_logger(__name__)


class Analyst(Protocol):
    """What this job needs of `inference.pipeline.Analyst`."""

    @property
    def identity(self) -> ModelIdentity:
        """What results say about the network."""

    def analyse(self, path: Path, image: ImageDescription | None) -> Analysis:
        """Judge again what a version kept that did not keep all that is needed now."""


def needed_kinds(settings: Settings) -> list[OutputKind]:
    """Return the kinds that some peer is sent, and the report: the next one names it as predecessor."""
    return [
        kind
        for kind in KINDS
        if kind.name == DOCUMENT or any(kind.name in peer.kinds for peer in settings.peers)
    ]


class PixelsRemovedError(Exception):
    """An image of the study must be analysed anew, and retention has removed its pixels."""

    def __init__(self) -> None:
        super().__init__(
            "a new version must analyse the images anew, and their pixels were removed ([retention] "
            "image_days): send the study to this node again"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportJob:
    """Does report jobs."""

    database: Database
    archive: Archive
    device: Device
    analyst: Analyst
    rule: FlagRule
    options: OutputOptions
    takes: Callable[[str, str], bool]
    """Whether a destination is sent results of a kind."""
    now: Callable[[], datetime]
    kinds: Callable[[], Sequence[OutputKind]]
    """Returns the kinds that are built."""
    reading: ReadingOptions = DEFAULT
    distribute: Distribute = in_turn
    """Draws and keeps the objects of a study."""

    def __call__(self, job: Job) -> None:
        """Build the results of the job's study, once for each identity; commit them with the job's end."""
        identities.complete(job.study_uid, self.database, self.archive, self.reading)
        with self.database.read() as tx:
            kept_images = arrivals.images(tx, job.study_uid)
            parts = editions.of_study(tx, job.study_uid)
            first = reports.numbered(tx, job.study_uid, 1)
            mixed = editions.mixes_patients(tx, job.study_uid)
        if mixed:
            log.warning(
                "study holds images of several patients: each gets results of its own", study=job.study_uid
            )
        began = None if first is None else first.made_at
        new: list[NewReport] = []
        unchanged: list[int] = []
        for edition in parts:
            images = self._mentioned(kept_images, edition)
            issue = report_issue.of_edition(
                self.database, job, edition, images=images, content=self._content(images, edition)
            )
            if issue.repeated is not None and issue.repeated.current:
                unchanged.append(issue.repeated.id)
            else:
                began = began or issue.made_at
                new.append(self._report(job, issue, began))
        self._finish(job, new, unchanged)

    def _finish(self, job: Job, new: Sequence[NewReport], unchanged: Sequence[int]) -> None:
        with self.database.write() as tx:
            unneeded = reports.finish(
                tx, job.lease, new=new, unchanged=unchanged, takes=self.takes, now=self.now()
            )
        for file in unneeded:
            self.archive.remove(file)
        if not new:
            log.info("nothing new to report", study=job.study_uid)

    def _report(self, job: Job, issue: Issue, began: datetime) -> NewReport:
        """Build the objects of one edition, and keep their files; the study's first report ``began``."""
        thresholds = StudyThresholds(
            database=self.database,
            network=self._network,
            uncalibrated=self.rule.threshold,
            study_uid=job.study_uid,
            repeated=issue.repeated,
        )
        examined = examination.read(self._images(issue), self.rule, thresholds)
        objects = study_objects(
            examined,
            made_at=issue.made_at,
            began=began,
            device=self.device,
            identity=self.analyst.identity,
            options=self.options,
            predecessor=issue.predecessor,
            kinds=self.kinds(),
            distribute=self.distribute,
        )
        return NewReport(
            identity=issue.edition.identity,
            sr_study_uid=issue.edition.study_uid,
            results=self.distribute(self._keep, objects),
            made_at=issue.made_at,
            images=len(issue.images),
            content_digest=issue.content,
            replaces=None if issue.replaced is None else issue.replaced.sequence,
            breasts=[calibration.score_of(breast, self._network) for breast in examined.breasts],
        )

    def _mentioned(self, kept_images: KeptImages, edition: Edition) -> list[ReportedImage]:
        """Return the edition's images with a finding, without raw data whose presentation is there."""
        images = [
            ReportedImage(
                instance=instance,
                description=descriptions.of_instance(
                    instance, database=self.database, archive=self.archive, reading=self.reading
                ),
                record=record,
            )
            for instance, record in kept_images
            if record is not None and instance.sop_instance_uid in edition.images
        ]
        study = [image.description for image in images]
        return [image for image in images if mammogram.is_mentioned(image.description, study)]

    def _content(self, images: list[ReportedImage], edition: Edition) -> str:
        """Return the digest of all that a report on ``images`` says, times and predecessor apart.

        The scanner's own threshold is apart too: a calibration sends no finished study again.
        """
        maker = Maker(device=self.device, model=self.analyst.identity, rule=self.rule, options=self.options)
        contents = [
            (
                image.instance.sop_instance_uid,
                edition.images[image.instance.sop_instance_uid],
                image.instance.header_digest,
                image.record.finding,
            )
            for image in images
        ]
        return canonical_digest(
            {"maker": maker.key(), "identity": edition.identity, "images": sorted(contents)}
        )

    def _images(self, issue: Issue) -> list[MeasuredImage]:
        assert issue.edition.file is not None  # noqa: S101 - `identities.complete` has seen to it
        identity = pydicom.dcmread(self.archive.path(issue.edition.file))
        read = lru_cache(_VIEWS)(layers.read)  # heatmaps and summary page are drawn from the same
        return [self._image(image, issue.edition, identity, read) for image in issue.images]

    def _image(
        self, image: ReportedImage, edition: Edition, identity: Dataset, read: Callable[[Path], Layers]
    ) -> MeasuredImage:
        """Open the header; what it means is known already, and whose it is the edition says."""
        record, path = image.record, self.archive.path(image.instance.file)
        try:
            finding = findings.load(record.finding)
            heatmap = None if record.heatmap is None else self.archive.path(record.heatmap)
            opened: Callable[[], Layers] | None = None if heatmap is None else partial(read, heatmap)
        except OutdatedFindingError:
            if image.instance.pixels_removed_at is not None:
                raise PixelsRemovedError from None
            analysis = self.analyst.analyse(path, image.description)
            finding = analysis.finding
            opened = layers.in_memory(analysis.layers)
        return MeasuredImage(
            source=headers.as_sent(
                mammogram.reopen(path, image.description, self.reading),
                identity,
                study_digest=edition.identity,
                series_uid=edition.images[image.instance.sop_instance_uid],
            ),
            finding=finding,
            analysed_at=record.analysed_at,
            layers=opened,
        )

    @property
    def _network(self) -> Network:
        identity = self.analyst.identity
        return Network(name=identity.name, version=identity.version)

    def _keep(self, study_object: StudyObject) -> NewResult:
        """Write an object to disk. Same UID, same bytes: a repeated job writes the same file."""
        result = study_object.dataset
        encoded = io.BytesIO()
        result.save_as(encoded, enforce_file_format=True)
        uid = str(result.SOPInstanceUID)
        data = encoded.getvalue()
        return NewResult(
            sop_instance_uid=uid,
            kind=study_object.kind.name,
            sop_class_uid=str(result.SOPClassUID),
            alternative_class_uid=study_object.alternative_class_uid,
            transfer_syntax_uid=str(result.file_meta.TransferSyntaxUID),
            series_uid=str(result.SeriesInstanceUID),
            file=self.archive.keep_bytes(data, folder="results", key=uid, suffix=".dcm"),
            size=len(data),
        )
