"""The strip below a heatmap: what is seen above it, by whom, how sure, and what it is not.

All sizes follow from the width of the picture, so that side, view and "AI" can still be read when a viewer
shows a thumbnail 150 pixels wide, and everything else at full size even on a narrow picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from inference import wording
from inference.decision import Analysed, FlagThreshold, Population, Scores, decide
from inference.findings import CLASSES, ClassKey, ModelIdentity, Region
from inference.heatmap import colormap
from inference.heatmap.text import Box, Colour, Fonts, Mark, Words, line_step, paint

# Read in dark rooms beside black mammograms: nothing large is bright, and only warnings have a hue. Amber is
# none of the map's meanings: its most yellow end means "high", and stands in the picture, not in words.
BACKGROUND: Final[Colour] = (14, 14, 16)
WHITE: Final[Colour] = (255, 255, 255)
GREY: Final[Colour] = (178, 178, 184)
FAINT: Final[Colour] = (64, 64, 70)
AMBER: Final[Colour] = (255, 200, 60)

_SMALLEST_TEXT: Final = 12
"""Pixels of font size below which nothing is written, unless a single word would not fit."""
_LARGEST_BASE: Final = 34
"""Font size of the base text on a picture of 2048 pixels: larger would only take room from the mammogram."""
_HEADLINE: Final = 0.09
"""Font size in units of the width: 13 pixels where a viewer shows a thumbnail 150 pixels wide."""
_HEADLINE_ROOM: Final = 0.58
"""Share of the width that side and view may take, so that the warning has room beside them."""
_HEADLINE_LEAST: Final = 0.6
"""Share of the wanted size below which the headline takes a line of its own rather than shrink further."""
_WARNING_SIZES: Final = (0.042, 0.039, 0.036, 0.033)
"""Font sizes to try beside the headline, in units of the width: two lines of the first fill its height."""
_FLAG: Final = 1.45
"""Of the line that says whether the breast is flagged: 49 pixels on a picture of 2048."""
_EMPHASIS: Final = 1.25
_FOOTER: Final = 0.85
_COLUMNS: Final = (4, 2)
"""The classes in one row, else in two, else below each other."""
_BAR_AT_LEAST: Final = 6
"""Width of the colour bar, in units of the base text, below which its five hues cannot be told apart."""
_BAR_AT_MOST: Final = 16
"""A longer bar says no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """Where everything goes on a strip of that width and height."""

    width: int
    height: int
    marks: tuple[Mark, ...]


LONGEST: Final = Analysed(
    scores=(0.0, 0.0, 0.0, 1.0),
    decision=decide(
        (0.0, 0.0, 0.0, 1.0),
        FlagThreshold(value=0.5, source="", population=Population(scores=(0.0,) * 1000)),
    ),
    peak=(0, 0),
    region=Region(center=(0, 0), ellipse=((0, 0), (0, 0), (0, 0), (0, 0)), mean_activation=1.0),
)
"""What has the longest legend that is usual: a flagged breast of a calibrated scanner, with a region."""


def strip(finding: Analysed, *, caption: str, identity: ModelIdentity, width: int, fonts: Fonts) -> Strip:
    """Lay out the strip for a picture ``width`` pixels wide; colours are explained where a map is shown."""
    layout = _Layout(width, fonts)
    layout.headline(wording.headline(caption))
    flag_colour = AMBER if finding.flagged else WHITE
    layout.line(wording.flag(finding.decision), flag_colour, bold=True, scale=_FLAG)
    layout.line(wording.label_and_score(finding.decision), WHITE, bold=True, scale=_EMPHASIS)
    for remark in wording.remarks(finding):
        layout.line(remark, AMBER)
    layout.scores(finding.decision.scores)
    layout.line(wording.image_alone(finding), GREY)
    if finding.region is not None:
        layout.colour_bar(finding.explained)
    layout.line(wording.signature(identity), GREY, scale=_FOOTER)
    return layout.finished()


def painted(laid_out: Strip, fonts: Fonts) -> Image.Image:
    """Return the strip as an RGB picture."""
    image = Image.new("RGB", (laid_out.width, laid_out.height), BACKGROUND)
    paint(image, laid_out.marks, fonts)
    return image


class _Layout:
    """Places marks from top to bottom."""

    def __init__(self, width: int, fonts: Fonts) -> None:
        self._fonts = fonts
        self._width = width
        self._base = max(_SMALLEST_TEXT, round(min(width / 60, _LARGEST_BASE)))
        self._margin = max(2, round(width * 0.025))
        self._inner = width - 2 * self._margin
        self._marks: list[Mark] = [_box(0, 0, width, max(1, width // 800), FAINT)]
        self._top = round(self._base * 0.5)

    def headline(self, text: str) -> None:
        """Write side and view large, and beside them (or below, for want of room) what this is not for."""
        wanted = max(_SMALLEST_TEXT, round(self._width * _HEADLINE))
        large = Words(text=text, size=wanted, colour=WHITE, bold=True, left=self._margin, top=self._top)
        fits = self._fonts.fitted(large, round(self._inner * _HEADLINE_ROOM))
        beside = self._beside(fits) if fits.size >= wanted * _HEADLINE_LEAST else []
        if not beside:
            fits = self._fonts.fitted(large, self._inner)
        self._marks += [fits, *beside]
        self._top += line_step(fits.size)
        if beside:
            self._top += round(self._base * 0.3)
        else:
            self.line(wording.NOT_FOR_DIAGNOSIS, AMBER, bold=True, scale=_EMPHASIS)

    def _beside(self, large: Words) -> list[Words]:
        """Return what stands to the right of ``large``, centred to it; nothing where it does not fit."""
        left = self._margin + round(self._fonts.width(large)) + self._base
        height, width = line_step(large.size), self._margin + self._inner - left
        for share in _WARNING_SIZES:
            size = max(_SMALLEST_TEXT, round(self._width * share))
            lines = [
                Words(text=text, size=size, colour=AMBER, bold=True, left=left)
                for text in wording.NOT_FOR_DIAGNOSIS_LINES
            ]
            step = line_step(size)
            if max(map(self._fonts.width, lines)) <= width and len(lines) * step <= height:
                top = self._top + (height - step * len(lines)) // 2
                return [replace(line, top=top + step * row) for row, line in enumerate(lines)]
        return []

    def line(self, text: str, colour: Colour, *, bold: bool = False, scale: float = 1.0) -> None:
        """Write ``text`` over the whole width, on more lines where it needs them."""
        size = max(_SMALLEST_TEXT, round(self._base * scale))
        words = Words(text=text, size=size, colour=colour, bold=bold, left=self._margin, top=self._top)
        lines = self._fonts.wrapped(words, self._inner)
        self._marks += lines
        self._top = lines[-1].top + line_step(lines[-1].size)

    def scores(self, scores: Scores) -> None:
        """Write each class with its score and a bar, in four, two or one columns."""
        self._top += round(self._base * 0.35)
        gap = self._base
        entries = [(key.label, score) for key, score in zip(CLASSES, scores, strict=True)]
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
