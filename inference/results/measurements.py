"""The report's measurement groups (PS3.16 TID 1410): one for each image, one for each marked region.

Every group carries coordinates, those of an image its whole pixel matrix: OHIF shows nothing at all when a
group has none. Regions are closed lines of at most 64 points, selected from an image that is named
"Original Source": the Stone viewer of Orthanc draws nothing else, and OHIF draws both.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.coding import Code

from inference import wording
from inference.analysis.region import closed_line
from inference.decision import Analysed
from inference.findings import CLASSES, NotAnalysed, Point, Region
from inference.options import StudyImage
from inference.reading.mammogram import SourceImage
from inference.results import codes
from inference.results.identity import Maker

Group = PlanarROIMeasurementsAndQualitativeEvaluations


def groups(images: Iterable[StudyImage], maker: Maker) -> list[Group]:
    """Return the groups of all ``images``, the region of an image right after its scores."""
    writer = _GroupWriter(maker)
    written: list[Group] = []
    for image in images:
        match image.finding:
            case NotAnalysed() as failure:
                written.append(writer.not_performed(image.source, failure))
            case Analysed() as finding:
                written.append(writer.scores(image.source, finding))
                if finding.region is not None:
                    written.append(writer.region(image.source, finding, finding.region))
    return written


class _GroupWriter:
    """Writes groups for one network."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        model = maker.model
        self._algorithm = AlgorithmIdentification(
            name=model.name,
            version=model.version,
            parameters=wording.algorithm_parameters(model, maker.rule),
            family=codes.ARTIFICIAL_INTELLIGENCE,
            manufacturer=model.manufacturer,
        )

    def scores(self, image: SourceImage, finding: Analysed) -> Group:
        """Return the four scores of ``image``, in network order, and what must stand beside them."""
        group = Group(
            tracking_identifier=self._tracking("image", image),
            referenced_region=_polyline(image, _border(image)),
            finding_type=codes.FINDING_OF[finding.label],
            algorithm_id=self._algorithm,
            finding_sites=_site(image),
            measurements=[
                Measurement(name=codes.SCORE_OF[key], value=_percent(score), unit=codes.PERCENT)
                for key, score in zip(CLASSES, finding.scores, strict=True)
            ],
            qualitative_evaluations=[_status(codes.SUCCEEDED)],
        )
        _comment(group, [wording.of_the_breast(finding), *wording.remarks(finding)])
        return group

    def region(self, image: SourceImage, finding: Analysed, region: Region) -> Group:
        """Return where the network looked, with the score of the explained class and no other."""
        explained = finding.explained
        return Group(
            tracking_identifier=self._tracking("region", image),
            referenced_region=_polyline(image, closed_line(region, rows=image.rows, columns=image.columns)),
            finding_type=codes.FINDING_OF[explained],
            finding_category=codes.GRAD_CAM,
            geometric_purpose=codes.BOUNDED_BY,
            algorithm_id=self._algorithm,
            finding_sites=_site(image),
            measurements=[
                Measurement(
                    name=codes.SCORE_OF[explained],
                    value=_percent(finding.scores[CLASSES.index(explained)]),
                    unit=codes.PERCENT,
                ),
                Measurement(
                    name=codes.GRAD_CAM,
                    value=_percent(region.mean_activation),
                    unit=codes.PERCENT,
                    derivation=codes.MEAN,
                ),
            ],
        )

    def not_performed(self, image: SourceImage, failure: NotAnalysed) -> Group:
        """Return that ``image`` has no result, and the reason."""
        group = Group(
            tracking_identifier=self._tracking("image", image),
            referenced_region=_polyline(image, _border(image)),
            finding_type=codes.NOT_PERFORMED,
            algorithm_id=self._algorithm,
            finding_sites=_site(image),
            qualitative_evaluations=[_status(codes.STATUS_OF[failure.status])],
        )
        _comment(group, [failure.reason])
        return group

    def _tracking(self, level: str, image: SourceImage) -> TrackingIdentifier:
        tracking = self._maker.tracking_uid(level, image.sop_instance_uid, 1)
        return TrackingIdentifier(uid=tracking, identifier=wording.tracking_identifier(level, image.label))


def _polyline(image: SourceImage, line: list[Point]) -> ImageRegion:
    region = ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=np.array(line, dtype=float),
        source_image=SourceImageForRegion(image.sop_class_uid, image.sop_instance_uid),
    )
    for reference in region.ContentSequence:
        reference.ConceptNameCodeSequence = [CodedConcept.from_code(codes.ORIGINAL_SOURCE)]
    return region


def _border(image: SourceImage) -> list[Point]:
    """Return the border of the pixel matrix: the region of what is true of the whole image."""
    right, bottom = float(max(image.columns, 1)), float(max(image.rows, 1))
    return [(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom), (0.0, 0.0)]


def _site(image: SourceImage) -> list[FindingSite]:
    side = None if image.laterality is None else codes.SIDE_OF[image.laterality]
    return [FindingSite(codes.BREAST, laterality=side)]


def _status(code: Code) -> QualitativeEvaluation:
    return QualitativeEvaluation(codes.SUMMARY_OF_ANALYSES, code)


def _comment(group: Group, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        group[0].ContentSequence.append(
            TextContentItem(codes.COMMENT, sentence, RelationshipTypeValues.CONTAINS)
        )


def _percent(share: float) -> float:
    return round(100 * share, 1)
