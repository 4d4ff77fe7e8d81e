"""The table of contents: one image from its file to its finding and its heatmap.

    file ▶ exam: may it be analysed? ▶ pixels ▶ breast ▶ gate ▶ preprocess ▶ classifier ▶ region ▶ heatmap

An image that is not or cannot be analysed is a finding too, with its reason in words. Any other exception is
a fault of the program or, as OSError and MemoryError, of the machine, and goes through to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference.analysis import breast, preprocess, region
from inference.analysis.breast import Breast
from inference.analysis.classifier import Reading
from inference.errors import Failed, Refused
from inference.findings import CLASSES, Analysed, AnalysisStatus, Finding, ModelIdentity, NotAnalysed
from inference.heatmap import heatmap
from inference.options import OutputOptions
from inference.reading import mammogram, pixels
from inference.reading.mammogram import ImageDescription
from inference.reading.options import DEFAULT, ReadingOptions
from inference.reading.pixels import Picture

_PICTURE_FILE = "side and view not known"
"""Caption of a PNG or JPEG: such a file does not say what it shows, and its name is not trusted."""


class Network(Protocol):
    """What the pipeline needs of `inference.analysis.classifier.Classifier`."""

    @property
    def identity(self) -> ModelIdentity:
        """What results say about the network."""

    @property
    def rows(self) -> int:
        """Height of the input."""

    @property
    def columns(self) -> int:
        """Width of the input."""

    def read(self, batch: NDArray[np.float32]) -> list[Reading | Failed]:
        """Read prepared images."""


class InputGate(Protocol):
    """What the pipeline needs of `inference.analysis.gate.Gate`."""

    def objection(self, picture: Picture, breast: Breast) -> str | None:
        """Say why the picture is no mammogram, or None."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AnalysedImage:
    """One picture, read by the network."""

    breast: Breast
    reading: Reading
    heat: NDArray[np.float32]
    """The Grad-CAM map, rows by columns of the source, never negative, zero outside the breast."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analysis:
    """What came of one image."""

    finding: Finding
    heatmap: NDArray[np.uint8] | None
    """Height by width by 3, legend included; None where the image was not analysed."""


class Analyst:
    """Analyses image files with one network; a gate, where there is one, refuses what is no mammogram."""

    def __init__(
        self,
        classifier: Network,
        options: OutputOptions,
        gate: InputGate | None = None,
        reading: ReadingOptions = DEFAULT,
    ) -> None:
        self._classifier = classifier
        self._gate = gate
        self._options = options
        self._reading = reading

    @property
    def identity(self) -> ModelIdentity:
        """What results say about the network."""
        return self._classifier.identity

    def analyse(self, path: Path, image: ImageDescription | None = None) -> Analysis:
        """Analyse a DICOM file. Never raises Refused or Failed: they become a `NotAnalysed`.

        Parameters
        ----------
        path
            The file; it is not opened where ``image`` has an objection.
        image
            What its header says; None where nobody has read it yet.
        """
        try:
            image = image or mammogram.read(path, self._reading)
            if image.objection:
                return _not_analysed(AnalysisStatus.NOT_ATTEMPTED, image.objection)
            return self._analysed(pixels.from_dicom(path), caption=image.label)
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
        image = analysed_image(picture, self._classifier, self._gate)
        finding = _finding(image)
        rendered = heatmap.render(
            picture, image.heat, finding, caption=caption, identity=self.identity, options=self._options
        )
        return Analysis(finding=finding, heatmap=rendered)


def analysed_image(picture: Picture, network: Network, gate: InputGate | None = None) -> AnalysedImage:
    """Find the breast in ``picture`` and let the network read it.

    The node and the evaluation of models both call this: what was measured is what runs.

    Raises
    ------
    Refused
        The gate does not take the picture for a mammogram.
    Failed
        There is no breast to be found, or the network gives no usable number.
    """
    tissue = breast.find(picture)
    if gate is not None and (reason := gate.objection(picture, tissue)):
        raise Refused(reason)
    prepared = preprocess.prepare(picture, tissue, network.rows, network.columns)
    (reading,) = network.read(prepared.values[np.newaxis])
    if isinstance(reading, Failed):
        raise reading
    # what lies outside the breast is no tissue: heat there is the trace of a border, not of a finding
    heat = np.where(tissue.mask, prepared.geometry.map_to_source(reading.map), np.float32(0))
    return AnalysedImage(breast=tissue, reading=reading, heat=heat)


def _finding(image: AnalysedImage) -> Analysed:
    reading = image.reading
    peak, area = region.locate(image.heat, image.breast.mask)
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
