"""The outline of a place: a white line with a dark halo, drawn within the place.

What decides is how far a pixel lies from the place's border, and that is of interest only near the border. So
distances are worked out up to a limit, as whole numbers: their squares are exact, and cost a fifth of a
distance transform without limit.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

HALO: Final = 0.7
"""Of the line's width: as much is dark on each side of it, to be seen on dense and on fatty tissue."""

LARGEST_LIMIT: Final = 181
"""Pixels: the sum of two squares of such distances fits into 16 bits. The largest heatmap needs 80."""

_LINES: Final = 128
"""Rows that are computed at a time: what lies between fits into a cache."""

Flags = NDArray[np.bool_]


def draw(image: Image.Image, area: Flags, width: float) -> None:
    """Draw the border of ``area`` white with a dark halo, within the area: no mark lies on air beside it.

    ``width`` is the line's, in pixels of ``image``, which has the shape of ``area``.
    """
    box = Image.fromarray(area).getbbox()
    if box is None:
        return
    left, top, right, bottom = box
    halo = HALO * width
    limit = math.ceil(2 * halo + width + 0.5)  # deeper there is neither white nor dark
    squares = _squared_depth(_without_spikes(area[top:bottom, left:right], halo + width), limit)
    depth = np.sqrt(np.arange(limit * limit + 1))
    dark = np.clip(2 * halo + width - depth + 0.5, 0, 1) * (depth > 0)
    white = np.clip(np.minimum(depth - halo + 0.5, halo + width - depth + 0.5), 0, 1)
    for colour, cover in (((0, 0, 0), dark), ((255, 255, 255), white)):
        covers = np.round(255 * cover).astype(np.uint8)
        image.paste(colour, (left, top), Image.fromarray(np.take(covers, squares)))


def _without_spikes(area: Flags, radius: float) -> Flags:
    """Return ``area`` without what is thinner than two radii: there the outline would be a line on air.

    A marker on the nipple makes such a spike of the breast. A place that is thin as a whole stays.
    """
    limit = math.floor(radius) + 1
    core = _squared_depth(area, limit) > radius * radius
    opened = area & (squared_distance(~core, limit) <= radius * radius) if core.any() else core
    pieces, _ = ndimage.label(area)
    return opened | (area & ~np.isin(pieces, np.unique(pieces[opened])))


def _squared_depth(area: Flags, limit: int) -> NDArray[np.uint16]:
    """Return how far each pixel of ``area`` lies within it, squared, as `squared_distance` does."""
    # a pixel of background around: where the picture ends, the area has a border too
    return squared_distance(np.pad(area, 1), limit)[1:-1, 1:-1]


def squared_distance(flags: Flags, limit: int) -> NDArray[np.uint16]:
    """Return the square of how far the nearest false pixel is from each pixel: 0 where that is itself.

    What is ``limit`` or farther away gets the square of ``limit``. It is worked out down the columns, then
    along the rows (Felzenszwalb and Huttenlocher 2012), there by trying each distance. Raises ValueError
    where ``limit`` is more than `LARGEST_LIMIT`.
    """
    if limit > LARGEST_LIMIT:
        raise ValueError(f"distances are worked out up to {LARGEST_LIMIT} pixels, not to {limit}")
    down = _down(flags, limit)
    nearest = np.empty(flags.shape, np.uint16)
    for start in range(0, len(flags), _LINES):
        lines = slice(start, start + _LINES)
        squares, rows = down[lines] ** 2, nearest[lines]
        rows[:] = squares
        beside = np.empty_like(squares)
        for away in range(1, min(limit, flags.shape[1])):
            np.add(squares, np.uint16(away * away), out=beside)
            np.minimum(rows[:, away:], beside[:, :-away], out=rows[:, away:])
            np.minimum(rows[:, :-away], beside[:, away:], out=rows[:, :-away])
    return nearest


def _down(flags: Flags, limit: int) -> NDArray[np.uint16]:
    """Return how far the nearest false pixel of its column is from each pixel, ``limit`` at most."""
    nearest = np.where(flags, np.uint16(limit), np.uint16(0))
    step = 1
    while step < min(limit, len(flags)):  # what is known up to a distance is known up to twice that then
        for before, after in ((nearest[:-step], nearest[step:]), (nearest[step:], nearest[:-step])):
            np.minimum(after, before + np.uint16(step), out=after)
        step *= 2
    return nearest
