"""Where the network looked: the hot spots of its map, each as an ellipse.

The map is smooth (a coarse grid, interpolated), so area and moments are taken on every n-th row and column
and brought back exactly; the peak is found on every pixel. A spot that lies on the breast's outline is none:
networks are drawn to that edge, and a mark on skin and air tells a radiologist nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.analysis.breast import Breast
from inference.findings import Landmarks, Point, Region, Trace

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

_TIP: Final = 0.01
"""Share of the breast's depth within which its outline counts as the tip."""
_BORDER: Final = 0.025
"""Width of the strip along the breast's outline, in units of the breast's longer side, in which the centre of
gravity of a spot must not lie: 3 to 6 mm, skin and the fat below it. Half a cell of the network's map."""
_BORDER_GRID: Final = 256
"""Longest side of the grid on which that strip is found: it is six of its cells wide."""

Activations = NDArray[np.float32]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int32]
Pixels = tuple[NDArray[np.intp], NDArray[np.intp]]
Place = tuple[slice, slice]


def locate(heat: Activations, breast_mask: Flags, corner: tuple[int, int] = (0, 0)) -> Trace:
    """Find the peak of a map of the breast, its hot spots and their regions.

    Parameters
    ----------
    heat
        Rows by columns of the source or of a part of it with the whole breast, not negative, zero outside the
        breast, in any unit.
    breast_mask
        Rows by columns of the source, true on breast, somewhere true.
    corner
        Column and row of the source at the top left of ``heat``.

    Returns
    -------
    Trace
        Its peak is the centre of the hottest pixel. Of a map that is zero or flat within the breast the peak
        is the breast's centre, and there are no spots.
    """
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    highest = float(heat[row, column])
    shape = breast_mask.shape
    step = max(1, -(-max(shape) // _GRID))
    coarse, inside = _sampled(heat, corner, shape, step), breast_mask[::step, ::step]
    if not _varies(coarse[inside], highest):
        return Trace(peak=_centre_of(breast_mask, step), regions=(), spots=(), at_the_border=0)
    if coarse.max() < THRESHOLD * highest:  # smaller than the grid's step
        coarse, inside, step = _sampled(heat, corner, shape, 1), breast_mask, 1
    pieces, count = ndimage.label(coarse >= THRESHOLD * highest)
    core = _core(inside)
    rows, columns = np.nonzero(pieces)  # a small part of the grid: all that follows is about these pixels
    numbers, values = pieces[rows, columns], coarse[rows, columns]
    masses, *moments = (
        np.bincount(numbers, weights, count + 1) for weights in (values, values * rows, values * columns)
    )
    counting = [
        number
        for number in range(1, count + 1)
        if _within((moments[0][number] / masses[number], moments[1][number] / masses[number]), core)
    ]
    areas = np.bincount(numbers)
    counting.sort(key=lambda number: -areas[number])
    places = ndimage.find_objects(pieces)
    return Trace(
        peak=(float(column) + corner[0] + 0.5, float(row) + corner[1] + 0.5),
        regions=tuple(
            _region(coarse, _pixels(pieces, places[number - 1], number), highest, step, shape)
            for number in counting
        ),
        spots=tuple(
            (float(x) * step + 0.5, float(y) * step + 0.5)
            for y, x in _hottest(coarse, pieces, counting, places)
        ),
        at_the_border=count - len(counting),
    )


def landmarks(breast: Breast) -> Landmarks:
    """Find what places in two views of a breast are compared by.

    The nipple is taken for the point of the breast that is farthest from the chest wall: the middle of the
    rows that come within a hundredth of it.
    """
    left, _, right, _ = breast.box
    slack = max(1, round(_TIP * (right - left)))
    at_left = breast.chest_wall == "left"
    tip = breast.mask[:, right - slack : right] if at_left else breast.mask[:, left : left + slack]
    rows = np.flatnonzero(tip.any(axis=1))
    nipple = (float(right if at_left else left), float(np.median(rows)) + 0.5)
    return Landmarks(chest_wall=breast.chest_wall, nipple=nipple, depth=float(right - left))


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


def _sampled(heat: Activations, corner: tuple[int, int], shape: tuple[int, ...], step: int) -> Activations:
    """Return every ``step``-th row and column of a map of that ``shape``, zero but for ``heat``."""
    left, top = corner
    sampled = np.zeros([-(-length // step) for length in shape], np.float32)
    part = heat[-top % step :: step, -left % step :: step]
    first, along = -(-top // step), -(-left // step)
    sampled[first : first + len(part), along : along + part.shape[1]] = part
    return sampled


def _varies(values: Activations, highest: float) -> bool:
    """Whether the map says anything: finite, above zero, and not the same everywhere."""
    return bool(0 < highest < np.inf and values.size and values.min() < (1 - _FLAT) * highest)


def _centre_of(mask: Flags, step: int) -> Point:
    rows, columns = np.nonzero(mask[::step, ::step])
    if not rows.size:
        return mask.shape[1] / 2, mask.shape[0] / 2
    return float(columns.mean() + 0.5) * step, float(rows.mean() + 0.5) * step


def _core(inside: Flags) -> Flags:
    """Return the breast without the strip along its outline, on a coarser grid.

    Where the breast is cut by the picture's border it goes on beyond it: there is no outline.
    """
    step = max(1, max(inside.shape) // _BORDER_GRID)
    small = inside[::step, ::step]
    extent = max(int(np.ptp(indices)) + 1 for indices in np.nonzero(small))
    radius = max(1, round(_BORDER * extent))
    core = ndimage.minimum_filter(small.view(np.uint8), 2 * radius + 1, mode="nearest")
    return np.repeat(np.repeat(core.astype(bool), step, axis=0), step, axis=1)


def _within(place: tuple[float, float], core: Flags) -> bool:
    row, column = (min(int(value), length - 1) for value, length in zip(place, core.shape, strict=True))
    return bool(core[row, column])


def _pixels(pieces: Numbers, place: Place, number: int) -> Pixels:
    """Return rows and columns of the piece with this ``number``, which lies in ``place``."""
    rows, columns = np.nonzero(pieces[place] == number)
    return rows + place[0].start, columns + place[1].start


def _hottest(
    coarse: Activations, pieces: Numbers, numbers: Sequence[int], places: Sequence[Place]
) -> list[tuple[int, int]]:
    """Return row and column of the hottest pixel of each of the pieces with these ``numbers``."""
    peaks = []
    for number in numbers:
        rows, columns = _pixels(pieces, places[number - 1], number)
        values = coarse[rows, columns]
        (highest,) = np.nonzero(values == values.max())
        if len(highest) > 1:  # which of them it is, SciPy's sorting has always decided
            return list(ndimage.maximum_position(coarse, pieces, numbers))
        peaks.append((int(rows[highest[0]]), int(columns[highest[0]])))
    return peaks


def _region(coarse: Activations, pixels: Pixels, highest: float, step: int, shape: tuple[int, ...]) -> Region:
    rows, columns = pixels
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
        mean_activation=float(coarse[rows, columns].mean()) / highest,
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
