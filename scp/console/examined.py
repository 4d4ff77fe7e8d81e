"""One kept study as a page shows it: its images with what was decided about their breasts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from inference import examination, findings
from inference.decision import Result
from inference.errors import InferenceError
from inference.examination import BreastReading
from inference.findings import Finding, NotAnalysed, OutdatedFindingError
from inference.options import MeasuredImage
from inference.reading import mammogram
from inference.reading.mammogram import SourceImage
from scp.console.services import Services
from scp.receiving import descriptions
from storage.errors import StorageError
from storage.queue import arrivals, reports
from storage.records import FindingRecord, Instance

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExaminedImage:
    """One image of a study."""

    instance: Instance
    label: str
    """Side and view."""
    result: Result | None
    """What was decided about its breast, or why it has no result; None where nothing is known yet."""
    layers: Path | None
    """What its picture and heatmap are drawn from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExaminedStudy:
    """All images of a study, and its breasts."""

    images: tuple[ExaminedImage, ...]
    breasts: tuple[BreastReading, ...]
    header: SourceImage | None
    """Of its first image that can be opened: who the patient is."""

    def image(self, sop_instance_uid: str) -> ExaminedImage | None:
        """Return the image of that UID."""
        return next(
            (image for image in self.images if image.instance.sop_instance_uid == sop_instance_uid), None
        )


def examine(services: Services, study_uid: str) -> ExaminedStudy:
    """Return what is known of the study, read together as its report reads it."""
    with services.database.read() as tx:
        instances = arrivals.images(tx, study_uid)
        last = reports.last_report(tx, study_uid)
    sources = {instance.sop_instance_uid: opened(services, instance) for instance, _ in instances}
    measured = [
        MeasuredImage(source=source, finding=finding, analysed_at=record.analysed_at, layers=None)
        for instance, record in instances
        if (source := sources[instance.sop_instance_uid]) is not None
        and record is not None
        and (finding := _finding(record)) is not None
    ]
    described = [image.source for image in measured]
    measured = [image for image in measured if mammogram.is_mentioned(image.source, described)]
    read = examination.read(measured, services.rule, services.thresholds(study_uid, repeated=last))
    results = {image.source.sop_instance_uid: image.finding for image in read.images}
    return ExaminedStudy(
        images=tuple(
            ExaminedImage(
                instance=instance,
                label=_label(instance, sources[instance.sop_instance_uid]),
                result=results.get(instance.sop_instance_uid) or _failure(record),
                layers=_layers(services, record),
            )
            for instance, record in sorted(instances, key=_order)
        ),
        breasts=read.breasts,
        header=next((source for source in sources.values() if source is not None), None),
    )


def _order(pair: tuple[Instance, FindingRecord | None]) -> tuple[int, str]:
    """Sort as images hang: right before left, CC before MLO."""
    names = ("RCC", "LCC", "RMLO", "LMLO")
    view = pair[0].standard_view
    return (names.index(view) if view in names else len(names)), pair[0].sop_instance_uid


def opened(services: Services, instance: Instance) -> SourceImage | None:
    """Open the header of a kept image; None where that cannot be done now."""
    reading = services.settings.node.reading()
    try:
        path = services.archive.path(instance.file)
        description = descriptions.from_row(instance)
        if description is None:
            return mammogram.read(path, reading)
        return mammogram.reopen(path, description, reading)
    except (InferenceError, OSError, StorageError) as error:
        log.warning("header not opened", sop_instance_uid=instance.sop_instance_uid, reason=str(error))
        return None


def _label(instance: Instance, source: SourceImage | None) -> str:
    if source is not None:
        return source.label
    return instance.standard_view or "unknown side and view"


def _finding(record: FindingRecord) -> Finding | None:
    try:
        return findings.load(record.finding)
    except OutdatedFindingError:
        return None


def _failure(record: FindingRecord | None) -> NotAnalysed | None:
    finding = None if record is None else _finding(record)
    return finding if isinstance(finding, NotAnalysed) else None


def _layers(services: Services, record: FindingRecord | None) -> Path | None:
    if record is None or record.heatmap is None:
        return None
    try:
        path = services.archive.path(record.heatmap)
    except OSError as error:
        log.warning("picture not opened", sop_instance_uid=record.sop_instance_uid, reason=str(error))
        return None
    return path if path.exists() else None
