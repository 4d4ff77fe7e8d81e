"""The files of one study as ``analyze`` reads them: together, as the node would report them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from inference import decision, examination
from inference.decision import Decision, FlagRule, Result, Thresholds
from inference.examination import Examination
from inference.findings import AnalysisStatus, Finding, Measured, NotAnalysed
from inference.heatmap import layers
from inference.heatmap.layers import Layers
from inference.options import MeasuredImage
from inference.reading import mammogram
from inference.reading.mammogram import SourceImage
from scp.operating import analyze_files


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
    images = _mentioned(files)
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
                finding=_aside(file, aside) or _result(file, decisions, rule),
                layers=file.layers,
                seconds=file.seconds,
            )
            for file in files
        ),
        examination=read,
    )


def _mentioned(files: Sequence[ReadFile]) -> list[MeasuredImage]:
    """Return the images of a report: each instance once, no raw data whose presentation is there."""
    now = datetime.now(UTC)
    images: dict[str, MeasuredImage] = {}
    for file in files:
        if file.source is not None and analyze_files.reportable(file.source):
            image = MeasuredImage(
                source=file.source,
                finding=file.finding,
                analysed_at=now,
                layers=layers.in_memory(file.layers),
            )
            images.setdefault(file.source.sop_instance_uid, image)
    sources = [image.source for image in images.values()]
    return [image for image in images.values() if mammogram.is_mentioned(image.source, sources)]


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
