"""From a DICOM file to its stored values: decompressed, not yet rendered (PS3.5 8)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import dictionary_description
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.pixels.utils import pixel_array
from pydicom.tag import BaseTag, Tag
from pydicom.uid import JPEGExtended12Bit

from inference.errors import Failed, Refused
from inference.reading import attributes, damage, objections, stored_values, transfer_syntaxes, unknown_vr

_ALLOCATED: Final = (8, 16)
_UNDEFINED_LENGTH: Final = 0xFFFFFFFF
_MOST_PIXELS: Final = 400_000_000
"""Of a compressed image, whose size nothing but its header tells: ten times the largest detector's."""
_UNDECODABLE: Final = (
    "pixel data could not be decoded: the file is damaged, cut short or of an unknown compression"
)


_NEEDED: Final = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
)
"""Without any of these pixels have no meaning (PS3.3 C.7.6.3.1.1): nobody may guess one."""


def read(path: Path) -> tuple[Dataset, NDArray[Any]]:
    """Return the data set of one single-frame grey image, and its stored values (rows by columns).

    The same samples give the same values in every transfer syntax.

    Raises
    ------
    Refused
        The image is coloured, has several frames or more than 16 bits.
    Failed
        The file is no DICOM file, has no pixels, fewer or more than can be, or they cannot be decoded.
    OSError, MemoryError
        The machine cannot do it now.
    """
    header, samples = _read(path)
    return header, _values(header, samples)


def read_checked(path: Path) -> tuple[Dataset, NDArray[Any]]:
    """Return the same as `read`. Raises Failed, too, where header and pixels disagree, or wrap around."""
    header, samples = _read(path)
    values = _values(header, samples)
    stored_values.check(header, samples, values)
    stored_values.check_upper_bits(values)
    return header, values


def _read(path: Path) -> tuple[Dataset, NDArray[Any]]:
    with damage.opened(path) as file, damage.translated(damage.HEADER):
        try:
            header = unknown_vr.read(file)
        except InvalidDicomError:
            raise Failed("the file is not a DICOM file") from None
        _check(header)
        _check_size(header)
    with warnings.catch_warnings(), damage.translated(_UNDECODABLE):
        warnings.simplefilter("ignore")  # about paddings and lengths that do no harm here
        samples = _decoded(header, path)
        samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if samples.shape != (header.Rows, header.Columns):
        raise Failed("pixel data could not be decoded: their size is not what the header says")
    return header, samples


def _values(header: Dataset, samples: NDArray[Any]) -> NDArray[Any]:
    with damage.translated("pixel data could not be decoded: Bits Stored is no number of bits of theirs"):
        return stored_values.of_samples(header, samples)


def _check(header: Dataset) -> None:
    ends_early = _ends_early(header)
    if not header.get("PixelData"):
        raise Failed("the file ends too early: copy it again" if ends_early else "the file has no pixel data")
    _check_description(header)
    if not objections.is_grey(header):
        raise Refused(objections.NOT_GREY)
    if str(header.get("NumberOfFrames") or 1).strip() != "1":
        raise Refused(objections.SEVERAL_FRAMES)
    if header.get("BitsAllocated") not in _ALLOCATED:
        raise Refused("the image does not have 8 or 16 bits a pixel: such images are not read")


def _ends_early(header: Dataset) -> bool:
    """Tell whether the last element has fewer bytes than its length says; ask before its value is read."""
    last: Any = header.get_item(max(header.keys(), default=Tag(0)))
    return (
        isinstance(last, RawDataElement)
        and last.length != _UNDEFINED_LENGTH
        and len(last.value or b"") < last.length
    )


def _check_description(header: Dataset) -> None:
    for keyword in _NEEDED:
        if attributes.value(header, keyword) in (None, ""):
            tag = Tag(keyword)
            raise Failed(f"{_named(tag)} is missing")
        if isinstance(attributes.value(header, keyword), MultiValue | list | tuple):
            raise Failed(f"{_named(Tag(keyword))} has several values")


def _named(tag: BaseTag) -> str:
    """Begin the sentence about an attribute without which pixels have no meaning."""
    name = f"{dictionary_description(tag)} ({tag.group:04X},{tag.element:04X})"
    return f"the header does not describe its pixels: {name}"


def _check_size(header: Dataset) -> None:
    """Refuse a size beyond belief before memory is taken for it."""
    rows, columns = int(header.Rows), int(header.Columns)
    if header.file_meta.TransferSyntaxUID.is_compressed:
        if rows * columns > _MOST_PIXELS:
            raise Failed(
                f"the header speaks of {rows} by {columns} pixels: more than 400 megapixels are not decoded"
            )
    elif rows * columns * (int(header.BitsAllocated) // 8) > len(header.PixelData):
        raise Failed("pixel data could not be decoded: they are cut short, the header speaks of more pixels")


def _decoded(header: Dataset, path: Path) -> NDArray[Any]:
    syntax = header.file_meta.TransferSyntaxUID
    if syntax == JPEGExtended12Bit and header.BitsAllocated > 8:  # noqa: PLR2004 -- more than a byte
        return _by_gdcm(header, path)
    return pixel_array(
        header,
        decoding_plugin=transfer_syntaxes.FASTEST.get(syntax, ""),
        correct_unused_bits=False,  # samples as they are: what they mean is in `stored_values`
        apply_j2k_sign_correction=False,
        apply_jls_sign_correction=False,
    )


def _by_gdcm(header: Dataset, path: Path) -> NDArray[Any]:
    """Decode with GDCM's own reader: its 12-bit JPEG Extended is sound, pydicom bars the way."""
    import gdcm  # noqa: PLC0415 -- a heavy library for one rare syntax

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        path.open("rb").close()  # GDCM does not say why; an error of the machine is raised here
        raise ValueError("GDCM cannot read the file")
    buffer = reader.GetImage().GetBuffer()
    raw = buffer.encode("utf-8", "surrogateescape") if isinstance(buffer, str) else bytes(buffer)
    sample = np.dtype("<i2" if header.PixelRepresentation else "<u2")
    return np.frombuffer(raw, sample).reshape(header.Rows, header.Columns)
