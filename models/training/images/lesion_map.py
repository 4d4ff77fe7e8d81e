"""Where whole images show a lesion and where surely none, place by place, as the last layers see them.

A label says nothing about where to look; a box does. Between a lesion's middle and its surroundings lies a
border about which nothing is said.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import ClassKey
from models.training.images.lesions import TISSUE, Images
from models.training.sources.labels import Box

UNKNOWN: Final = -1
"""No box was drawn for this source, or the place lies at the border of one or outside the breast."""
HEALTHY: Final = 0
LESION: Final = 1

_BORDER: Final = 1
"""Places around a box of which it is not said that they are healthy."""
_LEAST: Final = 0.5
"""Half of the side of a lesion's middle, in places: a small lesion fills one at least."""


def places(data: Images, side: int) -> NDArray[np.int8]:
    """Map every image of ``data``.

    Parameters
    ----------
    side
        Pixels of the prepared image, along rows and columns, that one place stands for.

    Returns
    -------
    NDArray
        (images, rows / side, columns / side) of `UNKNOWN`, `HEALTHY` and `LESION`.
    """
    rows, columns = data.images.shape[1] // side, data.images.shape[2] // side
    labels = np.full((len(data.examples), rows, columns), UNKNOWN, np.int8)
    drawn = {example.source for example, boxes in zip(data.examples, data.lesions, strict=True) if boxes}
    for image_places, example, boxes, position in zip(
        labels, data.examples, data.lesions, data.positions, strict=True
    ):
        if boxes or (example.source in drawn and example.classes == {ClassKey.NORMAL}):
            image = data.images[position][: rows * side, : columns * side]
            image_places[image.reshape(rows, side, columns, side).mean(axis=(1, 3)) > TISSUE] = HEALTHY
        for box in boxes:
            _fill(image_places, _around(box, side), UNKNOWN)
        for box in boxes:
            _fill(image_places, _middle(box, side), LESION)
    return labels


def _around(box: Box, side: int) -> Box:
    left, top, right, bottom = (edge // side for edge in box)
    return left - _BORDER, top - _BORDER, right + 1 + _BORDER, bottom + 1 + _BORDER


def _middle(box: Box, side: int) -> Box:
    left, top, right, bottom = (edge / side for edge in box)
    across, down = max((right - left) / 4, _LEAST), max((bottom - top) / 4, _LEAST)
    column, row = (left + right) / 2, (top + bottom) / 2
    return column - across, row - down, column + across, row + down


def _fill(image_places: NDArray[np.int8], box: Box, value: int) -> None:
    left, top, right, bottom = box
    image_places[max(int(top), 0) : math.ceil(bottom), max(int(left), 0) : math.ceil(right)] = value
