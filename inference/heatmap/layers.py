"""What a heatmap is drawn from, kept between an image's analysis and the report on its study.

The Grad-CAM explains what is decided about the breast, and the other views of the breast may come later. So
the analysis keeps the breast without colours and a map for each class that may have to be explained, at the
size of the heatmap, below each other in one lossless PNG. Of the air around the breast only a margin is kept:
so the breast is shown larger, and what is written into the air of an image leaves the node no second time.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inference.findings import EXPLAINABLE, ChestWall, ClassKey, Point
from inference.reading.pixels import Picture

_PLACE: Final = "place"
"""Key of the text in the PNG that says which part of the source it shows."""
_MARGIN: Final = 0.02
"""Air that is kept around the skin, in units of the breast's longer side: it must be seen whole.

None is kept at the chest wall, where there is no skin: beside it lie the white frames of scanned films.
"""
_CHANNELS_OF_OLD: Final = 3
"""Dimensions of a file that an earlier version kept: the four layers are its channels."""
TALLEST: Final = 0.8
"""Share of a heatmap's longest side that the breast may take; its legend has the rest."""
_BESIDE: Final = 0.99
"""Of half the width: the rest is the gap between the two pictures of a heatmap."""
_LINES: Final = 32
"""Rows that are computed at a time: what lies between fits into a cache."""
_FAST: Final = 1
"""Compression level: higher ones cost seconds for a tenth of the size."""


Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom (the last two exclusive) in pixels of the source."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layers:
    """One breast at the size at which its heatmap shows it."""

    grey: NDArray[np.uint8]
    """Height by width."""
    levels: NDArray[np.uint8]
    """One map for each of `EXPLAINABLE`, 3 by height by width: 255 is its maximum, 0 no activation."""
    place: Box
    """Which part of the source it is."""

    def level(self, key: ClassKey) -> NDArray[np.uint8]:
        """Return the map of one of `EXPLAINABLE`."""
        layer: NDArray[np.uint8] = self.levels[EXPLAINABLE.index(key)]
        return layer

    def pixel(self, point: Point) -> tuple[int, int]:
        """Return column and row here of a point of the source."""
        left, top, right, bottom = self.place
        height, width = self.grey.shape
        column = int((point[0] - left) * width / (right - left))
        row = int((point[1] - top) * height / (bottom - top))
        return min(max(column, 0), width - 1), min(max(row, 0), height - 1)

    def enlarged(self, factor: int) -> Layers:
        """Return the same with each pixel as a square of ``factor`` times ``factor``."""
        if factor == 1:
            return self
        grey, levels = (
            np.repeat(np.repeat(pixels, factor, axis=-2), factor, axis=-1)
            for pixels in (self.grey, self.levels)
        )
        return Layers(grey=grey, levels=levels, place=self.place)

    def encoded(self) -> bytes:
        """Return a PNG that `read` reads back unchanged."""
        text = PngInfo()
        text.add_text(_PLACE, " ".join(map(str, self.place)))
        file = io.BytesIO()
        Image.fromarray(np.concatenate([self.grey, *self.levels])).save(
            file, format="PNG", compress_level=_FAST, pnginfo=text
        )
        return file.getvalue()


def read(path: Path) -> Layers:
    """Read what `Layers.encoded` gave. Raises OSError."""
    with Image.open(str(path)) as image:
        image.load()
        left, top, right, bottom = (int(number) for number in str(image.info[_PLACE]).split())
        pixels = np.asarray(image)
    if pixels.ndim == _CHANNELS_OF_OLD:
        planes = np.moveaxis(pixels, -1, 0)
    else:
        planes = pixels.reshape(1 + len(EXPLAINABLE), -1, pixels.shape[1])
    return Layers(grey=planes[0], levels=planes[1:], place=(left, top, right, bottom))


def in_memory(layers: Layers | None) -> Callable[[], Layers] | None:
    """Return what opens ``layers`` that were never written to a file; None where there are none."""
    return None if layers is None else lambda: layers


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Which part of a mammogram its heatmap shows, and how large."""

    place: Box
    size: tuple[int, int]
    """Width and height of the breast where it is shown."""

    @classmethod
    def around(cls, breast: Box, chest_wall: ChestWall, shape: tuple[int, ...], longest: int) -> Self:
        """Return the frame of the ``breast`` in a picture of that ``shape``: it fits into a heatmap twice."""
        place = _with_margin(breast, chest_wall, shape)
        width, height = place[2] - place[0], place[3] - place[1]
        scale = min(1.0, longest / 2 * _BESIDE / width, longest * TALLEST / height)
        return cls(place=place, size=(max(1, int(width * scale)), max(1, int(height * scale))))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the source that it shows."""
        left, top, right, bottom = self.place
        return bottom - top, right - left

    def level(self, heat: NDArray[np.float32], corner: tuple[int, int] = (0, 0)) -> NDArray[np.uint8]:
        """Shrink a map and make whole numbers of it, 255 at its maximum.

        ``heat`` shows all of the frame at least; ``corner`` is column and row of the source at its top left.
        """
        highest = float(heat.max())
        if highest <= 0:
            return np.zeros(self.size[::-1], np.uint8)
        # bilinear, not a sharper filter: those overshoot and show activation that the network never had
        rows, columns = self.shape
        left, top = self.place[0] - corner[0], self.place[1] - corner[1]
        small = Image.fromarray(heat[top : top + rows, left : left + columns]).resize(
            self.size, Image.Resampling.BILINEAR, reducing_gap=1.0
        )
        return np.clip(np.asarray(small) * (255 / highest) + 0.5, 0, 255).astype(np.uint8)

    def layers(self, picture: Picture, levels: Sequence[NDArray[np.uint8]]) -> Layers:
        """Cut the breast out of ``picture`` and put it beside its ``levels``."""
        breast = Image.fromarray(_in_bytes(picture.grey[self._cut]))
        return Layers(
            grey=np.asarray(breast.resize(self.size, Image.Resampling.LANCZOS, reducing_gap=1.0)),
            levels=np.stack(levels),
            place=self.place,
        )

    @property
    def _cut(self) -> tuple[slice, slice]:
        left, top, right, bottom = self.place
        return slice(top, bottom), slice(left, right)


def _in_bytes(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return ``grey`` (0 to 1) as whole numbers up to 255."""
    rounded = np.empty(grey.shape, np.uint8)
    for start in range(0, len(grey), _LINES):
        lines = slice(start, start + _LINES)
        scaled = grey[lines] * np.float32(255)
        scaled += np.float32(0.5)
        rounded[lines] = scaled  # cut off, not rounded again
    return rounded


def _with_margin(breast: Box, chest_wall: ChestWall, shape: tuple[int, ...]) -> Box:
    left, top, right, bottom = breast
    margin = round(_MARGIN * max(right - left, bottom - top))
    rows, columns = shape
    return (
        left if chest_wall == "left" else max(0, left - margin),
        max(0, top - margin),
        right if chest_wall == "right" else min(columns, right + margin),
        min(rows, bottom + margin),
    )
