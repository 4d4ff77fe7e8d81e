"""The strip below a heatmap: what is seen above it, by whom, how sure, and what it is not.

All sizes follow from that of the picture, so that all of it can be read when a viewer fits the picture into
a window of 1080 rows. The flag is the headline: a radiologist first wants to know whether to look again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from inference import wording
from inference.decision import Analysed
from inference.findings import CLASSES, ClassKey
from inference.heatmap import colormap
from inference.heatmap.text import Box, Colour, Fonts, Mark, Words, line_step, paint

# Read in dark rooms beside black mammograms: nothing large is bright, and only warnings have a hue. Amber is
# none of the map's meanings: its most yellow end means "high", and stands in the picture, not in words.
BACKGROUND: Final[Colour] = (14, 14, 16)
WHITE: Final[Colour] = (255, 255, 255)
GREY: Final[Colour] = (178, 178, 184)
FAINT: Final[Colour] = (64, 64, 70)
AMBER: Final[Colour] = (255, 200, 60)

WHOLE: Final = 2048
"""Pixels of a heatmap's side on which sizes are given; a smaller picture has all of them smaller."""
_SMALLEST_TEXT: Final = 12
"""Pixels of font size below which nothing is written, unless a single word would not fit."""
_BASE: Final = 32
"""Font size of all that is no headline: 17 pixels where 2048 rows are fitted to a window of 1080."""
LEAST_UNIT: Final = _SMALLEST_TEXT / _BASE
"""How much smaller everything may get."""
_CAPTION: Final = 1.4
"""Of side and view, in units of the base."""
_CAPTION_AT_LEAST: Final = 1.25
"""As small as it gets to leave room for the warning on its line."""
_WARNING: Final = 1.25
_FLAG: Final = (2.0, 1.5)
"""Of the headline, which says whether the breast is flagged: the larger one where it fits on one line."""
_EMPHASIS: Final = 1.1
_COLUMNS: Final = (4, 2)
"""The classes in one row, else in two, else below each other."""
_BAR_AT_LEAST: Final = 6
"""Width of the colour bar, in units of the base text, below which its five hues cannot be told apart."""
_LINES_ASIDE: Final = 2
"""Lines of half the width: more would make the strip high."""
_BAR_AT_MOST: Final = 12
"""A longer bar says no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """Where everything goes on a strip of that width and height."""

    width: int
    height: int
    marks: tuple[Mark, ...]


def strip(finding: Analysed, *, caption: str, signature: str, width: int, unit: float, fonts: Fonts) -> Strip:
    """Lay out the strip for a picture ``width`` pixels wide; colours are explained where a map is shown.

    ``unit`` says how large a pixel of `WHOLE` is here.
    """
    layout = _Layout(width, unit, fonts)
    flag_colour = AMBER if finding.flagged else WHITE
    layout.flag(wording.flag(finding.decision), flag_colour)
    layout.caption(wording.picture_caption(caption, with_region=finding.region is not None))
    for remark in wording.remarks(finding):
        layout.line(remark, AMBER, scale=_EMPHASIS)
    layout.scores(finding)
    if finding.region is not None:
        layout.colour_bar(finding.explained)
        layout.aside(wording.outlined(finding), GREY)
    # a strip beside the breast is too narrow for halves
    last_line = layout.line if finding.region is None else layout.aside
    last_line(wording.image_alone(finding), GREY)
    last_line(signature, GREY)
    return layout.finished()


def painted(laid_out: Strip, fonts: Fonts) -> Image.Image:
    """Return the strip as an RGB picture."""
    image = Image.new("RGB", (laid_out.width, laid_out.height), BACKGROUND)
    paint(image, laid_out.marks, fonts)
    return image


class _Layout:
    """Places marks from top to bottom."""

    def __init__(self, width: int, unit: float, fonts: Fonts) -> None:
        self._fonts = fonts
        self._width = width
        self._base = max(_SMALLEST_TEXT, round(_BASE * unit))
        self._margin = max(2, self._base)
        self._inner = width - 2 * self._margin
        self._marks: list[Mark] = [_box(0, 0, width, max(1, width // 800), FAINT)]
        self._top = round(self._base * 0.5)

    def caption(self, text: str) -> None:
        """Write side and view smaller than the flag, and at the other end, or below, the warning.

        Where they do not fit on one line in a size that is still large, they take two.
        """
        large = Words(
            text=text,
            size=round(self._base * _CAPTION),
            colour=WHITE,
            bold=True,
            left=self._margin,
            top=self._top,
        )
        warning = Words(
            text=wording.NOT_FOR_DIAGNOSIS, size=round(self._base * _WARNING), colour=AMBER, bold=True
        )
        least = round(self._base * _CAPTION_AT_LEAST)
        beside = self._fonts.fitted(large, self._inner - round(self._fonts.width(warning)) - 2 * self._base)
        if beside.size >= least:
            self._marks.append(beside)
            left = self._margin + self._inner - round(self._fonts.width(warning)) - 1
            top = self._top + (line_step(beside.size) - line_step(warning.size)) // 2
            self._marks.append(replace(warning, left=left, top=top))
            self._top += line_step(beside.size)
            return
        large = self._fonts.fitted(large, self._inner)
        if large.size >= least:
            self._marks.append(large)
            self._top += line_step(large.size)
        else:
            for part in text.split(wording.CAPTION_SEPARATOR):
                self.line(part, WHITE, bold=True, scale=_CAPTION_AT_LEAST)
        self.line(warning.text, AMBER, bold=True, scale=_WARNING)

    def flag(self, text: str, colour: Colour) -> None:
        """Write the headline, whether the breast is flagged, on one line where it can be.

        Else the score has a line of its own.
        """
        largest, smallest = (round(self._base * scale) for scale in _FLAG)
        parts, size = [text], self._fitted(text, largest)
        if size < smallest:
            parts = text.split(wording.FLAG_SEPARATOR)
            size = max(smallest, min(self._fitted(part, largest) for part in parts))
        for part in parts:
            self.line(part, colour, bold=True, scale=size / self._base)

    def _fitted(self, text: str, size: int) -> int:
        """Return the font size, ``size`` at most, in which ``text`` fits on one line."""
        return self._fonts.fitted(Words(text=text, size=size, colour=WHITE, bold=True), self._inner).size

    def line(self, text: str, colour: Colour, *, bold: bool = False, scale: float = 1.0) -> None:
        """Write ``text`` over the whole width, on more lines where it needs them."""
        size = max(_SMALLEST_TEXT, round(self._base * scale))
        words = Words(text=text, size=size, colour=colour, bold=bold, left=self._margin, top=self._top)
        lines = self._fonts.wrapped(words, self._inner)
        self._marks += lines
        self._top = lines[-1].top + line_step(lines[-1].size)

    def aside(self, text: str, colour: Colour) -> None:
        """Write ``text`` in the right half where two lines hold it: the lower left is the viewer's.

        There viewers write window values.
        """
        half = (self._inner - self._base) // 2
        words = Words(
            text=text, size=self._base, colour=colour, left=self._margin + self._inner - half, top=self._top
        )
        lines = self._fonts.wrapped(words, half)
        if len(lines) > _LINES_ASIDE:
            self.line(text, colour)
            return
        self._marks += lines
        self._top = lines[-1].top + line_step(lines[-1].size)

    def scores(self, finding: Analysed) -> None:
        """Write each class with the breast's score and a bar, in four, two or one columns."""
        self._top += round(self._base * 0.35)
        gap = self._base
        entries = [(key.label, score) for key, score in zip(CLASSES, finding.decision.scores, strict=True)]
        columns = next((count for count in _COLUMNS if self._fit(entries, count, gap)), 1)
        width = (self._inner - gap * (columns - 1)) // columns
        step = line_step(self._base) + round(self._base * 0.75)
        for number, (label, score) in enumerate(entries):
            row, column = divmod(number, columns)
            self._score(label, score, self._margin + column * (width + gap), self._top + row * step, width)
        self._top += step * (len(entries) // columns)

    def _fit(self, entries: list[tuple[str, float]], columns: int, gap: int) -> bool:
        width = (self._inner - gap * (columns - 1)) // columns
        return all(
            self._fonts.width(self._small(f"{label}  {wording.percent(score)}")) <= width
            for label, score in entries
        )

    def _small(self, text: str) -> Words:
        return Words(text=text, size=self._base, colour=GREY)

    def _score(self, label: str, score: float, left: int, top: int, width: int) -> None:
        value = replace(self._small(wording.percent(score)), colour=WHITE)
        value = self._fonts.fitted(value, width)
        room = width - round(self._fonts.width(value))
        name = self._fonts.fitted(self._small(label), max(1, room - self._base // 2))
        self._marks.append(replace(name, left=left, top=top))
        self._marks.append(replace(value, left=left + room, top=top))
        bar, thick = top + line_step(self._base) + self._base // 8, max(2, self._base // 5)
        self._marks.append(_box(left, bar, width, thick, FAINT))
        self._marks.append(_box(left, bar, round(width * score), thick, WHITE))

    def colour_bar(self, explained: ClassKey) -> None:
        """Say which class the map explains, and draw the colours from low to high beside it, or below."""
        sentence, short = wording.explanation(explained)
        text = self._small(sentence)
        if self._fonts.width(text) > self._inner:
            text = self._small(short)
        low, high, gap = self._small(wording.LOW), self._small(wording.HIGH), self._base // 2
        ends = round(self._fonts.width(low)) + round(self._fonts.width(high)) + 2 * gap
        left = self._margin + round(self._fonts.width(text)) + 2 * self._base
        if self._margin + self._inner - left - ends < _BAR_AT_LEAST * self._base:
            self.line(text.text, GREY)
            left = self._margin
        else:
            self._marks.append(replace(text, left=self._margin, top=self._top))
        run = min(self._margin + self._inner - left - ends, _BAR_AT_MOST * self._base)
        start, thick = left + round(self._fonts.width(low)) + gap, line_step(self._base)
        bar = Box(left=start, top=self._top, width=run, height=self._base, colours=colormap.table())
        self._marks += [
            replace(low, left=left, top=self._top),
            replace(bar, top=self._top + (thick - self._base) // 2),
            replace(high, left=start + run + gap, top=self._top),
        ]
        self._top += thick + self._base // 4

    def finished(self) -> Strip:
        """Return the strip as it is laid out so far."""
        return Strip(width=self._width, height=self._top + round(self._base * 0.6), marks=tuple(self._marks))


def _box(left: int, top: int, width: int, height: int, colour: Colour) -> Box:
    return Box(left=left, top=top, width=width, height=height, colours=np.array([colour], dtype=np.uint8))
