"""The digest of pixel data, made while they come in: afterwards the whole file would be read again for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

_TAG: Final = b"\xe0\x7f\x10\x00"
"""Pixel Data (7FE0,0010) in little endian."""
_VRS: Final = (b"OW\0\0", b"OB\0\0")
_SHORT, _LONG = 8, 12
"""Bytes of the header of Pixel Data in Implicit and in Explicit VR (PS3.5 7.1)."""


@dataclass(frozen=True, slots=True)
class PixelDigest:
    """The SHA-256 of a file from one byte to its end; whether pixels begin there, the reader of it knows."""

    start: int
    """Bytes before those that are digested."""
    sha256: str
    """64 hexadecimal digits."""


class StreamedDigest:
    """Looks for where pixel data seem to begin, and digests from there on.

    The first place that looks like it is taken: that of an icon where there is one, and then nothing is won.
    """

    def __init__(self) -> None:
        self._place = 0
        self._start: int | None = None
        self._sha256 = hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        if self._start is not None:
            self._sha256.update(data)
        elif (header := _pixel_header(bytes(data))) is not None:
            self._start = self._place + header
            self._sha256.update(data[header:])
        self._place += len(data)

    def result(self) -> PixelDigest | None:
        """Return the digest; None where nothing looked like pixel data."""
        return None if self._start is None else PixelDigest(self._start, self._sha256.hexdigest())


def _pixel_header(data: bytes) -> int | None:
    """Return where the first header of Pixel Data in ``data`` ends; None where no whole one is there."""
    place = data.find(_TAG)
    if place < 0:
        return None
    end = place + (_LONG if data[place + 4 : place + 8] in _VRS else _SHORT)
    return end if end <= len(data) else None
