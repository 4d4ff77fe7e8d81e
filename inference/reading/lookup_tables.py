"""Lookup tables of headers as they really come (PS3.3 C.11.1 and C.11.2).

Descriptor and data often disagree: an entry is missing, the number of bits is that of the file and not of the
data, an item is empty. What can be told is used; what cannot is no table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.reading.damage import UNREADABLE_VALUE

_MOST_BITS: Final = 16
_LEAST_ENTRIES: Final = 0.9
"""Share of the entries that the descriptor counts: fewer are no table that somebody meant."""


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


def read(item: Dataset, *, signed: bool, little_endian: bool) -> LookupTable | None:
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
