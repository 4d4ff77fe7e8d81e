"""Damaged files: how they are read without harm, and whose fault it is that one cannot be read.

A damaged file is a finding of its image, for ever. A disk that fails, too many open files or too little
memory say nothing about the image: those errors go through to the caller, who tries again.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from inference.errors import Failed

UNREADABLE_VALUE: Final = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom raises for a value that its VR forbids. OSError is its "No tag to read" of a damaged sequence:
the bytes are in memory, nothing is read from a disk here."""

UNREADABLE_DATA_SET: Final = (*UNREADABLE_VALUE, InvalidDicomError, RecursionError, zlib.error)
"""What pydicom raises for bytes that are no data set."""

_UNREADABLE_CONTENT: Final = (*UNREADABLE_VALUE, RuntimeError, SyntaxError, zlib.error)
"""What pydicom, Pillow and the plugins of both raise for damaged content."""

_RUST_PANIC_MODULE: Final = "pyo3_runtime"
"""Where the panics of libraries in Rust come from: an index out of bounds in a damaged stream, of RLE for
example. Their class is no Exception, and no module has it to import."""

HEADER: Final = "the DICOM header could not be read: the file is damaged or cut short"

_META_START = 132
"""Bytes of preamble and prefix (PS3.10 7.1)."""
_GROUP_LENGTH = 12
"""Bytes of (0002,0000), whose value counts the file meta information after it."""
_GROUP_LENGTH_ELEMENT: Final = b"\2\0\0\0UL\4\0"
_LONGEST_META: Final = 1_000_000
"""Bytes of the file meta information, which has a dozen short elements and may have a private one."""
_OF_A_READING: Final = 200
"""Bytes that a piece of a data set takes in memory besides its own, such as an empty item of a sequence."""


class TooMuchError(ValueError):
    """More is read than may be: a header that is larger than any."""


class Reader(io.BufferedReader):
    """Reads a regular file that nobody changes, from where ``raw`` stands."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self._size = os.fstat(raw.fileno()).st_size
        self._patches: dict[int, bytes] = {}
        self._left: int | None = None

    @contextmanager
    def limited(self, most: int) -> Iterator[None]:
        """Let pieces that take ``most`` bytes of memory be read meanwhile; more raises TooMuchError."""
        self._left = most
        try:
            yield
        finally:
            self._left = None

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most ``size`` bytes; all that are left where it is negative or None."""
        place = self.tell()
        left = max(0, self._size - place)
        most = left if size is None or size < 0 else min(size, left)
        if self._left is not None:
            self._left -= most + _OF_A_READING
            if self._left < 0:
                raise TooMuchError("larger than any header")
        content = super().read(most)
        return self._patched(content, place) if self._patches else content

    def patch(self, place: int, content: bytes) -> None:
        """Let ``content`` be read from byte ``place`` on; the file itself is not changed."""
        self._patches[place] = content

    def _patched(self, content: bytes, place: int) -> bytes:
        changed = bytearray(content)
        for start, patch in self._patches.items():
            for offset, byte in enumerate(patch, start - place):
                if 0 <= offset < len(changed):
                    changed[offset] = byte
        return bytes(changed)


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
        length = int.from_bytes(head[-4:], "little")
        if length > _LONGEST_META and head[_META_START:].startswith(_GROUP_LENGTH_ELEMENT):
            raise InvalidDicomError(f"file meta information of more than {_LONGEST_META} bytes")
        rest = file.read(min(length, _LONGEST_META))
    return pydicom.dcmread(io.BytesIO(head + rest)).file_meta, len(head) + len(rest)


@contextmanager
def translated(words: str) -> Iterator[None]:
    """Raise Failed with ``words`` for damaged content; let errors of the machine through."""
    try:
        yield
    except _UNREADABLE_CONTENT as error:
        if is_of_the_machine(error):
            raise
        raise Failed(words) from None
    except BaseException as error:
        if type(error).__module__ != _RUST_PANIC_MODULE:
            raise
        raise Failed(words) from None


def is_of_the_machine(error: BaseException) -> bool:
    """Whether the operating system raised ``error``, which then says nothing about the file.

    pydicom ("No tag to read") and Pillow ("image file is truncated") raise OSError for content too: without
    a number, which every error of the operating system has.
    """
    return isinstance(error, OSError) and error.errno is not None
