"""Where the network looked: the hottest area of its map, as an ellipse in the source's pixels.

The map is smooth (a coarse grid, interpolated), so area and moments are taken on every n-th row and column
and brought back exactly; the peak is found on every pixel. The ellipse as a closed line is the same in the
report and on the heatmap.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.findings import Point, Region

THRESHOLD: Final = 0.5
"""The area is where the map reaches this share of its maximum: kept since version 1.0, no measurement on
record."""
SEGMENTS: Final = 60
"""61 points with the closing one: smooth to the eye, and within the 64 that viewers are known to take."""
_GRID: Final = 1024
"""Longest side of the grid on which area and moments are taken: kept since version 1.0, no measurement on
record. One cell of the shipped network's map is some 40 steps wide."""
_FLAT: Final = 0.01
"""A map that varies less than this share of its maximum over the breast points nowhere: kept since version
1.0, no measurement on record."""

Activations = NDArray[np.float32]
Flags = NDArray[np.bool_]


def locate(map_on_source: Activations, breast_mask: Flags) -> tuple[Point, Region | None]:
    """Find the map's peak, and the region around the largest hot area, both within the breast.

    Parameters
    ----------
    map_on_source
        Rows by columns of the source, not negative, in any unit.
    breast_mask
        Rows by columns of the source, true on breast, somewhere true.

    Returns
    -------
    tuple[Point, Region | None]
        The centre of the hottest pixel and the region. Of a map that is zero or flat within the breast: the
        breast's centre and None.
    """
    heat = np.where(breast_mask, map_on_source, np.float32(0))
    highest = float(heat.max(initial=0))
    step = max(1, -(-max(heat.shape) // _GRID))
    coarse, inside = heat[::step, ::step], breast_mask[::step, ::step]
    if not _varies(coarse[inside], highest):
        return _centre_of(breast_mask, step), None
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    peak = (float(column) + 0.5, float(row) + 0.5)
    if coarse.max() < THRESHOLD * highest:  # smaller than the grid's step
        coarse, step = heat, 1
    return peak, _region(coarse, highest, step, heat.shape)


def closed_line(region: Region, *, rows: int, columns: int) -> list[Point]:
    """Return the ellipse of ``region`` as a line that ends where it began (PS3.3 C.18.6.1.2, POLYLINE).

    Points are columns and rows of the source, rounded to half pixels, inside ``0..columns`` and ``0..rows``.
    """
    major, minor = (_half_axis(region, first, last) for first, last in ((0, 1), (2, 3)))
    turns = [2 * math.pi * step / SEGMENTS for step in range(SEGMENTS)]
    line = [
        (
            _inside(region.center[0] + major[0] * math.cos(turn) + minor[0] * math.sin(turn), columns),
            _inside(region.center[1] + major[1] * math.cos(turn) + minor[1] * math.sin(turn), rows),
        )
        for turn in turns
    ]
    return [*line, line[0]]


def _varies(values: Activations, highest: float) -> bool:
    """Whether the map says anything: finite, above zero, and not the same everywhere."""
    return bool(0 < highest < np.inf and values.size and values.min() < (1 - _FLAT) * highest)


def _centre_of(mask: Flags, step: int) -> Point:
    rows, columns = np.nonzero(mask[::step, ::step])
    if not rows.size:
        return mask.shape[1] / 2, mask.shape[0] / 2
    return float(columns.mean() + 0.5) * step, float(rows.mean() + 0.5) * step


def _region(coarse: Activations, highest: float, step: int, shape: tuple[int, ...]) -> Region:
    pieces, _ = ndimage.label(coarse >= THRESHOLD * highest)
    largest = int(np.bincount(pieces.ravel())[1:].argmax()) + 1
    rows, columns = np.nonzero(pieces == largest)
    x, y = columns * float(step) + 0.5, rows * float(step) + 0.5
    across, down = _second_moments(x, y, step)
    centre = (float(x.mean()), float(y.mean()))
    limits = (shape[1], shape[0])
    return Region(
        center=_rounded(centre, limits),
        ellipse=(
            _end(centre, across, -1, limits),
            _end(centre, across, 1, limits),
            _end(centre, down, -1, limits),
            _end(centre, down, 1, limits),
        ),
        mean_activation=float(coarse[pieces == largest].mean()) / highest,
    )


def _second_moments(
    x: NDArray[np.floating], y: NDArray[np.floating], step: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the half axes (two standard deviations) of the area, the longer first."""
    spread = step * step / 12  # of one grid cell itself, so that a line or a point has an extent too
    covariance = np.array(
        [
            [x.var() + spread, np.mean((x - x.mean()) * (y - y.mean()))],
            [0, y.var() + spread],
        ]
    )
    variances, axes = np.linalg.eigh(covariance, UPLO="U")
    minor, major = (2 * np.sqrt(variance) * axis for variance, axis in zip(variances, axes.T, strict=True))
    return (float(major[0]), float(major[1])), (float(minor[0]), float(minor[1]))


def _end(centre: Point, half_axis: Point, sign: int, limits: Point) -> Point:
    return _rounded((centre[0] + sign * half_axis[0], centre[1] + sign * half_axis[1]), limits)


def _rounded(point: Point, limits: Point) -> Point:
    """Round to half pixels and keep within the image (PS3.3 C.18.6.1)."""
    column, row = (
        min(max(round(value * 2) / 2, 0.0), float(limit)) for value, limit in zip(point, limits, strict=True)
    )
    return column, row


def _half_axis(region: Region, first: int, last: int) -> Point:
    """Return the longer half of an axis: the other one may have been cut at the image's border."""
    halves = [
        (
            sign * (region.ellipse[end][0] - region.center[0]),
            sign * (region.ellipse[end][1] - region.center[1]),
        )
        for end, sign in ((first, -1), (last, 1))
    ]
    return max(halves, key=lambda half: math.hypot(*half))


def _inside(position: float, limit: int) -> float:
    return min(max(round(2 * position) / 2, 0.0), float(limit))
