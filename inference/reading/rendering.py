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
from pydicom.multival import MultiValue

from inference.errors import Failed
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
    value = header.get("PixelPaddingValue")
    if value is None:
        return np.zeros(values.shape, bool)
    limit = header.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return np.asarray((values >= low) & (values <= high))


def _modality(header: Dataset, values: NDArray[np.int64]) -> Reals:
    """Apply Modality LUT Sequence, else Rescale Slope and Intercept (PS3.3 C.11.1)."""
    if header.get("ModalityLUTSequence"):
        entries, first, _ = _lookup(header.ModalityLUTSequence[0], signed=bool(header.PixelRepresentation))
        return entries[np.clip(values - first, 0, len(entries) - 1)]
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    factor, offset = float(1 if slope is None else slope), float(0 if intercept is None else intercept)
    return values.astype(np.float64) * factor + offset


def _voi(
    header: Dataset,
    modality: Reals,
    values: NDArray[np.int64],
    padding: NDArray[np.bool_],
    stored: NDArray[Any],
) -> Reals:
    """Return 0 to 1 by VOI LUT Sequence, else by the first window, else by percentiles (PS3.3 C.11.2)."""
    if header.get("VOILUTSequence"):
        entries, first, bits = _lookup(header.VOILUTSequence[0], signed=bool(modality.min() < 0))
        index = np.clip(np.rint(modality).astype(np.int64) - first, 0, len(entries) - 1)
        return np.asarray(entries[index] / (2**bits - 1))
    centre, width = _first(header.get("WindowCenter")), _first(header.get("WindowWidth"))
    function = str(header.get("VOILUTFunction") or "LINEAR")
    if centre is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-9):
        return _window(modality, centre, width, function)
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


def _lookup(item: Dataset, *, signed: bool) -> tuple[Reals, int, int]:
    """Return entries, first mapped value and bits of a LUT item (PS3.3 C.11.1.1.1)."""
    count, first, bits = (int(part) for part in item.LUTDescriptor)
    count = count % 65536 or 65536
    if signed and first > 32767:  # noqa: PLR2004 -- a signed number that was read as unsigned
        first -= 65536
    data = item.LUTData
    if isinstance(data, (bytes, bytearray)):
        data = np.frombuffer(data, np.uint8 if len(data) < 2 * count else "<u2")
    entries = np.asarray(data, np.float64)[:count]
    if len(entries) != count or bits not in range(8, 17):
        raise ValueError("LUT Data do not match LUT Descriptor")
    return entries, first, bits


def _first(value: object) -> float | None:
    """Return the first of one or several numbers, None where there is none."""
    if isinstance(value, (MultiValue, list)):
        value = value[0] if value else None
    return None if value in (None, "") else float(str(value))


def _is_inverse(header: Dataset) -> bool:
    """Whether high values are dark: Presentation LUT Shape says it, MONOCHROME1 only where that is absent."""
    shape = header.get("PresentationLUTShape")
    return bool(shape == "INVERSE" if shape else header.PhotometricInterpretation == "MONOCHROME1")
