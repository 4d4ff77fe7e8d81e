"""Opens files whose `read` takes no more memory than there are bytes, whatever a damaged length asks for.

Python takes the memory before it reads: an element that speaks of 4 GB costs them, in a file of a few
kilobytes too.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pydicom
from pydicom.dataset import FileMetaDataset

_META_START = 132
"""Bytes of preamble and prefix (PS3.10 7.1)."""
_GROUP_LENGTH = 12
"""Bytes of (0002,0000), whose value counts the file meta information after it."""


class Reader(io.BufferedReader):
    """Reads a regular file that nobody changes, from where ``raw`` stands."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self._size = os.fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most ``size`` bytes; all that are left where it is negative or None."""
        left = max(0, self._size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def opened(path: Path) -> Reader:
    """Open the file at ``path`` for reading. Raises OSError as `open` does."""
    return Reader(io.FileIO(os.fspath(path)))


def file_meta(path: Path) -> tuple[FileMetaDataset, int]:
    """Read the file meta information at ``path``; return it, and the byte at which the data set begins.

    As far as its group length reaches (PS3.10 7.1): a damaged data set may begin with what looks like more.

    Raises
    ------
    InvalidDicomError, ValueError, AttributeError, …
        There is none, or it is damaged.
    OSError
        The file is not to be had now.
    """
    with opened(path) as file:
        head = file.read(_META_START + _GROUP_LENGTH)
        rest = file.read(int.from_bytes(head[-4:], "little"))
    return pydicom.dcmread(io.BytesIO(head + rest)).file_meta, len(head) + len(rest)
