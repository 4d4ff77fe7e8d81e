"""The picture that a radiologist surely sees: the breast as it is, the same with the map, and a legend below.

Both stand in one frame, side by side: every viewer shows a single RGB frame, while a second frame needs
another SOP class, is not in the thumbnail and is seen only by who scrolls. The map lies on the side of the
chest wall, so that pictures of both breasts hang back to back, map at map. Nothing is written over tissue.

A breast without a region stands alone: its legend is beside it, where the picture would be black.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from inference.decision import Analysed
from inference.heatmap import colormap, legend, outline
from inference.heatmap.layers import TALLEST, Layers
from inference.heatmap.legend import Strip
from inference.heatmap.outline import Flags
from inference.heatmap.text import Fonts

_OPAQUE_AT_MOST: Final = 0.45
"""Even under the hottest colour more than half of what is seen is the mammogram."""
_SHOWN_FROM: Final = 0.15
"""Share of the map's maximum below which nothing is coloured: a faint veil would hide tissue for nothing."""
_FULL_FROM: Final = 0.75
"""Share from which the colour is as opaque as it gets; between the two opacity grows evenly, without edges.

The outline marks half of the maximum, so that colour is seen on both sides of it.
"""
_HALF: Final = 127
"""Half of the maximum as `Layers.level` rounds it."""
_THINNEST_LINE: Final = 2.0
"""Pixels: one pixel would break where the outline runs aslant and a viewer shrinks the picture."""
_LINE: Final = 4.0
"""Pixels of an outline on a picture of 2048: seen at a glance and hiding no cluster."""
_GAP: Final = 16
"""Pixels between the two pictures, on a picture of 2048."""
_NARROWEST: Final = 1500
"""Pixels of 2048: on less, the line of the flag would not fit in its size."""
_BESIDE: Final = 1000
"""Pixels of 2048 for a legend beside the breast, which takes the other half: the flag stands on two lines."""
_AIR: Final = (0, 0, 0)


def render(
    layers: Layers, finding: Analysed, *, caption: str, signature: str, longest: int
) -> NDArray[np.uint8]:
    """Return the heatmap as height by width by 3, legend included.

    The map of the explained class is shown only where ``finding`` has a region. ``caption`` names side and
    view, ``signature`` who says all this. No side of the result is longer than ``longest``. A breast that is
    smaller than its legend would be is enlarged by a whole number, each pixel to a square: nothing is shown
    that its source does not have.
    """
    fonts = Fonts()
    layers = layers.enlarged(_enlargement(layers, longest))
    height, width = layers.grey.shape
    unit = max(legend.LEAST_UNIT, 2 * width / legend.WHOLE, height / TALLEST / legend.WHOLE)
    gap = round(_GAP * unit)
    plain = Image.fromarray(layers.grey).convert("RGB")

    def strip(strip_width: int) -> Strip:
        return legend.strip(
            finding, caption=caption, signature=signature, width=strip_width, unit=unit, fonts=fonts
        )

    right = finding.landmarks.chest_wall == "right"
    if finding.region is None:
        beside = strip(min(round(_BESIDE * unit), max(longest - gap - width, longest // 2)))
        return _beside(plain, beside, longest=longest, gap=gap, right=right, fonts=fonts)
    pictures = [plain, marked(layers, finding, line=_LINE * unit)]
    whole_width = min(longest, max(len(pictures) * width + gap, round(_NARROWEST * unit)))
    below = strip(whole_width)
    share = min(1.0, (longest - below.height) / height, (whole_width - gap) / (len(pictures) * width))
    panels = [_shrunk(picture, share) for picture in pictures]
    whole = Image.new("RGB", (whole_width, panels[0].height + below.height), _AIR)
    for number, picture in enumerate(reversed(panels)):
        away = number * (picture.width + gap)
        whole.paste(picture, (whole_width - picture.width - away if right else away, 0))
    whole.paste(legend.painted(below, fonts), (0, panels[0].height))
    return np.asarray(whole)


def _beside(
    picture: Image.Image, beside: Strip, *, longest: int, gap: int, right: bool, fonts: Fonts
) -> NDArray[np.uint8]:
    """Return ``picture`` at the side of its chest wall, and the legend at the bottom of the other side."""
    share = min(1.0, longest / picture.height, (longest - gap - beside.width) / picture.width)
    panel = _shrunk(picture, share)
    size = (panel.width + gap + beside.width, max(panel.height, beside.height))
    whole = Image.new("RGB", size, _AIR)
    whole.paste(panel, (size[0] - panel.width if right else 0, 0))
    left = 0 if right else panel.width + gap
    whole.paste(legend.painted(beside, fonts), (left, size[1] - beside.height))
    return np.asarray(whole)


def _enlargement(layers: Layers, longest: int) -> int:
    """Return by how much the breast is enlarged, so that the smallest legend is as usual beside it."""
    height, width = layers.grey.shape
    unit: float = max(2 * width / legend.WHOLE, height / TALLEST / legend.WHOLE)
    fitting: float = min(longest * TALLEST / height, longest / 2 / width)
    return max(1, min(round(legend.LEAST_UNIT / unit), int(fitting)))


def marked(layers: Layers, finding: Analysed, *, line: float) -> Image.Image:
    """Return the grey of ``layers`` with the map's colours and all outlines.

    ``line`` is the outlines' width in pixels.
    """
    picture, level = Image.fromarray(layers.grey).convert("RGB"), layers.level(finding.explained)
    _blend(picture, layers.grey, level)
    area = _pieces(level >= _HALF, [layers.pixel(spot) for spot in finding.spots])
    outline.draw(picture, area, max(_THINNEST_LINE, line))
    return picture


def _pieces(hot: Flags, points: Iterable[tuple[int, int]]) -> Flags:
    """Return those connected pieces of ``hot`` in which one of ``points`` (column, row) lies."""
    area = np.zeros_like(hot)
    box = Image.fromarray(hot).getbbox()
    if box is None:
        return area
    left, top, right, bottom = box  # most of a mammogram is cold
    pieces, _ = ndimage.label(hot[top:bottom, left:right])
    numbers = [pieces[row - top, column - left] for column, row in points if hot[row, column]]
    area[top:bottom, left:right] = np.isin(pieces, numbers)
    return area


def _shrunk(picture: Image.Image, share: float) -> Image.Image:
    if share >= 1:
        return picture
    size = max(1, int(picture.width * share)), max(1, int(picture.height * share))
    return picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)


@lru_cache(maxsize=1)
def _blended() -> NDArray[np.uint8]:
    """Return the colour for each level over each grey: 256 by 256 by 3.

    Whole numbers throughout, so that machines agree on the bytes.
    """
    share = np.clip((np.arange(256) / 255 - _SHOWN_FROM) / (_FULL_FROM - _SHOWN_FROM), 0, 1)
    opacity = np.floor(255 * _OPAQUE_AT_MOST * share).astype(np.uint16)
    colours = colormap.table().astype(np.uint16) * opacity[:, np.newaxis]
    below = np.arange(256, dtype=np.uint16) * (255 - opacity)[:, np.newaxis]
    return ((below[..., np.newaxis] + colours[:, np.newaxis] + 127) // 255).astype(np.uint8)


def _blend(image: Image.Image, grey: NDArray[np.uint8], level: NDArray[np.uint8]) -> None:
    """Lay the map's colours over ``image``, which shows ``grey``."""
    box = Image.fromarray(level >= round(255 * _SHOWN_FROM)).getbbox()
    if box is None:
        return
    left, top, right, bottom = box
    # only the box around what is coloured: the rest of a mammogram, most of it, stays as it is
    part = slice(top, bottom), slice(left, right)
    index = level[part].astype(np.intp) << 8 | grey[part]
    image.paste(Image.fromarray(np.take(_blended().reshape(-1, 3), index, axis=0)), (left, top))
