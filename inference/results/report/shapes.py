"""Closed lines in an image (PS3.3 C.18.6.1.2, POLYLINE): a marked region, or the image's border.

Stone draws POLYLINE and no ELLIPSE, OHIF draws no ELLIPSE either. OHIF takes a closed line of 4 or 5 points
for a rectangle that can be tracked, so a rectangle is what is marked, and a border is none.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from highdicom.sr import (
    CodedConcept,
    CoordinatesForMeasurement,
    GraphicTypeValues,
    ImageRegion,
    SourceImageForRegion,
)
from numpy.typing import NDArray

from inference.analysis.region import closed_line
from inference.findings import Point, Region
from inference.options import RegionShape
from inference.reading.mammogram import SourceImage
from inference.results import codes

Line: TypeAlias = list[Point]

OUTLINE_IDENTIFIER: Final = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
"""Tracking Identifier by which OHIF (its library Cornerstone) keeps a line's shape when it is tracked."""


def of_region(region: Region, shape: RegionShape, image: SourceImage) -> Line:
    """Return the ``region`` of ``image`` as a line that does not leave it.

    The outline has 61 points; the rectangle around it has 5, its sides along those of the image.
    """
    outline = closed_line(region, rows=image.rows, columns=image.columns)
    if shape == "outline":
        return outline
    across, down = zip(*outline, strict=True)
    left, right, top, bottom = min(across), max(across), min(down), max(down)
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def border(image: SourceImage) -> Line:
    """Return the border of the pixel matrix in 9 points, corners and middles."""
    right, bottom = float(max(image.columns, 1)), float(max(image.rows, 1))
    across, down = right / 2, bottom / 2
    top = [(0.0, 0.0), (across, 0.0), (right, 0.0), (right, down)]
    return [*top, (right, bottom), (across, bottom), (0.0, bottom), (0.0, down), (0.0, 0.0)]


def area(line: Line) -> float:
    """Return the area in pixels that a closed ``line`` encloses (shoelace formula)."""
    return abs(sum(x * to_y - to_x * y for (x, y), (to_x, to_y) in pairwise(line))) / 2


def image_region(image: SourceImage, line: Line) -> ImageRegion:
    """Return ``line`` as the region of a measurement group."""
    region = ImageRegion(GraphicTypeValues.POLYLINE, _points(line), _selected(image))
    _name_source(region)
    return region


def coordinates(image: SourceImage, line: Line) -> CoordinatesForMeasurement:
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
