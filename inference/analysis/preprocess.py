"""From a picture to the network's input, and from the network's map back to the picture.

Training and node call the same functions: what the network learns on is what it sees in the hospital. A
change of anything here that changes values needs a new `PREPROCESSING`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.findings import Point

if TYPE_CHECKING:
    # SciPy and pydicom come with them, and a network is opened without
    from inference.analysis.breast import Breast
    from inference.reading.pixels import Picture

Coordinate = TypeVar("Coordinate", float, NDArray[np.floating[Any]])

PREPROCESSING: Final = "breast-crop-2"
"""Identifier of this preprocessing; a manifest names the one that its figures were measured with."""
READABLE: Final = (PREPROCESSING, "breast-crop-1")
"""What a model may have been measured with. breast-crop-1 left white rims of films and belly folds in the
breast, in 26 % of CBIS-DDSM's images and hardly any of digital scanners; size and grey values are the same.
"""

# The values of these four: kept since version 1.0, no measurement on record. The shipped weights were trained
# with them, so that a better value would need another training (`PREPROCESSING`).
_PERCENTILES: Final = (0.5, 50.0, 99.5)
"""Of the breast: what becomes black, what becomes `_MEDIAN`, what becomes white. Not the extremes: a clip, a
marker or a dead pixel would decide about all others."""
_MEDIAN: Final = 0.45
"""Grey, 0 to 1, to which the median of every breast is bent: near the middle, so that neither fatty nor dense
tissue is pressed into one end of the scale."""
_GAMMAS: Final = (0.4, 2.5)
"""Limits of that bend, each the other's inverse: a median at an end of the scale would stretch noise without
end."""
_EDGE_FALL: Final = 1e-3
"""Share by which a map falls over one cell beyond the centre of its outermost one: enough for a highest point
in single precision, too little to be seen among 256 colours."""
_SMALL: Final = 1e-3
"""Of a share or a grey value: keeps divisions and logarithms finite, and is less than one of 256 steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """The affine map between source and input: crop, scale, mirror, pad.

    All coordinates are columns and rows counted from the top-left corner of the top-left pixel, in pixels.
    """

    source_rows: int
    source_columns: int
    box: tuple[int, int, int, int]
    """Left, top, right and bottom of the crop in the source."""
    rows: int
    """Rows of the input."""
    columns: int
    """Columns of the input."""
    top: int
    """First row of the input that shows the crop; its first column is 0, where the chest wall lies."""
    height: int
    """Rows of the input that show the crop."""
    width: int
    """Columns of the input that show the crop."""
    mirrored: bool
    """Whether left and right are exchanged, so that the chest wall is on the left."""

    def to_input(self, column: float, row: float) -> Point:
        """Return where a point of the source lies in the input."""
        return self._across(column), self._down(row)

    def map_to_source(self, map_: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring a coarse map of the input onto the source, bilinear, zero outside the crop.

        Parameters
        ----------
        map_
            h by w cells that cover the whole input evenly, ``map_[0, 0]`` at the input's top left.

        Returns
        -------
        NDArray[np.float32]
            Source rows by source columns. The maximum of a single hot cell lies at that cell's centre.
        """
        left, top, right, bottom = self.box
        whole = np.zeros((self.source_rows, self.source_columns), np.float32)
        self.map_to_crop(map_, whole[top:bottom, left:right])
        return whole

    def map_to_crop(self, map_: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Write to ``out``, rows by columns of the crop, what `map_to_source` has there."""
        left, top, right, bottom = self.box
        height, width = map_.shape
        lines, places = self._down(np.arange(top, bottom) + 0.5), self._across(np.arange(left, right) + 0.5)
        down = _weights(lines * height / self.rows, height)
        along = _weights(places * width / self.columns, width)
        np.matmul(down @ map_.astype(np.float32), along.T, out=out)

    def _across(self, column: Coordinate) -> Coordinate:
        left, _, right, _ = self.box
        return (right - column if self.mirrored else column - left) * self.width / (right - left)

    def _down(self, row: Coordinate) -> Coordinate:
        _, top, _, bottom = self.box
        return self.top + (row - top) * self.height / (bottom - top)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """The network's input and the way back."""

    values: NDArray[np.float32]
    """Input rows by columns by 1, 0 to 1, background 0, chest wall on the left."""
    geometry: Geometry


def prepare(picture: Picture, breast: Breast, rows: int, columns: int) -> Prepared:
    """Crop to the breast, mirror, scale with the aspect ratio kept, mask and normalise.

    Parameters
    ----------
    picture, breast
        The image and what `inference.analysis.breast.find` says about it.
    rows, columns
        Size of the network's input in pixels.
    """
    geometry = _geometry(breast, rows, columns)
    left, top, right, bottom = breast.box
    turn = -1 if geometry.mirrored else 1
    crop = picture.grey[top:bottom, left:right][:, ::turn]
    mask = breast.mask[top:bottom, left:right][:, ::turn]
    size = (geometry.width, geometry.height)
    grey = _resized(np.where(mask, crop, np.float32(0)), size)
    share = _resized(mask.astype(np.float32), size)
    values = np.zeros((rows, columns, 1), np.float32)
    end = geometry.top + geometry.height
    values[geometry.top : end, : geometry.width, 0] = _normalised(grey, share)
    return Prepared(values=values, geometry=geometry)


def _geometry(breast: Breast, rows: int, columns: int) -> Geometry:
    left, top, right, bottom = breast.box
    scale = min(columns / (right - left), rows / (bottom - top))
    width = min(columns, max(1, round((right - left) * scale)))
    height = min(rows, max(1, round((bottom - top) * scale)))
    source_rows, source_columns = breast.mask.shape
    return Geometry(
        source_rows=source_rows,
        source_columns=source_columns,
        box=breast.box,
        rows=rows,
        columns=columns,
        top=(rows - height) // 2,
        height=height,
        width=width,
        mirrored=breast.chest_wall == "right",
    )


def _resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Scale with a triangle filter as wide as the step, so that fine detail is averaged and not skipped."""
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)


def _normalised(grey: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stretch the breast between its own percentiles, and bend it to the same median on every scanner.

    One monotone curve for the whole breast: local contrast keeps its sign and order.
    """
    inside = share > 0.5  # noqa: PLR2004 -- half of the pixel is breast
    # averages of breast alone, without the masked zeros
    breast = grey / np.maximum(share, np.float32(_SMALL))
    if not inside.any():
        return np.zeros_like(grey)
    low, middle, high = (float(level) for level in np.percentile(breast[inside], _PERCENTILES))
    if high <= low:
        return np.zeros_like(grey)
    stretched = np.clip((breast - low) / (high - low), 0, 1)
    median = min(max((middle - low) / (high - low), _SMALL), 1 - _SMALL)
    gamma = min(max(math.log(_MEDIAN) / math.log(median), _GAMMAS[0]), _GAMMAS[1])
    return np.asarray(np.power(stretched, gamma) * np.clip(share, 0, 1), np.float32)


def _weights(places: NDArray[np.float64], cells: int) -> NDArray[np.float32]:
    """Return the weights (places by cells) of a bilinear read-out at ``places``, in cells from the edge.

    Beyond the centre of the outermost cell its value goes on, falling by a thousandth: a plateau there would
    have no single highest point.
    """
    centres = np.clip(places - 0.5, 0, cells - 1)
    first = np.minimum(centres.astype(np.int64), max(cells - 2, 0))
    part = centres - first
    beyond = np.abs(places - 0.5 - centres)
    weights = np.zeros((len(places), cells), np.float32)
    line = np.arange(len(places))
    weights[line, first] = (1 - part) * (1 - _EDGE_FALL * beyond)
    if cells > 1:
        weights[line, first + 1] = part * (1 - _EDGE_FALL * beyond)
    return weights
