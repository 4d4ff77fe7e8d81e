"""From stored values to grey as the image is meant to be shown (PS3.3 C.11.1, C.11.2, C.11.6).

A mammogram has at most 65,536 different stored values. The whole pipeline is worked out once for each of them
in double precision, and the image is then looked up in that table: exact, and faster than arithmetic on
megapixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.errors import Failed
from inference.reading import attributes, lookup_tables
from inference.reading.damage import UNREADABLE_VALUE

_TAILS: Final = (0.005, 0.995)
"""Without a window, pixels below the first share are black and those above the second white:
kept since version 1.0, no measurement on record."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Table:
    """One row for every possible stored value."""

    first: int
    grey: NDArray[np.float32]
    padding: NDArray[np.bool_]


def render(header: Dataset, stored: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return grey (rows by columns, 0 to 1) and padding (or None) of ``stored`` values.

    Raises
    ------
    Failed
        The header's tables or numbers cannot be used.
    """
    try:
        table = _table(header, stored)
    except UNREADABLE_VALUE:
        raise Failed(
            "the header does not say how its pixel values are shown: a table in it is damaged"
        ) from None
    index = stored if table.first == 0 else stored.astype(np.int32) - table.first
    grey = np.take(table.grey, index, mode="clip")
    if not table.padding.any():
        return grey, None
    padding = np.take(table.padding, index, mode="clip")
    return grey, padding if padding.any() else None


def _table(header: Dataset, stored: NDArray[Any]) -> _Table:
    values = _all_values(header)
    padding = _padding(header, values)
    brightness = _voi(header, _modality(header, values), values, padding, stored)
    if _is_inverse(header):
        brightness = 1 - brightness
    grey = np.where(padding, 0, np.clip(brightness, 0, 1)).astype(np.float32)
    return _Table(first=int(values[0]), grey=grey, padding=padding)


def _all_values(header: Dataset) -> NDArray[np.int64]:
    """Return every value that Bits Stored and Pixel Representation allow."""
    bits = int(header.BitsStored)
    if not 1 <= bits <= header.BitsAllocated:
        raise ValueError("more Bits Stored than Allocated")
    first = -(2 ** (bits - 1)) if header.PixelRepresentation else 0
    return np.arange(first, first + 2**bits)


def _padding(header: Dataset, values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark Pixel Padding Value to Pixel Padding Range Limit, both included (PS3.3 C.7.5.1.1.2)."""
    value = attributes.number(header, "PixelPaddingValue")
    if value is None:
        return np.zeros(values.shape, bool)
    limit = attributes.number(header, "PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return np.asarray((values >= low) & (values <= high))


def _modality(header: Dataset, values: NDArray[np.int64]) -> Reals:
    """Apply Modality LUT Sequence, else Rescale Slope and Intercept (PS3.3 C.11.1).

    A slope of 0 would make every pixel the same: it counts as absent, as all that is no number.

    Raises ValueError where there is a table that cannot be used.
    """
    items = [item for item in attributes.items(header, "ModalityLUTSequence") if len(item)]
    if items:
        table = lookup_tables.read(
            items[0], signed=bool(header.PixelRepresentation), little_endian=_little_endian(header)
        )
        if table is None:
            raise ValueError("LUT Data do not match LUT Descriptor")
        return table.applied(values)
    slope = attributes.number(header, "RescaleSlope") or 1.0
    intercept = attributes.number(header, "RescaleIntercept") or 0.0
    return values.astype(np.float64) * slope + intercept


def _voi(
    header: Dataset,
    modality: Reals,
    values: NDArray[np.int64],
    padding: NDArray[np.bool_],
    stored: NDArray[Any],
) -> Reals:
    """Return 0 to 1 by VOI LUT Sequence, else by the first window, else by percentiles (PS3.3 C.11.2).

    Tables and windows are alternatives: where one cannot be used, the other can.

    Raises ValueError where there is a table that cannot be used, and no window.
    """
    items = [item for item in attributes.items(header, "VOILUTSequence") if len(item)]
    signed, little_endian = bool(modality.min() < 0), _little_endian(header)
    for item in items:
        table = lookup_tables.read(item, signed=signed, little_endian=little_endian)
        if table is not None:
            return table.applied(modality) / table.full_scale
    centre, width = attributes.number(header, "WindowCenter"), attributes.number(header, "WindowWidth")
    function = str(header.get("VOILUTFunction") or "LINEAR")
    if centre is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-9):
        return _window(modality, centre, width, function)
    if items:
        raise ValueError("LUT Data do not match LUT Descriptor")
    return _stretched(modality, values, padding, stored)


def _window(modality: Reals, centre: float, width: float, function: str) -> Reals:
    """Apply one window (PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2)."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (modality - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((modality - centre) / width + 0.5, 0, 1)
    if width == 1:
        return (modality > centre - 0.5).astype(np.float64)
    return np.clip((modality - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _stretched(
    modality: Reals, values: NDArray[np.int64], padding: NDArray[np.bool_], stored: NDArray[Any]
) -> Reals:
    """Stretch between percentiles of the pixels that are no padding."""
    counts = np.bincount(
        np.clip(stored.astype(np.int64) - values[0], 0, len(values) - 1).ravel(), minlength=len(values)
    )
    order = np.argsort(modality, kind="stable")
    below = np.cumsum(np.where(padding, 0, counts)[order])
    if below[-1] == 0:
        return np.zeros(modality.shape)
    low, high = (modality[order][np.searchsorted(below, tail * below[-1])] for tail in _TAILS)
    return (modality - low) / (high - low) if high > low else np.zeros(modality.shape)


def _little_endian(header: Dataset) -> bool:
    meta = getattr(header, "file_meta", Dataset())
    return bool(getattr(meta.get("TransferSyntaxUID"), "is_little_endian", True))


def _is_inverse(header: Dataset) -> bool:
    """Whether high values are dark: Presentation LUT Shape says it, MONOCHROME1 only where that is absent."""
    shape = header.get("PresentationLUTShape")
    return bool(shape == "INVERSE" if shape else header.PhotometricInterpretation == "MONOCHROME1")
