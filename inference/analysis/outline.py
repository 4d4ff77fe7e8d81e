"""The outline of a region as a closed line: the same in the report and on the heatmap."""

from __future__ import annotations

import math
from typing import Final

from inference.findings import Point, Region

SEGMENTS: Final = 60
"""61 points with the closing one: smooth to the eye, and within the 64 that viewers are known to take."""


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
