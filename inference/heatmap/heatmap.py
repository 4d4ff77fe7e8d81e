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
from inference.findings import Analysed, ModelIdentity, Point
from inference.heatmap import colormap, legend
from inference.heatmap.text import Fonts
from inference.options import OutputOptions
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


def render(
    picture: Picture,
    map_on_source: NDArray[np.float32] | None,
    finding: Analysed,
    *,
    caption: str,
    identity: ModelIdentity,
    options: OutputOptions,
) -> NDArray[np.uint8]:
    """Return the heatmap as height by width by 3, legend included.

    ``map_on_source`` has the rows and columns of ``picture``; it is shown only where ``finding`` has a
    region. ``caption`` names side and view. No side of the result is longer than ``options.sc_max_side``,
    and the picture is never enlarged.
    """
    fonts = Fonts()
    rows, columns = picture.grey.shape
    visible_map = map_on_source if finding.shows_region and finding.region is not None else None

    def strip_of(width: int) -> legend.Strip:
        return legend.strip(
            finding,
            caption=caption,
            identity=identity,
            width=width,
            coloured=visible_map is not None,
            fonts=fonts,
        )

    size, strip = _fit((columns, rows), options.sc_max_side, strip_of)
    image = _grey(picture, size)
    if visible_map is not None:
        _blend(image, visible_map)
    if finding.region is not None:
        line = region.closed_line(finding.region, rows=rows, columns=columns)
        _draw_contour(image, [(x * size[0] / columns, y * size[1] / rows) for x, y in line])
    whole = Image.new("RGB", (size[0], size[1] + strip.height))
    whole.paste(image, (0, 0))
    whole.paste(legend.painted(strip, fonts), (0, size[1]))
    return np.asarray(whole)


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


def _grey(picture: Picture, size: tuple[int, int]) -> Image.Image:
    whole = Image.fromarray((picture.grey * 255 + 0.5).astype(np.uint8))
    return whole.resize(size, Image.Resampling.LANCZOS, reducing_gap=1.0).convert("RGB")


def _blend(image: Image.Image, map_on_source: NDArray[np.float32]) -> None:
    """Lay the map's colours over ``image``; whole numbers throughout, so that machines agree on the bytes."""
    highest = float(map_on_source.max())
    if highest <= 0:
        return
    # bilinear, not a sharper filter: those overshoot, and activation that the network never had would show
    small = Image.fromarray(map_on_source).resize(image.size, Image.Resampling.BILINEAR, reducing_gap=1.0)
    level = np.clip(np.asarray(small) * (255 / highest) + 0.5, 0, 255).astype(np.uint8)
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
