"""The white frame of a scanned film: lines, strips and rims along the borders, which are no tissue."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_FRAME_LEVEL: Final = 0.8
"""Grey from which a pixel of a border line counts as that of a frame."""
_STRIP_LEVEL: Final = 0.93
"""The same for a strip, which need not reach along the whole border: higher, so that no tissue counts."""
_FRAME_SHARE: Final = 0.9
"""Share of a border line that must be bright; a whole line would be broken by any label in the frame."""
_STRIP_LENGTH: Final = 0.25
"""Of the longest side: what is shorter is no frame, and `breast` cuts it off where it is thin."""
_RIM_DEPTH: Final = 0.04
"""Widest rim of a film looked for, in longest sides: wider frames are found as lines and strips."""
_RIM_LEVEL: Final = 0.85
"""Film that was never in the light is white to the scanner; the working copy mixes its edge with tissue."""
_RIM_STEP: Final = 0.12
"""Fall of grey across a rim's edge, within two pixels: a muscle's edge is not as sharp as that for long."""
_RIM_LENGTH: Final = 0.08
"""Shortest rim, in longest sides; so long, the end of a muscle does not run along a border."""
_RIM_GAP: Final = 0.02
"""Half of the longest gap in a rim, in longest sides: what lies behind is as white as the rim there."""
_RIM_SLANT: Final = 0.05
"""Steepest course of a rim towards its border; a white muscle runs out into the border at 0.15 or more."""
_RIM_SHARE: Final = 0.25
"""From this share of a side's lines on, all of it has a rim, also where a white muscle hides its edge."""

Flags = NDArray[np.bool_]
Values = NDArray[np.float32]


def find(small: Values) -> Flags:
    """Mark white frames: border lines bright over most of their length, and thin white strips at a border."""
    bright = small > _FRAME_LEVEL
    frame = _thin_strips(small > _STRIP_LEVEL)
    for axis in (0, 1):
        lines = bright.mean(axis=1 - axis) > _FRAME_SHARE
        lead = int(np.argmin(lines[: len(lines) // 5])) if lines[0] else 0
        tail = int(np.argmin(lines[::-1][: len(lines) // 5])) if lines[-1] else 0
        view = frame if axis == 0 else frame.T
        view[:lead] = True
        view[len(lines) - tail :] = True
    for turn in range(4):
        np.rot90(frame, turn)[:] |= _rim(np.rot90(small, turn))
    return frame


def _rim(small: Values) -> Flags:
    """Mark a film's rim along the left border: a strip that ends in a step, as straight as the border."""
    longest = max(small.shape)
    gap = max(1, round(_RIM_GAP * longest))
    depth = _rim_depths(small, max(2, round(_RIM_DEPTH * longest)))
    possible = depth != 0
    depth = _straight(np.maximum(depth, 0), gap)
    closed = ndimage.binary_closing(np.pad(depth > 0, gap), np.ones(2 * gap + 1, bool))[gap:-gap]
    runs, count = ndimage.label(closed)
    lengths = ndimage.sum_labels(depth > 0, runs, np.arange(count + 1))
    rimmed = closed & (lengths[runs] >= _RIM_LENGTH * longest)
    stepped = rimmed & (depth > 0)
    if not stepped.any():
        return np.zeros(small.shape, bool)
    rimmed = ndimage.binary_propagation(rimmed, mask=rimmed | possible)  # behind a muscle, around a bend
    if stepped.mean() >= _RIM_SHARE:
        rimmed[:] = True
    edge = ndimage.maximum_filter1d(_bridged(depth, stepped, gap), 5)
    edge += 1  # the pixel beyond the step is a mixture of rim and tissue
    return np.asarray((np.arange(small.shape[1]) < edge[:, None]) & rimmed[:, None])


def _straight(depth: NDArray[np.intp], gap: int) -> NDArray[np.intp]:
    """Return ``depth`` with zeros where the edge does not run along the border."""
    if not depth.any():
        return depth
    edge = np.pad(_bridged(depth, depth > 0, gap), gap, mode="edge")
    lean = np.abs(edge[2 * gap :] - edge[: -2 * gap])
    return np.where(lean <= _RIM_SLANT * 2 * gap + 1, depth, 0)  # a whole pixel is the grid's own unevenness


def _bridged(depth: NDArray[np.intp], stepped: Flags, gap: int) -> NDArray[np.float64]:
    """Return ``depth`` where it is ``stepped``, straight lines between, and no outliers."""
    lines = np.arange(len(depth))
    return np.asarray(ndimage.median_filter(np.interp(lines, lines[stepped], depth[stepped]), gap | 1))


def _rim_depths(small: Values, deepest: int) -> NDArray[np.intp]:
    """Return for each line how many pixels at its left end are rim: 0 is none, -1 is hidden by a muscle."""
    ends = small[:, : deepest + 2]
    if ends.shape[1] < deepest + 2:
        return np.zeros(len(small), np.intp)
    lines = np.arange(len(ends))
    places = np.arange(deepest)
    white = ends[:, :deepest] > _RIM_LEVEL
    start = white.argmax(axis=1)
    after = ~white & (places > start[:, None])
    end = np.where(after.any(axis=1), after.argmax(axis=1), 0)
    step = ends[lines, (start + end) // 2] - np.minimum(ends[lines, end], ends[lines, end + 1])
    wide = white.any(axis=1) & (end > 0) & (step >= _RIM_STEP)
    thin = ends[:, :2].max(axis=1) - ends[:, 2:4].max(axis=1) >= _RIM_STEP
    covered = white.any(axis=1) & ~after.any(axis=1)
    return np.where(covered, -1, np.where(wide, end, np.where(thin, ends[:, :2].argmax(axis=1) + 1, 0)))


def _thin_strips(white: Flags) -> Flags:
    """Mark what is white, near a border, long, and nowhere as wide as a muscle: a frame scanned askew."""
    radius = max(1, max(white.shape) // 100)
    edge = np.ones(white.shape, bool)
    edge[2 * radius + 1 : -2 * radius - 1, 2 * radius + 1 : -2 * radius - 1] = False
    pieces, _ = ndimage.label(white & edge)
    inner = set(np.unique(pieces[opened(white, radius)]).tolist())
    strips = [
        number
        for number, place in enumerate(ndimage.find_objects(pieces), 1)
        if number not in inner
        and max(part.stop - part.start for part in place) > _STRIP_LENGTH * max(white.shape)
    ]
    return np.isin(pieces, strips)


def opened(flags: Flags, radius: int) -> Flags:
    """Remove what a square of 2 ``radius`` + 1 does not fit into; beyond the borders lies background."""
    core = ndimage.minimum_filter(flags.view(np.uint8), 2 * radius + 1, mode="constant")
    return np.asarray(ndimage.maximum_filter(core, 2 * radius + 1, mode="constant")).view(np.bool_)
