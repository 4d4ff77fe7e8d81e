"""What the network sees in one picture: the breast, its answer, and its heat on the source's pixels.

The node and the evaluation of models both call `see`: what was measured is what runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference.analysis import breast, preprocess
from inference.analysis.breast import Breast
from inference.analysis.classifier import Reading
from inference.errors import Failed, Refused
from inference.findings import ModelIdentity
from inference.reading.pixels import Picture


class Network(Protocol):
    """What this room needs of `inference.analysis.classifier.Classifier`."""

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


class Doorkeeper(Protocol):
    """What this room needs of `inference.analysis.gate.Gate`."""

    def objection(self, picture: Picture, found: Breast) -> str | None:
        """Say why the picture is no mammogram, or None."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sight:
    """One picture, read."""

    breast: Breast
    reading: Reading
    heat: NDArray[np.float32]
    """The Grad-CAM map, rows by columns of the source, never negative, zero outside the breast."""


def see(picture: Picture, network: Network, gate: Doorkeeper | None = None) -> Sight:
    """Find the breast in ``picture`` and read it.

    Raises
    ------
    Refused
        The gate does not take the picture for a mammogram.
    Failed
        There is no breast to be found, or the network gives no usable number.
    """
    found = breast.find(picture)
    if gate is not None and (reason := gate.objection(picture, found)):
        raise Refused(reason)
    prepared = preprocess.prepare(picture, found, network.rows, network.columns)
    (reading,) = network.read(prepared.values[np.newaxis])
    if isinstance(reading, Failed):
        raise reading
    # what lies outside the breast is no tissue: heat there is the trace of a border, not of a finding
    heat = np.where(found.mask, prepared.geometry.map_to_source(reading.map), np.float32(0))
    return Sight(breast=found, reading=reading, heat=heat)
