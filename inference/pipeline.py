"""The table of contents: an image from its file to its finding and the layers of its heatmap.

    file ▶ mammogram: may it be analysed? ▶ pixels ▶ breast ▶ gate ▶ preprocess ▶ classifier ▶ region ▶ layers

An image that is not or cannot be analysed is a finding too, with its reason in words. Any other exception is
a fault of the program or, as OSError and MemoryError, of the machine, and goes through to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.analysis import breast, preprocess, region
from inference.analysis.breast import Breast
from inference.analysis.classifier import Reading
from inference.analysis.preprocess import Geometry, Prepared
from inference.errors import Failed, Refused
from inference.findings import (
    EXPLAINABLE,
    AnalysisStatus,
    ClassKey,
    Finding,
    Measured,
    ModelIdentity,
    NotAnalysed,
)
from inference.heatmap.layers import Frame, Layers
from inference.options import OutputOptions
from inference.reading import mammogram, pixels
from inference.reading.mammogram import ImageDescription
from inference.reading.options import DEFAULT, ReadingOptions
from inference.reading.pixels import Picture

Result = TypeVar("Result")


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
    geometry: Geometry
    """The way back from the network's input to the source."""

    def heat(self, key: ClassKey) -> NDArray[np.float32]:
        """Return the Grad-CAM map of one of `EXPLAINABLE`: rows by columns of the source, never negative.

        It is zero outside the breast: heat there is the trace of a border, not of a finding.
        """
        heat = np.zeros(self.breast.mask.shape, np.float32)
        self.draw_heat(key, heat, (0, 0))
        return heat

    def draw_heat(self, key: ClassKey, out: NDArray[np.float32], corner: tuple[int, int]) -> None:
        """Write to ``out`` what `heat` gives of the breast's box; what is beyond it stays.

        ``corner`` is column and row of the source at the top left of ``out``.
        """
        left, top, right, bottom = self.breast.box
        across, down = corner
        inside = out[top - down : bottom - down, left - across : right - across]
        self.geometry.map_to_crop(self.reading.maps[EXPLAINABLE.index(key)], inside)
        np.copyto(inside, 0, where=~self.breast.mask[top:bottom, left:right])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PreparedImage:
    """One picture, ready for the network."""

    picture: Picture
    breast: Breast
    input: Prepared

    def as_read(self, reading: Reading | Failed) -> AnalysedImage:
        """Return the image with what the network says of it. Raises Failed where that is nothing."""
        if isinstance(reading, Failed):
            raise reading
        return AnalysedImage(breast=self.breast, reading=reading, geometry=self.input.geometry)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analysis:
    """What came of one image."""

    finding: Finding
    layers: Layers | None
    """What its heatmap is drawn from once its breast is decided; None where it was not analysed."""


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
        (analysis,) = self.analyse_all([(path, image)])
        return analysis

    def analyse_all(
        self,
        images: Sequence[tuple[Path, ImageDescription | None]],
        announce: Callable[[], None] = lambda: None,
    ) -> list[Analysis]:
        """Analyse DICOM files as `analyse` does, with one call of the network for all that can be read.

        ``announce`` is called before each file is opened, and before the network is called.
        """
        pictures = [partial(self._open, path, image, announce) for path, image in images]
        return self._analysed(pictures, announce)

    def analyse_image_file(self, path: Path) -> Analysis:
        """Analyse a PNG or JPEG; its side and view are not known. Never raises Refused or Failed."""
        (analysis,) = self._analysed([partial(pixels.from_image_file, path)])
        return analysis

    def _open(self, path: Path, image: ImageDescription | None, announce: Callable[[], None]) -> Picture:
        announce()
        image = image or mammogram.read(path, self._reading)
        if image.objection:
            raise Refused(image.objection)
        return pixels.from_dicom(path)

    def _analysed(
        self, pictures: Sequence[Callable[[], Picture]], announce: Callable[[], None] = lambda: None
    ) -> list[Analysis]:
        """Open all ``pictures``, let the network read them in one call, and draw what it says of each."""
        images = [_attempted(partial(self._prepare, picture)) for picture in pictures]
        values = [image.input.values for image in images if isinstance(image, PreparedImage)]
        announce()
        readings = iter(self._classifier.read(np.stack(values)) if values else ())
        return [
            _attempted(partial(self._draw, image, next(readings)))
            if isinstance(image, PreparedImage)
            else image
            for image in images
        ]

    def _prepare(self, picture: Callable[[], Picture]) -> PreparedImage:
        return prepared_image(picture(), self._classifier, self._gate)

    def _draw(self, prepared: PreparedImage, reading: Reading | Failed) -> Analysis:
        image, picture = prepared.as_read(reading), prepared.picture
        box, chest_wall = image.breast.box, image.breast.chest_wall
        frame = Frame.around(box, chest_wall, picture.grey.shape, self._options.sc_max_side)
        traces, levels = [], []
        heat = np.zeros(
            frame.shape, np.float32
        )  # all in one: each map has its zeros where the one before has
        for key in EXPLAINABLE:
            image.draw_heat(key, heat, frame.place[:2])
            traces.append(region.locate(heat, image.breast.mask, frame.place[:2]))
            levels.append(frame.level(heat, frame.place[:2]))
        first, second, third = traces
        return Analysis(
            finding=Measured(
                scores=image.reading.scores,
                traces=(first, second, third),
                landmarks=region.landmarks(image.breast),
            ),
            layers=frame.layers(picture, levels),
        )


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
    prepared = prepared_image(picture, network, gate)
    (reading,) = network.read(prepared.input.values[np.newaxis])
    return prepared.as_read(reading)


def prepared_image(picture: Picture, network: Network, gate: InputGate | None = None) -> PreparedImage:
    """Find the breast in ``picture``, and make the network's input of it.

    Raises
    ------
    Refused
        The gate does not take the picture for a mammogram.
    Failed
        There is no breast to be found.
    """
    tissue = breast.find(picture)
    if gate is not None and (reason := gate.objection(picture, tissue)):
        raise Refused(reason)
    prepared = preprocess.prepare(picture, tissue, network.rows, network.columns)
    return PreparedImage(picture=picture, breast=tissue, input=prepared)


def _attempted(work: Callable[[], Result]) -> Result | Analysis:
    """Return what ``work`` does; where it cannot be done, that the image was not analysed, and why."""
    try:
        return work()
    except Refused as refusal:
        return _not_analysed(AnalysisStatus.NOT_ATTEMPTED, str(refusal))
    except Failed as failure:
        return _not_analysed(AnalysisStatus.FAILED, str(failure))


def _not_analysed(status: AnalysisStatus, reason: str) -> Analysis:
    return Analysis(finding=NotAnalysed(status=status, reason=reason), layers=None)
