"""Pixels as they are meant to be shown: grey, 0 black to 1 white.

Reads DICOM (`inference.reading.decoding`, `inference.reading.rendering`), PNG and JPEG. Does not know what
a breast is.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from inference.errors import Failed
from inference.reading import damage, decoding, rendering, stored_values

_SCALES: Final = (255, 1023, 4095, 16383, 65535)
"""Full scales of 8, 10, 12, 14 and 16 bits: a 12-bit scan in a 16-bit file must not come out nearly black."""

_UNREADABLE_PICTURE: Final = (
    "pixel data could not be decoded: the image file is damaged, cut short or too large"
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """One image as it is meant to be shown."""

    grey: NDArray[np.float32]
    """Rows by columns, 0 (black) to 1 (white)."""
    padding: NDArray[np.bool_] | None
    """Rows by columns, true where the file says that there is no image (PS3.3 C.7.5.1.1.2), or None."""


def from_dicom(path: Path) -> Picture:
    """Decode a DICOM image and render it as it is meant to be shown.

    Raises
    ------
    Refused
        The image is coloured, has several frames or more than 16 bits.
    Failed
        The file is no DICOM file, its pixels or display tables cannot be used, header and pixels disagree, or
        values wrap around.
    OSError, MemoryError
        The machine cannot do it now.
    """
    header, stored = decoding.read_checked(path)
    grey, padding = rendering.render(header, stored)
    return Picture(grey=grey, padding=padding)


def from_image_file(path: Path) -> Picture:
    """Read a PNG or JPEG of 8 or 16 bits; colour is reduced to its luminance.

    Raises
    ------
    Failed
        The file is no PNG or JPEG, or its pixels cannot be decoded.
    OSError, MemoryError
        The machine cannot do it now.
    """
    with path.open("rb") as file, warnings.catch_warnings(), damage.translated(_UNREADABLE_PICTURE):
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                grey = _grey_of(image)
        except UnidentifiedImageError:
            raise Failed(
                "the file is neither DICOM nor a PNG or JPEG image that can be read: it is damaged"
            ) from None
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise Failed(_UNREADABLE_PICTURE) from None
    stored_values.check_upper_bits(grey)
    return Picture(grey=grey, padding=None)


def _grey_of(image: Image.Image) -> NDArray[np.float32]:
    """Return the luminance of ``image`` as rows by columns, 0 to 1."""
    if image.mode in {"L", "1"}:
        return np.asarray(image.convert("L"), np.float32) / np.float32(255)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        highest = int(values.max(initial=0))
        scale = next((full for full in _SCALES if highest <= full), highest)
        return np.asarray(np.clip(values, 0, None) / np.float32(scale), np.float32)
    return np.asarray(image.convert("RGB").convert("L"), np.float32) / np.float32(255)
