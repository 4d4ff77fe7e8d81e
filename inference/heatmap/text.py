"""Words and boxes on a picture: what to write where, worked out first and painted afterwards.

The fonts are shipped (`inference/heatmap/fonts`), so that a picture looks the same on every machine.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour: TypeAlias = tuple[int, int, int]

LINE_HEIGHT: Final = 1.25
"""From one base line to the next, in units of the font's size: DejaVu Sans is 1.16 high, lines stay apart."""
_SMALLEST: Final = 4
"""Font size in pixels at which shrinking ends: smaller is no letter any more, whatever the width."""
_BREAK: Final = re.compile(r"\s+(?!%)")
"""Where a line may end: not between a number and its per cent sign."""
_FILES: Final = {False: "DejaVuSans.ttf", True: "DejaVuSans-Bold.ttf"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """One line of text; ``left`` and ``top`` in pixels, ``size`` the font's size in pixels."""

    text: str
    size: int
    colour: Colour
    bold: bool = False
    left: int = 0
    top: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle, or with ``colours`` (n by 3) a horizontal run of colours."""

    left: int
    top: int
    width: int
    height: int
    colours: NDArray[np.uint8]


Mark: TypeAlias = Words | Box


class Fonts:
    """The shipped fonts, each size loaded once. One object serves one picture."""

    def __init__(self) -> None:
        folder = files("inference.heatmap").joinpath("fonts")
        self._bytes = {bold: folder.joinpath(name).read_bytes() for bold, name in _FILES.items()}
        self._loaded: dict[tuple[int, bool], ImageFont.FreeTypeFont] = {}

    def font(self, size: int, *, bold: bool) -> ImageFont.FreeTypeFont:
        """Return the font of ``size`` pixels."""
        key = (size, bold)
        if key not in self._loaded:
            # the basic layout engine: Raqm is not everywhere, and spacing must not depend on it
            self._loaded[key] = ImageFont.truetype(
                io.BytesIO(self._bytes[bold]), size, layout_engine=ImageFont.Layout.BASIC
            )
        return self._loaded[key]

    def width(self, words: Words) -> float:
        """Return how wide ``words`` are, in pixels."""
        return self.font(words.size, bold=words.bold).getlength(words.text)

    def fitted(self, words: Words, width: int) -> Words:
        """Return ``words`` no wider than ``width``, in a smaller size where need be."""
        while words.size > _SMALLEST and self.width(words) > width:
            words = replace(words, size=words.size - 1)
        return words

    def wrapped(self, words: Words, width: int) -> list[Words]:
        """Return ``words`` on as many lines as ``width`` asks for, the first at the place of ``words``."""
        parts = [part for part in _BREAK.split(words.text) if part]
        longest = max(parts, key=lambda word: self.width(replace(words, text=word)), default="")
        size = self.fitted(replace(words, text=longest), width).size
        lines: list[Words] = []
        for word in parts:
            joined = f"{lines[-1].text} {word}" if lines else word
            longer = replace(words, size=size, text=joined)
            if lines and self.width(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(replace(words, size=size, text=word))
        step = line_step(size)
        return [replace(line, top=words.top + number * step) for number, line in enumerate(lines)]


def line_step(size: int) -> int:
    """Return the height of a line of the font's ``size`` in pixels."""
    return round(LINE_HEIGHT * size)


def paint(image: Image.Image, marks: Iterable[Mark], fonts: Fonts) -> None:
    """Put ``marks`` on ``image``."""
    draw = ImageDraw.Draw(image)
    for mark in marks:
        match mark:
            case Words():
                font = fonts.font(mark.size, bold=mark.bold)
                draw.text((mark.left, mark.top), mark.text, fill=mark.colour, font=font)
            case Box():
                _paint_box(image, mark)


def _paint_box(image: Image.Image, box: Box) -> None:
    if box.width > 0 and box.height > 0:
        run = Image.fromarray(box.colours[np.newaxis])
        image.paste(run.resize((box.width, box.height), Image.Resampling.BILINEAR), (box.left, box.top))
