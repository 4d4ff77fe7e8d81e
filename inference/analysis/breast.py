"""Where the breast is: tissue against background, without frames, labels and padding.

All decisions are taken on a small copy of the image (longest side `GRID`), so that a 14-megapixel mammogram
costs little more than a thumbnail; the outline is then brought back to the source's pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from inference.analysis import film_frames, trimming
from inference.analysis.film_frames import Flags, Values, opened
from inference.errors import Failed
from inference.findings import ChestWall
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
_SATURATED_SHARE: Final = 0.6
"""Of the breast that is plain white: beyond it the picture is overexposed."""

_EXAMINED: Final = 1_500_000
"""Pixels that are compared with their neighbours: lines evenly spread over the picture."""
_MOST_JUMPS: Final = 0.01
"""Share of `jumps` beyond which values have wrapped around. By ``bench/brightness_jumps.py`` it is 0.0023 at
most in 129 pictures of six sources; without their four upper bits at least 0.023, without two 0.002 on."""
_MOST_EDGES: Final = 6
"""Edges in a line that are no fault however few its pixels are: those of a frame, a label and the breast."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Breast:
    """The breast in one image."""

    mask: NDArray[np.bool_]
    """Rows by columns of the source, true on breast (with the pectoral muscle and the axilla)."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom (the last two exclusive) of the mask in pixels of the source."""
    chest_wall: ChestWall


def find(picture: Picture) -> Breast:
    """Find the breast in ``picture``.

    Raises
    ------
    Failed
        The image is blank, saturated or shows no breast.
    """
    small, hidden = _working_copy(picture)
    _check_contrast(small, hidden)
    tissue = _tissue(np.where(hidden, 0, small), film_frames.find(small)) & ~hidden
    outline = trimming.without_legs(trimming.without_abdomen(_breast_of(tissue, small)))
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


def jumps(grey: Values) -> Flags:
    """Return where neighbours in a line are further apart than half of the scale: lines by pairs."""
    lines = grey[:: max(1, grey.size // _EXAMINED)]
    low, high = np.percentile(lines, (0.1, 99.9))  # not the extremes: one dead pixel must not set the scale
    apart: Flags = np.abs(np.diff(lines, axis=1)) > max((high - low) / 2, np.finfo(np.float32).tiny)
    return apart


def _check_jumps(grey: Values) -> None:
    """Raise Failed where brightness jumps all over the picture: its values have wrapped around."""
    mask = jumps(grey)
    rows, pairs = mask.shape
    if np.count_nonzero(mask) > rows * max(_MOST_JUMPS * pairs, _MOST_EDGES):
        raise Failed("image quality not sufficient: brightness jumps from one end of the scale to the other")


def _check_contrast(small: Values, hidden: Flags) -> None:
    visible = small[~hidden]
    if not visible.size:
        raise Failed("image quality not sufficient: the whole image is marked as padding")
    low, high = np.percentile(visible, (0.5, 99.5))  # as `_LEAST_CONTRAST` says
    if high - low < _LEAST_CONTRAST:
        raise Failed("image quality not sufficient: the image is blank, all of it has nearly one brightness")


def _check_ends(values: Values) -> None:
    """Raise Failed where one end of the scale is background, and most of the rest lies at the other end."""
    black, white = float(np.mean(values <= _PLAIN_BLACK)), float(np.mean(values >= _PLAIN_WHITE))
    background, opposite = max(black, white), min(black, white)
    if opposite > _LEAST_OPPOSITE and opposite > (1 - background) / 2:
        raise Failed("image quality not sufficient: nearly all of it is plain black or plain white")


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
    counts, edges = np.histogram(values, 128)  # as fine as a threshold of background needs
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
    solid = opened(tissue, radius)
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


def _filled(flags: Flags) -> Flags:
    """Fill holes: background that does not reach the border."""
    background, _ = ndimage.label(np.pad(~flags, 1, constant_values=True))
    return np.asarray(background[1:-1, 1:-1] != background[0, 0])


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


def _chest_wall(outline: Flags, small: Values) -> ChestWall:
    """Return the side on which the breast ends in a straight cut; if both do, in brighter tissue."""
    left, top, right, bottom = _box(outline)
    light = np.where(outline, small, 0)[top:bottom, left:right]
    band = max(1, light.shape[1] // 10)
    return "left" if light[:, :band].sum() >= light[:, -band:].sum() else "right"
