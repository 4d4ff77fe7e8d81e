"""Open an image of any source: DICOM, JPEG and PNG by the node's own code, and PGM, unknown to the node.

A mask is a black image of the mammogram's size on which the lesion is white: it gives the lesion's box.
CBIS-DDSM publishes with each mask a close-up of the lesion, and its descriptions name one for the other for
some lesions: the mask is told by what is in the file. Some masks are a little larger or smaller than their
mammogram (up to 15 %); their boxes are brought to its size.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from inference.errors import Failed, Refused
from inference.reading import damage, decoding, pixels
from inference.reading.pixels import Picture
from models.training.sources import dicom_files
from models.training.sources.labels import Box

_PGM: Final = (b"P2", b"P5")
_DICOM: Final = b"DICM"
_PREAMBLE: Final = 128
"""Bytes before the word DICM (PS3.10 7.1)."""
_ALIKE: Final = 0.02
"""By how much the scales of rows and columns may differ."""
_LEAST, _MOST = 0.8, 1.25
"""Size of a mask as a part of its mammogram's."""


class NoMaskError(Exception):
    """None of the files is a mask of this mammogram; the message says why."""


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


def lesion_box(top: Path, files: Iterable[str], shape: tuple[int, int]) -> Box:
    """Return the lesion's box in pixels of a mammogram of ``shape`` (rows, columns).

    Parameters
    ----------
    files
        Below ``top``; one of them is the mask.

    Raises
    ------
    NoMaskError
        None of them is one, or it cannot be read.
    """
    reasons = []
    for name in files:
        try:
            return _box_of(top / name, shape)
        except (OSError, Failed, Refused, NoMaskError) as error:
            reasons.append(f"{name}: {error}")
    raise NoMaskError("; ".join(reasons) or "neither its mask nor a close-up of it is there")


def _box_of(path: Path, shape: tuple[int, int]) -> Box:
    down, across = _scales(path, shape)
    _, values = decoding.read(path)
    white = values > 0
    if not (values[white] == values.max()).all():
        raise NoMaskError("a grey image, no mask")
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    if not len(rows):
        raise NoMaskError("the mask is black")
    return (
        float(columns[0] * across),
        float(rows[0] * down),
        float((columns[-1] + 1) * across),
        float((rows[-1] + 1) * down),
    )


def _scales(path: Path, shape: tuple[int, int]) -> tuple[float, float]:
    """Return what rows and columns of the mask are multiplied with, from its header alone."""
    header = dicom_files.header(path, "Rows", "Columns")
    with damage.translated(damage.HEADER):
        size = int(header.Rows), int(header.Columns)
        down, across = shape[0] / size[0], shape[1] / size[1]
    if not (
        _LEAST <= 1 / down <= _MOST and _LEAST <= 1 / across <= _MOST and abs(down / across - 1) <= _ALIKE
    ):
        raise NoMaskError(f"{size[0]} by {size[1]} pixels, the mammogram has {shape[0]} by {shape[1]}")
    return down, across
