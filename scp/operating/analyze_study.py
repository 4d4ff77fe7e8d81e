"""The files of one study as ``analyze`` reads them: together, as the node would report them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from inference import decision, examination
from inference.decision import Decision, FlagRule, Result, Thresholds
from inference.examination import Examination
from inference.findings import CLASSES, AnalysisStatus, ClassKey, Finding, Measured, NotAnalysed
from inference.heatmap import layers
from inference.heatmap.layers import Layers
from inference.options import MeasuredImage
from inference.reading import mammogram
from inference.reading.mammogram import SourceImage
from scp.operating import analyze_files

ROUNDING: Final = 0.001
"""By so much two readings of the same pixels may differ: a graphics card adds up in no fixed order."""
CONTRADICTION: Final = (
    "another of these files has the same SOP Instance UID and other pixels, and counts in its place"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadFile:
    """What the network says of one file."""

    path: Path
    source: SourceImage | None
    """The header of a DICOM file that could be read."""
    finding: Finding
    layers: Layers | None
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one file."""

    path: Path
    source: SourceImage | None
    finding: Result
    layers: Layers | None
    seconds: float

    @property
    def status(self) -> AnalysisStatus:
        """How the analysis ended."""
        return self.finding.status if isinstance(self.finding, NotAnalysed) else AnalysisStatus.SUCCEEDED


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadStudy:
    """All named files of one study, or one picture."""

    files: tuple[Outcome, ...]
    examination: Examination | None
    """None where results can refer to none of its images."""

    @property
    def uid(self) -> str | None:
        """Study Instance UID; None of what has no examination."""
        return None if self.examination is None else self.examination.images[0].source.study_instance_uid

    def without_layers(self) -> ReadStudy:
        """Return the same without pictures: those of a whole archive would fill the memory."""
        return replace(self, files=tuple(replace(file, layers=None) for file in self.files))


def decided(files: Sequence[ReadFile], rule: FlagRule, thresholds: Thresholds) -> ReadStudy:
    """Decide about the breasts of one study; an image to which no result can refer is read alone."""
    instances = _instances(files)
    images = _mentioned(list(instances.values()))
    read = examination.read(images, rule, thresholds) if images else None
    decisions: dict[str, Decision] = {}
    aside: dict[str, Result] = {}
    if read is not None:
        aside = {
            image.source.sop_instance_uid: image.finding
            for image in read.images
            if image.missing is None and isinstance(image.finding, NotAnalysed)
        }
        for breast in read.breasts:
            decisions |= {image.sop_instance_uid: breast.decision for image in breast.images}
    return ReadStudy(
        files=tuple(
            Outcome(
                path=file.path,
                source=file.source,
                finding=_contradiction(file, instances)
                or _aside(file, aside)
                or _result(file, decisions, rule),
                layers=file.layers,
                seconds=file.seconds,
            )
            for file in files
        ),
        examination=read,
    )


def _instances(files: Sequence[ReadFile]) -> dict[str, ReadFile]:
    """Return the file that counts for each SOP Instance UID of a report, whatever the files are called.

    One with scores comes before one without: a damaged copy must not push a sound image out of its breast. Of
    several with scores that is the most suspicious one, for the choice must not make a breast less so.
    """
    instances: dict[str, ReadFile] = {}
    for file in files:
        if file.source is not None and analyze_files.reportable(file.source):
            uid = file.source.sop_instance_uid
            if uid not in instances or _suspicion(file) > _suspicion(instances[uid]):
                instances[uid] = file
    return instances


def _suspicion(file: ReadFile) -> float:
    """Return the malignant score, less than any where there is none."""
    match file.finding:
        case Measured(scores=scores):
            return scores[CLASSES.index(ClassKey.MALIGNANT)]
        case NotAnalysed():
            return -1.0


def _mentioned(files: Sequence[ReadFile]) -> list[MeasuredImage]:
    """Return the images of a report: no raw data whose presentation is there."""
    now = datetime.now(UTC)
    images = [
        MeasuredImage(
            source=file.source,
            finding=file.finding,
            analysed_at=now,
            layers=layers.in_memory(file.layers),
        )
        for file in files
        if file.source is not None
    ]
    sources = [image.source for image in images]
    return [image for image in images if mammogram.is_mentioned(image.source, sources)]


def _contradiction(file: ReadFile, instances: Mapping[str, ReadFile]) -> Result | None:
    """Return why a file with other scores than the one that counts for its UID has no result; else None."""
    counted = None if file.source is None else instances.get(file.source.sop_instance_uid)
    if counted is None or not isinstance(file.finding, Measured):
        return None
    if abs(_suspicion(file) - _suspicion(counted)) <= ROUNDING:
        return None
    return NotAnalysed(status=AnalysisStatus.NOT_ATTEMPTED, reason=CONTRADICTION)


def _aside(file: ReadFile, aside: Mapping[str, Result]) -> Result | None:
    """Return why the file was set aside on purpose; None where it was not."""
    return None if file.source is None else aside.get(file.source.sop_instance_uid)


def _result(file: ReadFile, decisions: dict[str, Decision], rule: FlagRule) -> Result:
    match file.finding:
        case NotAnalysed() as failure:
            return failure
        case Measured() as measured:
            of_breast = None if file.source is None else decisions.get(file.source.sop_instance_uid)
            alone = of_breast or decision.decide(measured.scores, rule.threshold, rule.shares)
            return decision.analysed(measured, alone, rule.shares)
