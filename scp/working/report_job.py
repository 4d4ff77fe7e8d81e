"""The "report" job: a complete study's findings → the objects to send back, and who is owed them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from inference import examination, findings
from inference.decision import FlagRule
from inference.findings import ModelIdentity, OutdatedFindingError
from inference.heatmap import layers
from inference.heatmap.layers import Layers
from inference.options import MeasuredImage, OutputOptions, Predecessor
from inference.pipeline import Analysis
from inference.reading import mammogram
from inference.reading.digests import canonical_digest
from inference.reading.mammogram import ImageDescription
from inference.reading.options import DEFAULT, ReadingOptions
from inference.results.identity import Device, Maker
from inference.results.kinds import KINDS, OutputKind
from inference.results.study_results import StudyObject, study_objects
from scp import calibration
from scp.calibration import StudyThresholds
from scp.configuration.settings import Settings
from scp.receiving import descriptions
from storage.archive import Archive
from storage.database.engine import Database
from storage.queue import arrivals, reports
from storage.records import FindingRecord, Instance, Job, NewResult, Report
from storage.scanners.scores import Network

Kept = list[tuple[Instance, FindingRecord | None]]

log = structlog.get_logger(__name__)


class Analyst(Protocol):
    """What this job needs of `inference.pipeline.Analyst`."""

    @property
    def identity(self) -> ModelIdentity:
        """What results say about the network."""

    def analyse(self, path: Path, image: ImageDescription | None) -> Analysis:
        """Judge again what a version kept that did not keep all that is needed now."""


def wanted(settings: Settings) -> list[OutputKind]:
    """Return the kinds that some peer is sent, and the report: the next one names it as predecessor."""
    return [
        kind
        for kind in KINDS
        if kind.name == reports.DOCUMENT or any(kind.name in peer.kinds for peer in settings.peers)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedImage:
    """One image that the report speaks of, before its file is opened."""

    instance: Instance
    description: ImageDescription
    record: FindingRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Edition:
    """Which report of a study is made."""

    made_at: datetime
    began: datetime
    """When the study's first report was made."""
    predecessor: Report | None
    """The report that it replaces."""
    repeated: Report | None
    """The report that it is once more, to the byte; None for a new one."""


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
    kinds: Sequence[OutputKind]
    reading: ReadingOptions = DEFAULT

    def __call__(self, job: Job) -> None:
        """Build the results of the job's study; commit them, owed to whom they go, with the job's end."""
        with self.database.read() as tx:
            kept = arrivals.images(tx, job.study_uid)
            last = reports.last_report(tx, job.study_uid)
            replaced = None if last is None else last.replaces
            before = None if replaced is None else reports.numbered(tx, job.study_uid, replaced)
            first = reports.numbered(tx, job.study_uid, 1)
        if _several_patients(kept):
            log.warning("study is not reported: its images name several patients", study=job.study_uid)
            self._finish_unchanged(job)
            return
        images = self._mentioned(kept)
        content = self._content(images)
        made_at = _made_at(job, images)
        began = made_at if first is None else first.made_at
        edition = Edition(made_at=made_at, began=began, predecessor=last, repeated=None)
        if last is not None and last.content_digest == content:
            if last.current:
                self._finish_unchanged(job)
                return
            # taken back or forgotten meanwhile, and true again: the same objects, to the byte
            edition = Edition(made_at=last.made_at, began=began, predecessor=before, repeated=last)
        self._report(job, images, content, edition)

    def _finish_unchanged(self, job: Job) -> None:
        with self.database.write() as tx:
            reports.finish_unchanged(tx, job.lease, takes=self.takes, now=self.now())
        log.info("nothing new to report", study=job.study_uid)

    def _report(
        self,
        job: Job,
        images: list[ReportedImage],
        content: str,
        edition: Edition,
    ) -> None:
        predecessor = edition.predecessor
        thresholds = StudyThresholds(
            database=self.database,
            network=self._network,
            uncalibrated=self.rule.threshold,
            study_uid=job.study_uid,
            repeated=edition.repeated,
        )
        examined = examination.read([self._image(image) for image in images], self.rule, thresholds)
        objects = study_objects(
            examined,
            made_at=edition.made_at,
            began=edition.began,
            device=self.device,
            identity=self.analyst.identity,
            options=self.options,
            predecessor=None if predecessor is None else _predecessor(predecessor),
            kinds=self.kinds,
        )
        results = [self._keep(study_object) for study_object in objects]
        with self.database.write() as tx:
            unneeded = reports.finish_report(
                tx,
                job.lease,
                results=results,
                made_at=edition.made_at,
                images=len(images),
                content_digest=content,
                replaces=None if predecessor is None else predecessor.sequence,
                breasts=[calibration.score_of(breast, self._network) for breast in examined.breasts],
                takes=self.takes,
                now=self.now(),
            )
        for file in unneeded:
            self.archive.remove(file)

    def _mentioned(self, kept: Kept) -> list[ReportedImage]:
        """Return the images with a finding, without raw data whose For Presentation twin is among them."""
        images = [
            ReportedImage(
                instance=instance,
                description=descriptions.of_instance(
                    instance, database=self.database, archive=self.archive, reading=self.reading
                ),
                record=record,
            )
            for instance, record in kept
            if record is not None
        ]
        study = [image.description for image in images]
        return [image for image in images if mammogram.is_mentioned(image.description, study)]

    def _content(self, images: list[ReportedImage]) -> str:
        """Return the digest of all that a report on ``images`` says, times and predecessor apart.

        The scanner's own threshold is apart too: a calibration sends no finished study again.
        """
        maker = Maker(device=self.device, model=self.analyst.identity, rule=self.rule, options=self.options)
        contents = [
            (image.instance.sop_instance_uid, image.instance.header_digest, image.record.finding)
            for image in images
        ]
        return canonical_digest({"maker": maker.key(), "images": sorted(contents)})

    def _image(self, image: ReportedImage) -> MeasuredImage:
        """Open the header, from which results copy patient and study; what it means is known already."""
        record, path = image.record, self.archive.path(image.instance.file)
        try:
            finding = findings.load(record.finding)
            kept = None if record.heatmap is None else self.archive.path(record.heatmap)
            opened: Callable[[], Layers] | None = None if kept is None else partial(layers.read, kept)
        except OutdatedFindingError:
            analysis = self.analyst.analyse(path, image.description)
            finding = analysis.finding
            opened = layers.in_memory(analysis.layers)
        return MeasuredImage(
            source=mammogram.reopen(path, image.description, self.reading),
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


def _made_at(job: Job, images: list[ReportedImage]) -> datetime:
    """Return the time at which all that the report says was known: the same when the job is repeated.

    Never before its heatmaps: a study is often complete, and its job made, while its last image is analysed.
    """
    return max([job.created_at, *(image.record.analysed_at for image in images)])


def _several_patients(kept: Kept) -> bool:
    """Tell whether a correction of the Patient ID has come for some of the images only, so far."""
    return len({instance.patient_digest for instance, _ in kept} - {None}) > 1


def _predecessor(last: Report) -> Predecessor | None:
    if last.sr_sop_instance_uid is None or last.sr_sop_class_uid is None or last.sr_series_uid is None:
        return None
    return Predecessor(
        sop_class_uid=last.sr_sop_class_uid,
        sop_instance_uid=last.sr_sop_instance_uid,
        series_instance_uid=last.sr_series_uid,
        study_instance_uid=last.study_uid,
        images=last.images,
        made_at=last.made_at,
        instance_number=last.sequence,
    )
