"""The path of one image, in the order of its steps: pixels, breast, input, scores and map, region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference import breast, exam, heatmap, pixels, preprocess, region
from inference.classifier import Classifier, Reading
from inference.errors import Failed, Refused
from inference.findings import (
    CLASSES,
    Analysed,
    AnalysisStatus,
    Finding,
    ModelIdentity,
    NotAnalysed,
    Point,
    Region,
)
from inference.options import OutputOptions
from inference.pixels import Picture

UNNAMED = "side and view unknown"
"""The caption of a PNG or JPEG, which says nothing of itself."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analysis:
    """What came of one image."""

    finding: Finding
    heatmap: NDArray[np.uint8] | None
    """Height by width by 3, legend included; None where the image was not analysed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Analyst:
    """Reads images with one network. Not for several threads at once."""

    classifier: Classifier
    options: OutputOptions

    @property
    def identity(self) -> ModelIdentity:
        """Who reads."""
        return self.classifier.identity

    def analyse(self, path: Path) -> Analysis:
        """Analyse the DICOM file at ``path``. An image that cannot be analysed is a finding, no exception."""

        def steps() -> Analysis:
            image = exam.read(path)
            if (objection := exam.objection(image)) is not None:
                raise Refused(objection)
            return self._read(pixels.from_dicom(path), caption=image.label)

        return _as_finding(steps)

    def analyse_image_file(self, path: Path) -> Analysis:
        """Analyse the PNG or JPEG file at ``path``, in the same way."""
        return _as_finding(lambda: self._read(pixels.from_image_file(path), caption=UNNAMED))

    def _read(self, picture: Picture, *, caption: str) -> Analysis:
        found = breast.find(picture)
        prepared = preprocess.prepare(picture, found, self.classifier.rows, self.classifier.columns)
        (reading,) = self.classifier.read(prepared.values[np.newaxis])
        if isinstance(reading, Failed):
            raise reading
        map_ = prepared.geometry.map_to_source(reading.map)
        peak, place = region.locate(map_, found.mask)
        finding = _finding(reading, peak, place)
        drawn = heatmap.render(
            picture, map_, finding, caption=caption, identity=self.identity, options=self.options
        )
        return Analysis(finding=finding, heatmap=drawn)


def _finding(reading: Reading, peak: Point, place: Region | None) -> Analysed:
    label = CLASSES[int(np.argmax(reading.scores))]
    whole = Analysed(
        scores=reading.scores,
        label=label,
        at_operating_point=reading.at_operating_point,
        explained=reading.explained,
        peak=peak,
        region=place,
    )
    return whole if whole.shows_region else whole.without_region()


def _as_finding(steps: Callable[[], Analysis]) -> Analysis:
    try:
        return steps()
    except Refused as refused:
        return _not_analysed(AnalysisStatus.NOT_ATTEMPTED, str(refused))
    except Failed as failed:
        return _not_analysed(AnalysisStatus.FAILED, str(failed))


def _not_analysed(status: AnalysisStatus, reason: str) -> Analysis:
    return Analysis(finding=NotAnalysed(status=status, reason=reason), heatmap=None)
