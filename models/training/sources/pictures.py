"""Open an image of any source: DICOM, JPEG and PNG by the node's own code, and PGM, unknown to the node."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from inference.reading import damage, pixels
from inference.reading.pixels import Picture

_PGM: Final = (b"P2", b"P5")
_DICOM: Final = b"DICM"
_PREAMBLE: Final = 128
"""Bytes before the word DICM (PS3.10 7.1)."""


def read(path: Path) -> Picture:
    """Read the image in ``path``; what it is stands in its first bytes.

    Raises
    ------
    Refused
        A DICOM image that the node would not analyse either.
    Failed
        The file is no image, or its pixels cannot be used.
    OSError, MemoryError
        The machine cannot do it now.
    """
    with path.open("rb") as file:
        start = file.read(_PREAMBLE + len(_DICOM))
    if start[_PREAMBLE:] == _DICOM:
        return pixels.from_dicom(path)
    return _from_pgm(path) if start.startswith(_PGM) else pixels.from_image_file(path)


def _from_pgm(path: Path) -> Picture:
    with (
        damage.translated("the PGM file is damaged or cut short"),
        Image.open(path, formats=("PPM",)) as image,
    ):
        full = 255 if image.mode == "L" else 65535  # Pillow scales any other maximum to one of these
        return Picture(grey=np.asarray(image, np.float32) / np.float32(full), padding=None)
