"""The page that sums a study up: its four views as radiologists hang them, and words below each breast.

Read in dark rooms: nothing large is bright, and only what is flagged and what warns has a hue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference import wording
from inference.heatmap.legend import AMBER, BACKGROUND, FAINT, GREY, WHITE
from inference.heatmap.text import Box, Colour, Fonts, Mark, Words, line_step, paint

_WIDTH: Final = 1600
_MARGIN: Final = 48
_GAP: Final = 12
"""Between the breasts, whose chest walls meet there."""
_COLUMN: Final = (_WIDTH - 2 * _MARGIN - _GAP) // 2
_VIEW_HEIGHT: Final = 600
"""Of one view: with two rows of views and a few lines the page is about as high as it is wide."""
_TITLE: Final = 120
"""Font size in pixels: still 11 of them in a thumbnail 150 pixels wide."""
_HEADING: Final = 36
_FLAG: Final = 60
_BODY: Final = 34
_SMALL: Final = 28
_EMPTY: Final[Colour] = (22, 22, 25)
"""Where a view would hang."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HungView:
    """One of the four places on the page."""

    caption: str
    picture: Image.Image | None
    """The breast with its marks, chest wall towards the middle of the page."""
    remark: str = ""
    """Why there is no picture, or what else must be known of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BreastColumn:
    """What is said below one breast."""

    name: str
    flagged: bool
    flag: str
    """Whether it is flagged; what else, where it has no result."""
    lines: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Footer:
    """What is said of the whole study, below the breasts."""

    lines: Sequence[str]
    """Images that are read alone, and images without a result."""
    warnings: Sequence[str]
    notes: Sequence[str]


def draw(
    title: str,
    views: Sequence[HungView],
    columns: tuple[BreastColumn, BreastColumn],
    footer: Footer,
) -> NDArray[np.uint8]:
    """Return the page as height by width by 3.

    Parameters
    ----------
    views
        RCC, LCC, RMLO and LMLO.
    columns
        The right breast, which hangs at the left, and the left one.
    """
    page = _Page()
    flagged = any(column.flagged for column in columns)
    page.title(title, AMBER if flagged else WHITE)
    for row in range(0, len(views), 2):
        page.row(views[row : row + 2])
    page.breasts(columns)
    page.footer(footer)
    return page.painted()


class _Page:
    """Places what stands on it from top to bottom."""

    def __init__(self) -> None:
        self._fonts = Fonts()
        self._marks: list[Mark] = []
        self._pictures: list[tuple[Image.Image, int, int]] = []
        self._top = _MARGIN // 2

    def title(self, text: str, colour: Colour) -> None:
        """Write the study's title as large as it fits, and what the page is not for."""
        words = Words(text=text, size=_TITLE, colour=colour, bold=True)
        size = self._fonts.fitted(words, _WIDTH - 2 * _MARGIN).size
        self._write(text, size, colour, bold=True)
        self._write(wording.NOT_FOR_DIAGNOSIS, _HEADING, AMBER, bold=True)
        self._top += _GAP

    def row(self, views: Sequence[HungView]) -> None:
        """Hang two views, captions above, chest walls to the middle."""
        for number, view in enumerate(views):
            left = _MARGIN + number * (_COLUMN + _GAP)
            caption = Words(text=view.caption, size=_HEADING, colour=GREY, bold=True)
            wide = round(self._fonts.width(caption))
            at = left if number == 0 else left + _COLUMN - wide  # away from the middle, as on film
            self._marks.append(replace(caption, left=at, top=self._top))
            top = self._top + line_step(_HEADING) + 4
            if view.picture is None:
                self._marks.append(_box(left, top, _COLUMN, _VIEW_HEIGHT, _EMPTY))
                middle = top + _VIEW_HEIGHT // 2 - line_step(_BODY)
                self._column(view.remark, left + _MARGIN, middle, _COLUMN - 2 * _MARGIN)
            else:
                self._hang(view.picture, left, top, at_right=number == 0)
                remark = Words(text=view.remark, size=_SMALL, colour=GREY)
                beside = at + wide + _GAP if number == 0 else at - _GAP - round(self._fonts.width(remark))
                self._marks.append(replace(remark, left=beside, top=self._top + 5))
        self._top += line_step(_HEADING) + 4 + _VIEW_HEIGHT + _GAP

    def breasts(self, columns: tuple[BreastColumn, BreastColumn]) -> None:
        """Write below each breast what was decided about it."""
        self._top += _GAP // 2
        ends = []
        for number, column in enumerate(columns):
            left, top = _MARGIN + number * (_COLUMN + _GAP), self._top
            top = self._column(column.name, left, top, _COLUMN, colour=GREY, bold=True)
            colour = AMBER if column.flagged else WHITE
            top = self._column(column.flag, left, top, _COLUMN, colour=colour, bold=True, size=_FLAG)
            for line in column.lines:
                top = self._column(line, left, top, _COLUMN)
            ends.append(top)
        self._top = max(ends) + _GAP

    def footer(self, footer: Footer) -> None:
        """Write what was not analysed, warnings, and who says all this."""
        self._marks.append(_box(_MARGIN, self._top, _WIDTH - 2 * _MARGIN, 2, FAINT))
        self._top += _GAP
        for line in footer.lines:
            self._write(line, _BODY, WHITE)
        for line in footer.warnings:
            self._write(line, _BODY, AMBER)
        for line in footer.notes:
            self._write(line, _SMALL, GREY)

    def painted(self) -> NDArray[np.uint8]:
        """Return the page as it is laid out so far."""
        whole = Image.new("RGB", (_WIDTH, self._top + _MARGIN), BACKGROUND)
        paint(whole, [mark for mark in self._marks if isinstance(mark, Box)], self._fonts)
        for picture, left, top in self._pictures:
            whole.paste(picture, (left, top))
        paint(whole, [mark for mark in self._marks if isinstance(mark, Words)], self._fonts)
        return np.asarray(whole)

    def _hang(self, picture: Image.Image, left: int, top: int, *, at_right: bool) -> None:
        share = min(_COLUMN / picture.width, _VIEW_HEIGHT / picture.height)
        size = max(1, int(picture.width * share)), max(1, int(picture.height * share))
        small = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        self._marks.append(_box(left, top, _COLUMN, _VIEW_HEIGHT, (0, 0, 0)))
        across = left + _COLUMN - size[0] if at_right else left
        self._pictures.append((small, across, top + (_VIEW_HEIGHT - size[1]) // 2))

    def _write(self, text: str, size: int, colour: Colour, *, bold: bool = False) -> None:
        self._top = self._column(
            text, _MARGIN, self._top, _WIDTH - 2 * _MARGIN, colour=colour, bold=bold, size=size
        )

    def _column(
        self,
        text: str,
        left: int,
        top: int,
        width: int,
        *,
        colour: Colour = WHITE,
        bold: bool = False,
        size: int = _BODY,
    ) -> int:
        """Write ``text`` on as many lines as ``width`` asks for; return where the next line begins."""
        words = Words(text=text, size=size, colour=colour, bold=bold, left=left, top=top)
        lines = self._fonts.wrapped(words, width)
        self._marks += lines
        return top + len(lines) * line_step(lines[-1].size if lines else size)


def _box(left: int, top: int, width: int, height: int, colour: Colour) -> Box:
    return Box(left=left, top=top, width=width, height=height, colours=np.array([colour], dtype=np.uint8))
