"""Cut off what hangs on a breast's outline above and below it: the belly, film edges, folds."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.analysis.film_frames import Flags

_LEG_WIDTH: Final = 0.15
"""Of the breast's greatest width: narrower rows above and below it are a leg."""
_LEG_LENGTH: Final = 0.04
"""Of the picture's height: a shorter narrow run is the rounded end of the breast, and stays."""
_FOLD_DEPTH: Final = 0.06
"""How far the outline recedes at the fold under the breast behind a line from breast to belly, in widths."""
_FOLD_WIDTH: Final = 0.45
"""Widest outline at that fold, in widths of the breast: higher up, an outline bends by itself."""
_BELLY_SHARE: Final = 0.2
"""Largest share of the outline below the fold: a breast under a plate or an arm is no belly."""


def without_abdomen(outline: Flags) -> Flags:
    """Cut off what lies below the fold under the breast, where the outline turns to the belly."""
    widths = outline.sum(axis=1)
    rows = np.flatnonzero(widths)
    top, bottom = int(rows[0]), int(rows[-1])
    widest = top + (bottom - top) // 3  # above it lies the axilla, and what else is wide there is no breast
    widest += int(widths[widest : bottom + 1].argmax())
    below = widths[widest : bottom + 1]
    small = below[::-1].cumsum()[::-1] <= _BELLY_SHARE * widths.sum()
    recess = np.where(small & (below <= _FOLD_WIDTH * below[0]), _taut(below) - below, 0)
    fold = int(recess.argmax())
    trimmed = outline.copy()
    if recess[fold] >= _FOLD_DEPTH * below[0] and len(below) - fold >= _LEG_LENGTH * len(widths):
        trimmed[widest + fold :] = False
    return trimmed


def without_legs(outline: Flags) -> Flags:
    """Cut off narrow runs above and below the breast: fogged film edges and folds along the chest wall."""
    widths = outline.sum(axis=1)
    wide = np.flatnonzero(widths >= _LEG_WIDTH * widths.max())
    rows = np.flatnonzero(widths)
    least = _LEG_LENGTH * len(widths)
    trimmed = outline.copy()
    if wide[0] - rows[0] >= least:
        trimmed[: wide[0]] = False
    if rows[-1] - wide[-1] >= least:
        trimmed[wide[-1] + 1 :] = False
    return trimmed


def _taut(widths: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the least curve above ``widths`` that bends one way only, as a string pulled taut."""
    places = [0]
    for place in range(1, len(widths)):
        while len(places) > 1 and _bends_in(widths, places[-2], places[-1], place):
            places.pop()
        places.append(place)
    return np.interp(np.arange(len(widths)), places, widths[places])


def _bends_in(widths: NDArray[np.intp], first: int, middle: int, last: int) -> bool:
    rise, whole = widths[middle] - widths[first], widths[last] - widths[first]
    return bool(rise * (last - first) <= whole * (middle - first))
