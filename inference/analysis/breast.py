"""Where the breast is: tissue against background, without frames, labels and padding.

All decisions are taken on a small copy of the image (longest side `GRID`), so that a 14-megapixel mammogram
costs little more than a thumbnail; the outline is then brought back to the source's pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from inference.errors import Failed
from inference.reading.pixels import Picture

GRID: Final = 320
"""Longest side of the working copy in pixels: an outline is good to about a 300th of the image's height."""

# All but the ends of the scale: kept since version 1.0, or chosen with the masks of breast-crop-2 by eye; no
# measurement on record. The shipped weights were trained on the masks before them (docs/model.md).
_PLAIN_BLACK: Final = 0.002
_PLAIN_WHITE: Final = 0.998
"""Ends of the scale; a mammogram has its breast between them."""
_LEAST_OPPOSITE: Final = 0.05
"""Share of the picture that a frame or a label may have, and that is no reason to refuse it."""
_LEAST_CONTRAST: Final = 0.02
"""Of the full scale, between the 0.5th and the 99.5th percentile: with less, all is one brightness."""
_LEAST_AREA: Final = 0.03
"""Share of the picture; a smaller piece is no breast that fills a detector."""
_MOST_AREA: Final = 0.985
"""Share of the picture: beyond it there is no background from which a breast could be told."""
_WHITE: Final = 0.97
"""Grey from which a pixel counts as plain white: of a plate, a strip or an exposure that is lost."""
_FRAME_LEVEL: Final = 0.8
"""Grey from which a pixel of a border line counts as that of a frame."""
_STRIP_LEVEL: Final = 0.93
"""The same for a strip, which need not reach along the whole border: higher, so that no tissue counts."""
_FRAME_SHARE: Final = 0.9
"""Share of a border line that must be bright; a whole line would be broken by any label in the frame."""
_STRIP_LENGTH: Final = 0.25
"""Of the longest side: what is shorter is no frame, and `_breast_of` cuts it off where it is thin."""
_LEG_WIDTH: Final = 0.15
"""Of the breast's greatest width: narrower rows above and below it are a leg."""
_LEG_LENGTH: Final = 0.04
"""Of the picture's height: a shorter narrow run is the rounded end of the breast, and stays."""
_SATURATED_SHARE: Final = 0.6
"""Of the breast that is plain white: beyond it the picture is overexposed."""

_EXAMINED: Final = 1_500_000
"""Pixels that are compared with their neighbours: lines evenly spread over the picture."""
_MOST_JUMPS: Final = 0.01
"""Share of neighbours further apart than half of the scale: in 125 pictures of five sources, films with
frames and labels among them, it was 0.0028 at most, in pictures whose values wrap around 0.03 to 0.09."""
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

_FOLD_DEPTH: Final = 0.06
"""How far the outline recedes at the fold under the breast behind a line from breast to belly, in widths."""
_FOLD_WIDTH: Final = 0.45
"""Widest outline at that fold, in widths of the breast: higher up, an outline bends by itself."""
_BELLY_SHARE: Final = 0.2
"""Largest share of the outline below the fold: a breast under a plate or an arm is no belly."""

Flags = NDArray[np.bool_]
Values = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Breast:
    """The breast in one image."""

    mask: NDArray[np.bool_]
    """Rows by columns of the source, true on breast (with the pectoral muscle and the axilla)."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom (the last two exclusive) of the mask in pixels of the source."""
    chest_wall: Literal["left", "right"]
    """Side of the picture on which the chest wall lies."""


def find(picture: Picture) -> Breast:
    """Find the breast in ``picture``.

    Raises
    ------
    Failed
        The image is blank, saturated or shows no breast.
    """
    small, hidden = _working_copy(picture)
    _check_contrast(small, hidden)
    tissue = _tissue(np.where(hidden, 0, small), _frames(small)) & ~hidden
    outline = _without_legs(_without_abdomen(_breast_of(tissue, small)))
    _check_exposure(small, outline)
    _check_ends(small[~hidden])
    _check_jumps(picture.grey)
    mask = _at_size(outline, picture.grey.shape)
    if picture.padding is not None:
        mask &= ~picture.padding
    return Breast(mask=mask, box=_box(mask), chest_wall=_chest_wall(outline, small))


def _working_copy(picture: Picture) -> tuple[Values, Flags]:
    """Return grey values and padding on a grid whose longest side is at most `GRID`."""
    rows, columns = picture.grey.shape
    step = max(rows, columns) / GRID
    size = (max(1, round(columns / step)), max(1, round(rows / step))) if step > 1 else (columns, rows)
    small = np.asarray(Image.fromarray(picture.grey).resize(size, Image.Resampling.BOX))
    if picture.padding is None:
        return small, np.zeros(small.shape, bool)
    padding = Image.fromarray(picture.padding.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    return small, np.asarray(padding) > 127  # noqa: PLR2004 -- half of 255


def _check_jumps(grey: Values) -> None:
    """Raise Failed where brightness jumps all over the picture: its values have wrapped around."""
    lines = grey[:: max(1, grey.size // _EXAMINED)]
    low, high = np.percentile(lines, (0.1, 99.9))
    apart = np.abs(np.diff(lines, axis=1)) > (high - low) / 2
    if high > low and np.count_nonzero(apart) > _MOST_JUMPS * apart.size:
        raise Failed("image quality not sufficient: brightness jumps from one end of the scale to the other")


def _check_contrast(small: Values, hidden: Flags) -> None:
    visible = small[~hidden]
    if not visible.size:
        raise Failed("image quality not sufficient: the whole image is marked as padding")
    low, high = np.percentile(visible, (0.5, 99.5))
    if high - low < _LEAST_CONTRAST:
        raise Failed("image quality not sufficient: the image is blank, all of it has nearly one brightness")


def _check_ends(values: Values) -> None:
    """Raise Failed where one end of the scale is background, and most of the rest lies at the other end."""
    black, white = float(np.mean(values <= _PLAIN_BLACK)), float(np.mean(values >= _PLAIN_WHITE))
    background, opposite = max(black, white), min(black, white)
    if opposite > _LEAST_OPPOSITE and opposite > (1 - background) / 2:
        raise Failed("image quality not sufficient: nearly all of it is plain black or plain white")


def _frames(small: Values) -> Flags:
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
    seen = rimmed & (depth > 0)
    if not seen.any():
        return np.zeros(small.shape, bool)
    rimmed = ndimage.binary_propagation(rimmed, mask=rimmed | possible)  # behind a muscle, around a bend
    if seen.mean() >= _RIM_SHARE:
        rimmed[:] = True
    edge = ndimage.maximum_filter1d(_bridged(depth, seen, gap), 5)
    edge += 1  # the pixel beyond the step is a mixture of rim and tissue
    return np.asarray((np.arange(small.shape[1]) < edge[:, None]) & rimmed[:, None])


def _straight(depth: NDArray[np.intp], gap: int) -> NDArray[np.intp]:
    """Return ``depth`` with zeros where the edge does not run along the border."""
    if not depth.any():
        return depth
    edge = np.pad(_bridged(depth, depth > 0, gap), gap, mode="edge")
    lean = np.abs(edge[2 * gap :] - edge[: -2 * gap])
    return np.where(lean <= _RIM_SLANT * 2 * gap + 1, depth, 0)  # a whole pixel is the grid's own unevenness


def _bridged(depth: NDArray[np.intp], seen: Flags, gap: int) -> NDArray[np.float64]:
    """Return ``depth`` where it is ``seen``, straight lines between, and no outliers."""
    lines = np.arange(len(depth))
    return np.asarray(ndimage.median_filter(np.interp(lines, lines[seen], depth[seen]), gap | 1))


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
    inner = set(np.unique(pieces[_opened(white, radius)]).tolist())
    strips = [
        number
        for number, place in enumerate(ndimage.find_objects(pieces), 1)
        if number not in inner
        and max(part.stop - part.start for part in place) > _STRIP_LENGTH * max(white.shape)
    ]
    return np.isin(pieces, strips)


def _tissue(small: Values, hidden: Flags) -> Flags:
    """Mark what is brighter than the background."""
    # the square root spreads the dark values, between which background and skin lie
    smooth = ndimage.gaussian_filter(np.sqrt(np.clip(small, 0, 1)), 1.0)
    visible = smooth[~hidden]
    if not visible.size:
        raise Failed("no breast found: nothing but a white frame")
    dark, bright = _two_levels(visible)
    # 0.3, below the middle: skin and fat at the rim are darker than the typical tissue
    return np.asarray((smooth > dark + 0.3 * (bright - dark)) & ~hidden)


def _two_levels(values: Values) -> tuple[float, float]:
    """Return typical brightness of background and tissue, parted by Otsu's threshold."""
    counts, edges = np.histogram(values, 128)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[-1] * below / below[-1] - sums) ** 2 / (below * above)
    threshold = edges[1:][int(np.nanargmax(np.where(above > 0, between, np.nan)))]
    return float(np.percentile(values[values <= threshold], 75)), float(np.median(values[values > threshold]))


def _breast_of(tissue: Flags, small: Values) -> Flags:
    """Return the largest solid piece of ``tissue``, cut free from labels and thin lines, holes filled."""
    radius = max(2, round(max(tissue.shape) * 0.02))  # lines thinner than 4 % of the picture are cut off
    solid = _opened(tissue, radius)
    pieces, count = ndimage.label(solid)
    if not count:
        raise Failed("no breast found: nothing in the image is large and bright enough")
    numbers = np.arange(1, count + 1)
    areas = ndimage.sum_labels(solid, pieces, numbers)
    white = ndimage.sum_labels(small > _WHITE, pieces, numbers) / areas
    best = int(np.argmax(np.where(white > 0.9, areas * 0.05, areas)))  # noqa: PLR2004 -- a plate or a strip, not tissue
    core = pieces == numbers[best]
    outline = _filled(_grown(core, radius) & tissue | core)
    share = outline.mean()
    if share < _LEAST_AREA:
        raise Failed("no breast found: nothing in the image is large and bright enough")
    if share > _MOST_AREA:
        raise Failed("no breast found: the image has no dark background around a breast")
    return np.asarray(outline)


def _without_abdomen(outline: Flags) -> Flags:
    """Cut off what lies below the fold under the breast, where the outline turns to the belly."""
    widths = outline.sum(axis=1)
    rows = np.flatnonzero(widths)
    top, bottom = int(rows[0]), int(rows[-1])
    widest = top + (bottom - top) // 3  # above it lies the axilla, and what else is wide there is no breast
    widest += int(widths[widest : bottom + 1].argmax())
    below = widths[widest : bottom + 1]
    small = below[::-1].cumsum()[::-1] <= _BELLY_SHARE * widths.sum()
    recess = np.where(small & (below <= _FOLD_WIDTH * below[0]), _taut(below) - below, 0)
    fold = int(recess.argmax())
    kept = outline.copy()
    if recess[fold] >= _FOLD_DEPTH * below[0] and len(below) - fold >= _LEG_LENGTH * len(widths):
        kept[widest + fold :] = False
    return kept


def _taut(widths: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the least curve above ``widths`` that bends one way only, as a string pulled taut."""
    places = [0]
    for place in range(1, len(widths)):
        while len(places) > 1 and _bends_in(widths, places[-2], places[-1], place):
            places.pop()
        places.append(place)
    return np.interp(np.arange(len(widths)), places, widths[places])


def _bends_in(widths: NDArray[np.intp], first: int, middle: int, last: int) -> bool:
    rise, whole = widths[middle] - widths[first], widths[last] - widths[first]
    return bool(rise * (last - first) <= whole * (middle - first))


def _without_legs(outline: Flags) -> Flags:
    """Cut off narrow runs above and below the breast: fogged film edges and folds along the chest wall."""
    widths = outline.sum(axis=1)
    wide = np.flatnonzero(widths >= _LEG_WIDTH * widths.max())
    rows = np.flatnonzero(widths)
    least = _LEG_LENGTH * len(widths)
    kept = outline.copy()
    if wide[0] - rows[0] >= least:
        kept[: wide[0]] = False
    if rows[-1] - wide[-1] >= least:
        kept[wide[-1] + 1 :] = False
    return kept


def _filled(flags: Flags) -> Flags:
    """Fill holes: background that does not reach the border."""
    background, _ = ndimage.label(np.pad(~flags, 1, constant_values=True))
    return np.asarray(background[1:-1, 1:-1] != background[0, 0])


def _opened(flags: Flags, radius: int) -> Flags:
    """Remove what a square of 2 ``radius`` + 1 does not fit into; beyond the borders lies background."""
    core = ndimage.minimum_filter(flags.view(np.uint8), 2 * radius + 1, mode="constant")
    return np.asarray(ndimage.maximum_filter(core, 2 * radius + 1, mode="constant")).view(np.bool_)


def _grown(flags: Flags, radius: int) -> Flags:
    return np.asarray(ndimage.maximum_filter(flags.view(np.uint8), 2 * radius + 1)).view(np.bool_)


def _check_exposure(small: Values, outline: Flags) -> None:
    if (small[outline] > _WHITE).mean() > _SATURATED_SHARE:
        raise Failed("image quality not sufficient: most of the breast is saturated (plain white)")


def _at_size(flags: Flags, shape: tuple[int, ...]) -> Flags:
    """Bring a small mask back to rows by columns of the source, with a smooth outline."""
    rows, columns = shape
    if flags.shape == shape:
        return flags.copy()
    large = Image.fromarray(flags.astype(np.uint8) * 255).resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(large) > 127  # noqa: PLR2004 -- half of 255


def _box(mask: Flags) -> tuple[int, int, int, int]:
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if not columns.size:
        raise Failed("no breast found: nothing in the image is large and bright enough")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _chest_wall(outline: Flags, small: Values) -> Literal["left", "right"]:
    """Return the side on which the breast ends in a straight cut; if both do, in brighter tissue."""
    left, top, right, bottom = _box(outline)
    light = np.where(outline, small, 0)[top:bottom, left:right]
    band = max(1, light.shape[1] // 10)
    return "left" if light[:, :band].sum() >= light[:, -band:].sum() else "right"
