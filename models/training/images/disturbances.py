"""What may happen to a picture on its way to the node: small changes that no finding should depend on.

All work on the source's picture, before the breast is looked for. None changes its argument.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from inference.reading.pixels import Picture

Grey: TypeAlias = NDArray[np.float32]
"""Rows by columns, 0 to 1."""
Disturbance: TypeAlias = Callable[[Grey, np.random.Generator], Grey]

_NOISE: Final = 0.03
"""Standard deviation, as a share of full scale."""
_BLUR: Final = 0.0015
"""Standard deviation, as a share of the image's height: about 1.2 pixels of 800."""
_CONTRAST: Final = 0.7
_GAMMAS: Final = (0.8, 1.25)
_ANGLE: Final = 10.0
_CROP: Final = 0.05
"""Cut off on each side, so that 10 % of height and width are lost."""
_QUALITY: Final = 50
"""Contrast, gammas, angle and quality are chosen by hand; they stay, so that models can be compared."""
_BORDER: Final = 0.05
"""Of the image's height, added on each side."""


def _noise(grey: Grey, generator: np.random.Generator) -> Grey:
    return _clipped(grey + generator.normal(0, _NOISE, grey.shape).astype(np.float32))


def _blur(grey: Grey, _: np.random.Generator) -> Grey:
    return np.asarray(ndimage.gaussian_filter(grey, _BLUR * grey.shape[0]), np.float32)


def _contrast(grey: Grey, _: np.random.Generator) -> Grey:
    return _clipped((grey - np.float32(0.5)) * np.float32(_CONTRAST) + np.float32(0.5))


def _gamma(exponent: float) -> Disturbance:
    return lambda grey, _: np.power(_clipped(grey), np.float32(exponent))


def _rotation(degrees: float) -> Disturbance:
    """Turn counter-clockwise within the frame; what comes in from outside is black."""

    def turned(grey: Grey, _: np.random.Generator) -> Grey:
        return np.asarray(Image.fromarray(grey).rotate(degrees, Image.Resampling.BILINEAR), np.float32)

    return turned


def _crop(grey: Grey, _: np.random.Generator) -> Grey:
    down, across = (max(1, round(_CROP * side)) for side in grey.shape)
    return np.ascontiguousarray(grey[down:-down, across:-across])


def _jpeg(grey: Grey, _: np.random.Generator) -> Grey:
    with io.BytesIO() as file:
        Image.fromarray(np.rint(_clipped(grey) * 255).astype(np.uint8)).save(file, "JPEG", quality=_QUALITY)
        with Image.open(file) as image:
            return np.asarray(image, np.float32) / np.float32(255)


def _half(grey: Grey, _: np.random.Generator) -> Grey:
    rows, columns = grey.shape
    size = (max(1, columns // 2), max(1, rows // 2))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX), np.float32)


def _border(level: float) -> Disturbance:
    def framed(grey: Grey, _: np.random.Generator) -> Grey:
        return np.pad(grey, max(1, round(_BORDER * grey.shape[0])), constant_values=np.float32(level))

    return framed


DISTURBANCES: Final[Mapping[str, Disturbance]] = MappingProxyType(
    {
        f"noise {_NOISE:.0%}": _noise,
        f"blur {_BLUR:.2%} of the height": _blur,
        f"contrast reduced to {_CONTRAST:.0%}": _contrast,
        **{f"gamma {exponent}": _gamma(exponent) for exponent in _GAMMAS},
        **{f"rotation {degrees:+.0f}°": _rotation(degrees) for degrees in (_ANGLE, -_ANGLE)},
        f"crop {2 * _CROP:.0%}": _crop,
        f"JPEG quality {_QUALITY}": _jpeg,
        "half resolution": _half,
        "black border": _border(0.0),
        "white border": _border(1.0),
    }
)
"""All disturbances, by what they are called in tables."""


def disturbed(picture: Picture, name: str, *, seed: int) -> Picture:
    """Return ``picture`` disturbed; what is random follows from ``seed``. Padding is shown as black."""
    grey = picture.grey if picture.padding is None else np.where(picture.padding, np.float32(0), picture.grey)
    return Picture(grey=DISTURBANCES[name](grey, np.random.default_rng(seed)), padding=None)


def _clipped(grey: Grey) -> Grey:
    return np.clip(grey, np.float32(0), np.float32(1))
