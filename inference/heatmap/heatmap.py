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

from inference import wording
from inference.analysis import region
from inference.findings import Analysed, ModelIdentity, Point
from inference.heatmap import colormap, legend
from inference.heatmap.text import Fonts, Mark, Words, line_step, paint
from inference.options import OutputOptions
from inference.reading.pixels import Picture

_OPAQUE_AT_MOST: Final = 0.45
_SHOWN_FROM: Final = 0.15
"""Share of the map's maximum below which nothing is coloured."""
_FULL_FROM: Final = 0.75
_FINER: Final = 4
"""The contour is drawn so many times larger, then shrunk: smooth edges."""
_PAGE: Final = (1024, 768)


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
    shown = map_on_source if finding.shows_region and finding.region is not None else None

    def strip_of(width: int) -> legend.Strip:
        return legend.strip(
            finding,
            caption=caption,
            identity=identity,
            width=width,
            coloured=shown is not None,
            fonts=fonts,
        )

    size, strip = _fit((columns, rows), options.sc_max_side, strip_of)
    image = _grey(picture, size)
    if shown is not None:
        _blend(image, shown)
    if finding.region is not None:
        line = region.closed_line(finding.region, rows=rows, columns=columns)
        _draw_contour(image, [(x * size[0] / columns, y * size[1] / rows) for x, y in line])
    whole = Image.new("RGB", (size[0], size[1] + strip.height))
    whole.paste(image, (0, 0))
    whole.paste(legend.painted(strip, fonts), (0, size[1]))
    return np.asarray(whole)


def notice(lines: list[str], identity: ModelIdentity) -> NDArray[np.uint8]:
    """Return a page that names the images without a result, height by width by 3."""
    fonts = Fonts()
    width, margin = _PAGE[0], 48
    marks: list[Mark] = []
    top = margin

    def write(
        text: str, size: int, colour: tuple[int, int, int], *, bold: bool = False, after: int = 0
    ) -> None:
        nonlocal top
        words = Words(text=text, size=size, colour=colour, bold=bold, left=margin, top=top)
        marks.extend(fonts.wrapped(words, width - 2 * margin))
        top = marks[-1].top + line_step(size) + after

    write("AI: no result", 76, legend.WHITE, bold=True)
    write(wording.NOT_FOR_DIAGNOSIS, 34, legend.AMBER, bold=True, after=36)
    for number, line in enumerate(lines, start=1):
        write(line, 30, legend.WHITE, after=12 if number < len(lines) else 36)
    write(wording.NO_RESULT_IS_NOT_NORMAL, 30, legend.AMBER, bold=True, after=28)
    write(f"{identity.name} {identity.version}, investigational", 22, legend.GREY, after=margin)
    page = Image.new("RGB", (width, max(_PAGE[1], top)), legend.BACKGROUND)
    paint(page, marks, fonts)
    return np.asarray(page)


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
    below = np.asarray(image.crop(box)) * (255 - opacity[hot])[..., np.newaxis]
    image.paste(Image.fromarray(((below + colours[hot] + 127) // 255).astype(np.uint8)), (left, top))


def _draw_contour(image: Image.Image, line: list[Point]) -> None:
    """Draw ``line`` white with a dark halo, to be seen on dense and on fatty tissue."""
    width = max(2, image.width // 500)
    margin = 3 * width
    left, right = (int(f(x for x, _ in line)) + s * margin for f, s in ((min, -1), (max, 1)))
    top, bottom = (int(f(y for _, y in line)) + s * margin for f, s in ((min, -1), (max, 1)))
    size = (right - left, bottom - top)
    finer = [((x - left) * _FINER, (y - top) * _FINER) for x, y in line]
    for thickness, colour in ((width * 2.4, (0, 0, 0)), (width, (255, 255, 255))):
        stencil = Image.new("L", (size[0] * _FINER, size[1] * _FINER))
        draw = ImageDraw.Draw(stencil)
        draw.line([*finer, finer[1]], fill=255, width=round(thickness * _FINER), joint="curve")
        image.paste(colour, (left, top), stencil.resize(size, Image.Resampling.BOX))
