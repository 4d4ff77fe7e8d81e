"""The picture that a radiologist surely sees: the mammogram, where the network looked, and a legend below.

Nothing is written over tissue, and the left and right edges stay where they are, so that pictures of both
breasts hang back to back as their sources do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from inference.analysis import region
from inference.decision import Analysed
from inference.findings import ModelIdentity, Point
from inference.heatmap import colormap, legend
from inference.heatmap.layers import Layers
from inference.heatmap.text import Fonts
from inference.reading.pixels import Picture

_OPAQUE_AT_MOST: Final = 0.45
"""Even under the hottest colour more than half of what is seen is the mammogram."""
_SHOWN_FROM: Final = 0.15
"""Share of the map's maximum below which nothing is coloured: a faint veil would hide tissue for nothing."""
_FULL_FROM: Final = 0.75
"""Share from which the colour is as opaque as it gets; between the two opacity grows evenly, without edges.

The contour marks half of the maximum, so that colour is seen on both sides of it.
"""
_FINER: Final = 4
"""The contour is drawn so many times larger, then shrunk: 17 steps from edge to background look smooth."""
_THINNEST_LINE: Final = 2
"""Pixels: one pixel would break where the contour runs aslant and a viewer shrinks the picture."""
_LINES_PER_WIDTH: Final = 500
"""A contour of a 500th of the width: 4 pixels of 2048, seen at a glance and hiding no cluster."""
_HALO: Final = 2.4
"""Thickness of the dark line below the white one: 0.7 line widths are left on each side."""


def picture_size(picture: Picture, *, caption: str, identity: ModelIdentity, longest: int) -> tuple[int, int]:
    """Return width and height of ``picture`` in its heatmap, whatever the legend will say.

    The longest legend that is usual must fit below: of a flagged breast of a calibrated scanner.
    """
    rows, columns = picture.grey.shape
    size, _ = _fit((columns, rows), longest, _strips(legend.LONGEST, caption, identity, Fonts()))
    return size


def render(
    layers: Layers, finding: Analysed, *, caption: str, identity: ModelIdentity, longest: int
) -> NDArray[np.uint8]:
    """Return the heatmap as height by width by 3, legend included.

    The map of the explained class is shown only where ``finding`` has a region. ``caption`` names side and
    view. No side of the result is longer than ``longest``, and the picture is never enlarged.
    """
    fonts = Fonts()
    rows, columns = layers.grey.shape
    size, strip = _fit((columns, rows), longest, _strips(finding, caption, identity, fonts))
    image = _resized(layers.grey, size).convert("RGB")
    if finding.region is not None:
        _blend(image, np.asarray(_resized(layers.level(finding.explained), size)))
        line = region.closed_line(finding.region, rows=layers.rows, columns=layers.columns)
        _draw_contour(image, [(x * size[0] / layers.columns, y * size[1] / layers.rows) for x, y in line])
    whole = Image.new("RGB", (size[0], size[1] + strip.height))
    whole.paste(image, (0, 0))
    whole.paste(legend.painted(strip, fonts), (0, size[1]))
    return np.asarray(whole)


def _strips(
    finding: Analysed, caption: str, identity: ModelIdentity, fonts: Fonts
) -> Callable[[int], legend.Strip]:
    """Return what lays out the legend for a width."""

    def strip_of(width: int) -> legend.Strip:
        return legend.strip(finding, caption=caption, identity=identity, width=width, fonts=fonts)

    return strip_of


def _resized(grey: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    image = Image.fromarray(grey)
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def _fit(
    source: tuple[int, int], longest: int, strip_of: Callable[[int], legend.Strip]
) -> tuple[tuple[int, int], legend.Strip]:
    """Return the largest width and height of the picture with which it and its strip keep to ``longest``."""
    columns, _ = source
    narrow, wide = 1, max(1, int(columns * min(1.0, longest / max(source))))
    while narrow < wide:
        width = (narrow + wide + 1) // 2
        if _height(width, source) + strip_of(width).height <= longest:
            narrow = width
        else:
            wide = width - 1
    return (narrow, _height(narrow, source)), strip_of(narrow)


def _height(width: int, source: tuple[int, int]) -> int:
    """Return the height of the picture that is ``width`` wide, in the proportions of ``source``."""
    return max(1, round(source[1] * width / source[0]))


def _blend(image: Image.Image, level: NDArray[np.uint8]) -> None:
    """Lay the map's colours over ``image``; whole numbers throughout, so that machines agree on the bytes."""
    share = np.clip((np.arange(256) / 255 - _SHOWN_FROM) / (_FULL_FROM - _SHOWN_FROM), 0, 1)
    opacity = np.floor(255 * _OPAQUE_AT_MOST * share).astype(np.uint16)
    colours = colormap.table().astype(np.uint16) * opacity[:, np.newaxis]
    box = Image.fromarray(level >= round(255 * _SHOWN_FROM)).getbbox()
    if box is None:
        return
    left, top, right, bottom = box
    hot = level[top:bottom, left:right]
    # only the box around what is coloured: the rest of a mammogram, most of it, stays as it is
    below = np.asarray(image.crop(box)) * (255 - opacity[hot])[..., np.newaxis]
    image.paste(Image.fromarray(((below + colours[hot] + 127) // 255).astype(np.uint8)), (left, top))


def _draw_contour(image: Image.Image, line: list[Point]) -> None:
    """Draw ``line`` white with a dark halo, to be seen on dense and on fatty tissue."""
    width = max(_THINNEST_LINE, image.width // _LINES_PER_WIDTH)
    margin = 3 * width  # half the halo is 1.2 widths; rounding and curved joints need less than the rest
    left, right = (int(f(x for x, _ in line)) + s * margin for f, s in ((min, -1), (max, 1)))
    top, bottom = (int(f(y for _, y in line)) + s * margin for f, s in ((min, -1), (max, 1)))
    size = (right - left, bottom - top)
    finer = [((x - left) * _FINER, (y - top) * _FINER) for x, y in line]
    for thickness, colour in ((width * _HALO, (0, 0, 0)), (width, (255, 255, 255))):
        stencil = Image.new("L", (size[0] * _FINER, size[1] * _FINER))
        draw = ImageDraw.Draw(stencil)
        draw.line([*finer, finer[1]], fill=255, width=round(thickness * _FINER), joint="curve")
        image.paste(colour, (left, top), stencil.resize(size, Image.Resampling.BOX))
