"""The report's measurement groups (PS3.16 TID 1410): one for each image, with its scores and its region.

OHIF shows nothing at all of a group without coordinates, so an image without a region has its border. It
takes the first number of a group for the area of its region, which must be inferred from the coordinates, and
the first comment for the label that stands beside them.

A region is a closed line (PS3.3 C.18.6.1.2, POLYLINE): Stone draws POLYLINE and no ELLIPSE, OHIF draws no
ELLIPSE either. OHIF takes a closed line of 4 or 5 points for a rectangle that can be tracked, so a rectangle
is what is marked, and a border is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ContentSequence,
    CoordinatesForMeasurement,
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
from numpy.typing import NDArray
from pydicom.sr.coding import Code

from inference import wording
from inference.analysis.region import closed_line
from inference.decision import Analysed
from inference.findings import CLASSES, NotAnalysed, Point, Region
from inference.options import RegionShape, StudyImage
from inference.reading.mammogram import SourceImage
from inference.results import codes
from inference.results.identity import Maker

Group = PlanarROIMeasurementsAndQualitativeEvaluations
Line: TypeAlias = list[Point]

_OUTLINE_IDENTIFIER: Final = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
"""Tracking Identifier by which OHIF (its library Cornerstone) keeps a line's shape when it is tracked."""


def groups(images: Iterable[StudyImage], maker: Maker) -> list[Group]:
    """Return the groups of ``images``.

    The first one names every parameter of the algorithm, the others only its weights: nobody reads nine
    lines four times.
    """
    parameters = wording.algorithm_parameters(maker.model, maker.rule)
    written: list[Group] = []
    for image in images:
        algorithm = _algorithm(maker, parameters[:1] if written else parameters)
        match image.finding:
            case NotAnalysed() as failure:
                written.append(_not_performed(image.source, failure, maker, algorithm))
            case Analysed() as finding:
                written.append(_analysed(image.source, finding, maker, algorithm))
    return written


def _algorithm(maker: Maker, parameters: Sequence[str]) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=maker.model.name,
        version=maker.model.version,
        parameters=parameters,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=maker.model.manufacturer,
    )


def _analysed(
    image: SourceImage, finding: Analysed, maker: Maker, algorithm: AlgorithmIdentification
) -> Group:
    """Return the scores of ``image`` in network order, and where the network looked if a region is marked."""
    region, shape = finding.region, maker.options.sr_region
    line = _border(image) if region is None else _line_of(region, shape, image)
    identifier = _OUTLINE_IDENTIFIER if region is not None and shape == "outline" else None
    scores = [
        Measurement(name=codes.SCORE_OF[key], value=_percent(score), unit=codes.PERCENT)
        for key, score in zip(CLASSES, finding.scores, strict=True)
    ]
    area = Measurement(name=codes.AREA, value=round(_area(line)), unit=codes.PIXELS)
    group = Group(
        tracking_identifier=_tracking(image, maker, identifier),
        referenced_region=_image_region(image, line),
        finding_type=codes.FINDING_OF[finding.label],
        finding_category=None if region is None else codes.GRAD_CAM,
        geometric_purpose=None if region is None else codes.BOUNDED_BY,
        algorithm_id=algorithm,
        finding_sites=_site(image),
        measurements=scores if region is None else [area, *scores, _mean_activation(region)],
        qualitative_evaluations=[_status(codes.SUCCEEDED)],
    )
    # only now: highdicom refuses such a measurement in this group, OHIF and PixelMed take it
    area[0].ContentSequence = ContentSequence([_coordinates(image, line)])
    label = wording.image_label(image.label, finding.malignant)
    places = wording.largest_of(finding)
    _comment(group, [label, wording.of_the_breast(finding), *places, *wording.remarks(finding)])
    return group


def _not_performed(
    image: SourceImage, failure: NotAnalysed, maker: Maker, algorithm: AlgorithmIdentification
) -> Group:
    """Return that ``image`` has no result, and the reason."""
    group = Group(
        tracking_identifier=_tracking(image, maker),
        referenced_region=_image_region(image, _border(image)),
        finding_type=codes.NOT_PERFORMED,
        algorithm_id=algorithm,
        finding_sites=_site(image),
        qualitative_evaluations=[_status(codes.STATUS_OF[failure.status])],
    )
    words = wording.image_set_aside if failure.set_aside else wording.image_without_result
    _comment(group, [words(image.label, failure.reason)])
    return group


def _tracking(image: SourceImage, maker: Maker, identifier: str | None = None) -> TrackingIdentifier:
    """Return how the image's group is followed; ``identifier`` is a name that a viewer reads by machine."""
    return TrackingIdentifier(
        uid=maker.tracking_uid(image.sop_instance_uid),
        identifier=identifier or wording.tracking_identifier(image.label),
    )


def _mean_activation(region: Region) -> Measurement:
    return Measurement(
        name=codes.GRAD_CAM,
        value=_percent(region.mean_activation),
        unit=codes.PERCENT,
        derivation=codes.MEAN,
    )


def _site(image: SourceImage) -> list[FindingSite]:
    """Return the breast, as one code with its side: viewers do not read a modifier."""
    return [FindingSite(codes.BREAST if image.laterality is None else codes.BREAST_OF[image.laterality])]


def _status(code: Code) -> QualitativeEvaluation:
    return QualitativeEvaluation(codes.SUMMARY_OF_ANALYSES, code)


def _comment(group: Group, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        group[0].ContentSequence.append(
            TextContentItem(codes.COMMENT, sentence, RelationshipTypeValues.CONTAINS)
        )


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _line_of(region: Region, shape: RegionShape, image: SourceImage) -> Line:
    """Return the ``region`` of ``image`` as a line that does not leave it.

    The outline has 61 points; the rectangle around it has 5, its sides along those of the image.
    """
    outline = closed_line(region, rows=image.rows, columns=image.columns)
    if shape == "outline":
        return outline
    across, down = zip(*outline, strict=True)
    left, right, top, bottom = min(across), max(across), min(down), max(down)
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def _border(image: SourceImage) -> Line:
    """Return the border of the pixel matrix in 9 points, corners and middles."""
    right, bottom = float(max(image.columns, 1)), float(max(image.rows, 1))
    across, down = right / 2, bottom / 2
    top = [(0.0, 0.0), (across, 0.0), (right, 0.0), (right, down)]
    return [*top, (right, bottom), (across, bottom), (0.0, bottom), (0.0, down), (0.0, 0.0)]


def _area(line: Line) -> float:
    """Return the area in pixels that a closed ``line`` encloses (shoelace formula)."""
    return abs(sum(x * to_y - to_x * y for (x, y), (to_x, to_y) in pairwise(line))) / 2


def _image_region(image: SourceImage, line: Line) -> ImageRegion:
    """Return ``line`` as the region of a measurement group."""
    region = ImageRegion(GraphicTypeValues.POLYLINE, _points(line), _selected(image))
    _name_source(region)
    return region


def _coordinates(image: SourceImage, line: Line) -> CoordinatesForMeasurement:
    """Return ``line`` as the coordinates that one number is inferred from."""
    inferred = CoordinatesForMeasurement(
        GraphicTypeValues.POLYLINE, _points(line), _selected(image), purpose=codes.IMAGE_REGION
    )
    _name_source(inferred)
    return inferred


def _points(line: Line) -> NDArray[np.floating]:
    return np.array(line, dtype=float)


def _selected(image: SourceImage) -> SourceImageForRegion:
    return SourceImageForRegion(image.sop_class_uid, image.sop_instance_uid)


def _name_source(line: ImageRegion | CoordinatesForMeasurement) -> None:
    """Call the image of ``line`` by the name without which the Stone viewer draws nothing."""
    for reference in line.ContentSequence:
        reference.ConceptNameCodeSequence = [CodedConcept.from_code(codes.ORIGINAL_SOURCE)]
