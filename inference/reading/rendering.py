"""From stored values to grey as the image is meant to be shown (PS3.3 C.11.1, C.11.2, C.11.6).

A mammogram has at most 65,536 different stored values. The whole pipeline is worked out once for each of them
in double precision, and the image is then looked up in that table: exact, and faster than arithmetic on
megapixels.

Descriptor and data of a lookup table often disagree: an entry is missing, the number of bits is that of the
file and not of the data, an item is empty. What can be told is used; what cannot is no table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.errors import Failed
from inference.reading import attributes
from inference.reading.damage import UNREADABLE_VALUE

_TAILS: Final = (0.005, 0.995)
"""Without a window, pixels below the first share are black and those above the second white:
kept since version 1.0, no measurement on record."""

_MOST_BITS: Final = 16
_LOOKED_UP: Final = 64
"""Rows that are looked up at a time: numpy turns indices into 8 bytes each, which then fit into a cache."""
_LEAST_ENTRIES: Final = 0.9
"""Share of the entries that the descriptor counts: fewer are no table that somebody meant."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Table:
    """One row for every possible stored value."""

    first: int
    grey: NDArray[np.float32]
    padding: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LookupTable:
    """What a value is turned into: entries, one for each value from ``first`` on."""

    first: int
    """The value that the first entry stands for; what is less gets it too."""
    entries: NDArray[np.float64]
    full_scale: float
    """The entry that means white: by the descriptor's bits, or the table's maximum where they do not fit."""

    def applied(self, values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the entries for ``values``; beyond the ends of the table those of its ends."""
        index = np.rint(values).astype(np.int64) - self.first
        return self.entries[np.clip(index, 0, len(self.entries) - 1)]


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
    grey = np.empty(stored.shape, np.float32)
    _look_up(table.grey, table.first, stored, grey)
    if not table.padding.any():
        return grey, None
    padding = np.empty(stored.shape, bool)
    _look_up(table.padding, table.first, stored, padding)
    return grey, padding if padding.any() else None


def _look_up(entries: NDArray[Any], first: int, stored: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the entries for ``stored`` values to ``out``; the first one is for the value ``first``."""
    for start in range(0, len(stored), _LOOKED_UP):
        lines = slice(start, start + _LOOKED_UP)
        np.take(entries, stored[lines].astype(np.intp) - first, mode="clip", out=out[lines])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DisplaySteps:
    """How the header wants stored values to be turned into grey, as far as that can be used."""

    modality_table: LookupTable | None
    """Instead of slope and intercept."""
    slope: float
    intercept: float
    voi_table: LookupTable | None
    """Instead of the window."""
    window: tuple[float, float, str] | None
    """Centre, width and VOI LUT Function; None where there is none either: then percentiles are taken."""
    inverse: bool
    """Whether high values are dark."""


def steps(header: Dataset) -> DisplaySteps:
    """Return how the image of ``header`` is meant to be shown (PS3.3 C.11.1, C.11.2, C.11.6).

    A slope of 0 would make every pixel the same: it counts as absent, as all that is no number. Tables and
    windows are alternatives: where one cannot be used, the other can.

    Raises ValueError where there is a table that cannot be used, and nothing instead.
    """
    little_endian = _little_endian(header)
    modality_table = None
    if items := [item for item in attributes.items(header, "ModalityLUTSequence") if len(item)]:
        modality_table = _lookup_table(
            items[0], signed=bool(header.PixelRepresentation), little_endian=little_endian
        )
        if modality_table is None:
            raise ValueError("LUT Data do not match LUT Descriptor")
    slope = attributes.number(header, "RescaleSlope") or 1.0
    intercept = attributes.number(header, "RescaleIntercept") or 0.0
    modality = _modality(modality_table, slope, intercept, _all_values(header))
    items = [item for item in attributes.items(header, "VOILUTSequence") if len(item)]
    signed = bool(modality.min() < 0)
    tables = (_lookup_table(item, signed=signed, little_endian=little_endian) for item in items)
    voi_table = next((table for table in tables if table is not None), None)
    window = None if voi_table is not None else _window_of(header)
    if items and voi_table is None and window is None:
        raise ValueError("LUT Data do not match LUT Descriptor")
    return DisplaySteps(
        modality_table=modality_table,
        slope=slope,
        intercept=intercept,
        voi_table=voi_table,
        window=window,
        inverse=_is_inverse(header),
    )


def _table(header: Dataset, stored: NDArray[Any]) -> _Table:
    values = _all_values(header)
    padding = _padding(header, values)
    display = steps(header)
    modality = _modality(display.modality_table, display.slope, display.intercept, values)
    if display.voi_table is not None:
        brightness = display.voi_table.applied(modality) / display.voi_table.full_scale
    elif display.window is not None:
        brightness = _window(modality, *display.window)
    else:
        brightness = _stretched(modality, values, padding, stored)
    if display.inverse:
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


def _modality(table: LookupTable | None, slope: float, intercept: float, values: NDArray[np.int64]) -> Reals:
    """Apply ``table``, else ``slope`` and ``intercept``."""
    return values.astype(np.float64) * slope + intercept if table is None else table.applied(values)


def _window_of(header: Dataset) -> tuple[float, float, str] | None:
    """Return centre, width and function of the first window, None where there is none that can be used."""
    centre, width = attributes.number(header, "WindowCenter"), attributes.number(header, "WindowWidth")
    function = str(header.get("VOILUTFunction") or "LINEAR")
    if centre is None or width is None or width < (1 if function == "LINEAR" else 1e-9):
        return None
    return centre, width, function


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
    shape = attributes.text(header, "PresentationLUTShape").strip().upper()
    return bool(shape == "INVERSE" if shape else header.PhotometricInterpretation == "MONOCHROME1")


def _lookup_table(item: Dataset, *, signed: bool, little_endian: bool) -> LookupTable | None:
    """Return the table in ``item``, None where there is none that can be used.

    Parameters
    ----------
    signed
        Whether the values that are looked up may be negative.
    little_endian
        The byte order of the data set: words in LUT Data have it.
    """
    try:
        count, first, bits = (int(part) for part in item.LUTDescriptor)
        data = item.LUTData
    except UNREADABLE_VALUE:
        return None
    count = count % 65536 or 65536
    if not 0 < bits <= _MOST_BITS or data is None:
        return None
    if isinstance(data, (bytes, bytearray)):
        data = _entries(data, count, bits, little_endian=little_endian)
    entries = np.atleast_1d(np.asarray(data, np.float64))[:count]
    if len(entries) < max(1, _LEAST_ENTRIES * count - 1):
        return None
    if signed and first > 32767:  # noqa: PLR2004 -- a signed number that was read as unsigned
        first -= 65536
    return LookupTable(first=first, entries=entries, full_scale=_full_scale(entries, bits))


def _entries(data: bytes | bytearray, count: int, bits: int, *, little_endian: bool) -> NDArray[np.uint16]:
    """Return entries as unsigned words; entries of 8 bits may be packed in words (PS3.3 C.11.1.1.1)."""
    words = np.frombuffer(bytes(data[: len(data) // 2 * 2]), "<u2" if little_endian else ">u2")
    packed = bits <= 8 and len(data) < 1.5 * count  # noqa: PLR2004 -- a byte
    return words.astype("<u2").view(np.uint8).astype(np.uint16) if packed else words.astype(np.uint16)


def _full_scale(entries: NDArray[np.float64], bits: int) -> float:
    """Return 2 to the power of ``bits`` less 1, if the entries use more than half of it and no more."""
    described, highest = float(2**bits - 1), float(entries.max())
    return described if described / 2 < highest <= described else max(highest, 1.0)
