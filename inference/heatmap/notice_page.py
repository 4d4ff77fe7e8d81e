"""The page that names the images without a result."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference import wording
from inference.findings import ModelIdentity
from inference.heatmap import legend
from inference.heatmap.text import Colour, Fonts, Mark, Words, line_step, paint

_WIDTH: Final = 1024
_LEAST_HEIGHT: Final = 768
"""4:3, which every viewer shows whole; a long list of images makes the page longer."""
_MARGIN: Final = 48
_TITLE: Final = 76
"""Font size in pixels: still 11 of them in a thumbnail 150 pixels wide."""
_WARNING: Final = 34
_BODY: Final = 30
_SIGNATURE: Final = 22
"""The network's name is for whoever looks for a fault, not for the radiologist."""


def render(lines: list[str], identity: ModelIdentity) -> NDArray[np.uint8]:
    """Return a page that names the images without a result, height by width by 3."""
    fonts = Fonts()
    marks: list[Mark] = []
    top = _MARGIN

    def write(text: str, size: int, colour: Colour, *, bold: bool = False, after: int = 0) -> None:
        nonlocal top
        words = Words(text=text, size=size, colour=colour, bold=bold, left=_MARGIN, top=top)
        marks.extend(fonts.wrapped(words, _WIDTH - 2 * _MARGIN))
        top = marks[-1].top + line_step(size) + after

    write(wording.NO_RESULT, _TITLE, legend.WHITE, bold=True)
    write(wording.NOT_FOR_DIAGNOSIS, _WARNING, legend.AMBER, bold=True, after=36)
    for number, line in enumerate(lines, start=1):
        write(line, _BODY, legend.WHITE, after=12 if number < len(lines) else 36)
    write(wording.NO_RESULT_IS_NOT_NORMAL, _BODY, legend.AMBER, bold=True, after=28)
    write(wording.signature(identity), _SIGNATURE, legend.GREY, after=_MARGIN)
    page = Image.new("RGB", (_WIDTH, max(_LEAST_HEIGHT, top)), legend.BACKGROUND)
    paint(page, marks, fonts)
    return np.asarray(page)
