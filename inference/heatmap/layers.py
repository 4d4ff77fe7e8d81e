"""What a heatmap is drawn from, kept between an image's analysis and the report on its study.

The Grad-CAM explains what is decided about the breast, and the other views of the breast may come later. So
the analysis keeps the picture without colours and a map for each class that may have to be explained, at the
size of the heatmap, as one lossless PNG of four channels.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inference.findings import EXPLAINABLE, ClassKey
from inference.reading.pixels import Picture

_SIZE: Final = "source"
"""Key of the text in the PNG that holds columns and rows of the source."""
_FAST: Final = 1
"""Compression level: higher ones cost seconds for a tenth of the size."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layers:
    """One mammogram at the size of its heatmap."""

    grey: NDArray[np.uint8]
    """Height by width."""
    levels: NDArray[np.uint8]
    """One map for each of `EXPLAINABLE`, 3 by height by width: 255 is its maximum, 0 no activation."""
    columns: int
    """Of the source, in whose pixels regions are given."""
    rows: int
    """Of the source."""

    def level(self, key: ClassKey) -> NDArray[np.uint8]:
        """Return the map of one of `EXPLAINABLE`."""
        found: NDArray[np.uint8] = self.levels[EXPLAINABLE.index(key)]
        return found

    def encoded(self) -> bytes:
        """Return a PNG that `read` reads back unchanged."""
        text = PngInfo()
        text.add_text(_SIZE, f"{self.columns} {self.rows}")
        file = io.BytesIO()
        stacked = np.dstack([self.grey, *self.levels])
        Image.fromarray(stacked).save(file, format="PNG", compress_level=_FAST, pnginfo=text)
        return file.getvalue()


def read(path: Path) -> Layers:
    """Read what `Layers.encoded` gave. Raises OSError."""
    with Image.open(str(path)) as image:
        image.load()
        columns, rows = (int(number) for number in str(image.info[_SIZE]).split())
        stacked = np.asarray(image)
    return Layers(
        grey=stacked[..., 0], levels=np.moveaxis(stacked[..., 1:], -1, 0), columns=columns, rows=rows
    )


def in_memory(layers: Layers | None) -> Callable[[], Layers] | None:
    """Return what opens ``layers`` that were never written to a file; None where there are none."""
    return None if layers is None else lambda: layers


def of_picture(picture: Picture, levels: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> Layers:
    """Shrink ``picture`` to ``size``, width and height, which its ``levels`` have already."""
    rows, columns = picture.grey.shape
    whole = Image.fromarray((picture.grey * 255 + 0.5).astype(np.uint8))
    return Layers(
        grey=np.asarray(whole.resize(size, Image.Resampling.LANCZOS, reducing_gap=1.0)),
        levels=np.stack(levels),
        columns=columns,
        rows=rows,
    )


def level(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Shrink a map to ``size`` and give it whole numbers, 255 at its maximum, all 0 where it is flat zero."""
    highest = float(heat.max())
    if highest <= 0:
        return np.zeros(size[::-1], np.uint8)
    # bilinear, not a sharper filter: those overshoot, and activation that the network never had would show
    small = Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
    return np.clip(np.asarray(small) * (255 / highest) + 0.5, 0, 255).astype(np.uint8)
