"""A colour map for activations: from violet through red and orange to yellow, always growing lighter.

Lightness alone tells the order, so that people who confuse red and green read it as well as others, and so
does a grey print. Built from hue and chroma at a few points of CIE L*a*b*, where lightness grows evenly.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_LIGHTNESS: Final = (24.0, 93.0)
"""L* from low to high: darker is lost in the black background, lighter is white and has no hue left."""
_POSITIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_CHROMA: Final = (58.0, 70.0, 74.0, 74.0, 70.0)
"""As colourful as sRGB gets at that lightness and hue: red, at most 6 % too strong, is what is clipped."""
_HUE_DEGREES: Final = (305.0, 348.0, 395.0, 428.0, 460.0)
"""Violet, magenta, red, orange, yellow: without green, which many cannot tell from red."""
_WHITE_D65: Final = (0.95047, 1.0, 1.08883)
"""The white of sRGB, illuminant D65, in CIE XYZ."""
_DARK: Final = 0.0031308
"""Linear light below which sRGB is a straight line (IEC 61966-2-1)."""
_XYZ_TO_LINEAR: Final = (
    (3.2404542, -1.5371385, -0.4985314),
    (-0.9692660, 1.8760108, 0.0415560),
    (0.0556434, -0.2040259, 1.0572252),
)
"""From CIE XYZ to linear sRGB: the inverse of the matrix of its primaries (IEC 61966-2-1)."""


def table() -> NDArray[np.uint8]:
    """Return the map as 256 sRGB colours, 256 by 3, from low to high."""
    place = np.linspace(0.0, 1.0, 256)
    lightness = np.linspace(*_LIGHTNESS, 256)
    chroma = np.interp(place, _POSITIONS, _CHROMA)
    hue = np.radians(np.interp(place, _POSITIONS, _HUE_DEGREES))
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
    return np.round(255 * _srgb(lab)).astype(np.uint8)


def _srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CIE L*a*b* colours (n by 3) as sRGB, 0 to 1, clipped to what a screen can show."""
    middle = (lab[:, 0] + 16.0) / 116.0
    scaled = np.stack([middle + lab[:, 1] / 500.0, middle, middle - lab[:, 2] / 200.0], axis=1)
    small = 6.0 / 29.0  # below it CIE L*a*b* is a straight line (CIE 15)
    xyz = np.where(scaled > small, scaled**3, 3.0 * small**2 * (scaled - 4.0 / 29.0)) * _WHITE_D65
    linear = np.clip(xyz @ np.array(_XYZ_TO_LINEAR).T, 0.0, 1.0)
    screen: NDArray[np.float64] = np.where(
        linear <= _DARK, 12.92 * linear, 1.055 * linear ** (1.0 / 2.4) - 0.055
    )
    return screen
