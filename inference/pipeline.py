"""The table of contents: one image from its file to its finding and its heatmap.

    file ▶ exam: may it be analysed? ▶ pixels ▶ breast ▶ gate ▶ preprocess ▶ classifier ▶ region ▶ heatmap

An image that is not or cannot be analysed is a finding too, with its reason in words. Any other exception is
a fault of the program or, as OSError and MemoryError, of the machine, and goes through to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.analysis import region, sight
from inference.analysis.sight import Doorkeeper, Network, Sight
from inference.errors import Failed, Refused
from inference.findings import CLASSES, Analysed, AnalysisStatus, Finding, ModelIdentity, NotAnalysed
from inference.heatmap import heatmap
from inference.options import OutputOptions
from inference.reading import mammogram, pixels
from inference.reading.pixels import Picture

_PICTURE_FILE = "side and view not known"
"""Caption of a PNG or JPEG: such a file does not say what it shows, and its name is not trusted."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analysis:
    """What came of one image."""

    finding: Finding
    heatmap: NDArray[np.uint8] | None
    """Height by width by 3, legend included; None where the image was not analysed."""


class Analyst:
    """Analyses image files with one network; a gate, where there is one, refuses what is no mammogram."""

    def __init__(self, classifier: Network, options: OutputOptions, gate: Doorkeeper | None = None) -> None:
        self._classifier = classifier
        self._gate = gate
        self._options = options

    @property
    def identity(self) -> ModelIdentity:
        """What results say about the network."""
        return self._classifier.identity

    def analyse(self, path: Path) -> Analysis:
        """Analyse a DICOM file. Never raises Refused or Failed: they become a `NotAnalysed`."""
        try:
            source = mammogram.read(path)
            if source.objection:
                return _not_analysed(AnalysisStatus.NOT_ATTEMPTED, source.objection)
            return self._analysed(pixels.from_dicom(path), caption=source.label)
        except Refused as refusal:
            return _not_analysed(AnalysisStatus.NOT_ATTEMPTED, str(refusal))
        except Failed as failure:
            return _not_analysed(AnalysisStatus.FAILED, str(failure))

    def analyse_image_file(self, path: Path) -> Analysis:
        """Analyse a PNG or JPEG; its side and view are not known. Never raises Refused or Failed."""
        try:
            return self._analysed(pixels.from_image_file(path), caption=_PICTURE_FILE)
        except Refused as refusal:
            return _not_analysed(AnalysisStatus.NOT_ATTEMPTED, str(refusal))
        except Failed as failure:
            return _not_analysed(AnalysisStatus.FAILED, str(failure))

    def _analysed(self, picture: Picture, *, caption: str) -> Analysis:
        seen = sight.see(picture, self._classifier, self._gate)
        finding = _finding(seen)
        drawn = heatmap.render(
            picture, seen.heat, finding, caption=caption, identity=self.identity, options=self._options
        )
        return Analysis(finding=finding, heatmap=drawn)


def _finding(seen: Sight) -> Analysed:
    reading = seen.reading
    peak, area = region.locate(seen.heat, seen.breast.mask)
    finding = Analysed(
        scores=reading.scores,
        label=CLASSES[int(np.argmax(reading.scores))],
        at_operating_point=reading.at_operating_point,
        explained=reading.explained,
        peak=peak,
        region=area,
    )
    return finding if finding.shows_region else replace(finding, region=None)


def _not_analysed(status: AnalysisStatus, reason: str) -> Analysis:
    return Analysis(finding=NotAnalysed(status=status, reason=reason), heatmap=None)
